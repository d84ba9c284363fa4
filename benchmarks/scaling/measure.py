"""The record of `scaling`: the measured points, the model fitted to them, and its predictions."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path
from typing import Any

import torch

from benchmarks.core.presets import sized_preset
from benchmarks.core.processes import launch
from benchmarks.core.record import Record, describe_data, read_json, start_record
from benchmarks.core.steps import COUNTED_IMAGES, choose_device, random_dataset, repeat_to_epoch, start_trainer
from benchmarks.scaling.model import Compute, Link, efficient_batch, fit_compute, fit_link, hidden_share, predict_step
from benchmarks.scaling.options import ScalingOptions
from benchmarks.scaling.worker import SMALL, gradient_bytes, work
from colornet.bar import Bar
from colornet.data import load_dataset
from colornet.errors import InputError
from colornet.training.accelerator import choose_precision

METHOD = {
    "points": "Trainer.train_step on the next batch of DeviceLoader: the median round of the slowest process's medians",
    "compute": "the same steps under DDP's no_sync, which exchanges no gradients",
    "communication": "step less compute: what the backward pass did not hide",
    "input": "the next batch and its color conversion alone; part of compute",
    "all_reduce": "one all-reduce of as many bytes as the gradients have, alone",
    "weak_efficiency": "images/s over those of one process with as many images per process, over the processes",
    "strong_efficiency": "images/s over those of one process with as many images in all, over the processes",
    "model": "see benchmarks/scaling/model.py; hidden share low: 0, high: 1, here: as measured",
}


def measure(options: ScalingOptions) -> Record:
    """Measure all points and return the record."""
    device = choose_device(options.cpu)
    counts = sorted({1, *options.processes})
    if device.type == "cuda" and counts[-1] > torch.cuda.device_count():
        raise InputError(f"--processes {counts[-1]} needs as many GPUs; here are {torch.cuda.device_count()}.")
    # An unavailable precision or an unreadable file is refused before the work, not after it.
    choose_precision(sized_preset(options, options.presets[0]))
    if options.compute is not None:
        for preset in options.presets:
            read_steps(options.compute, preset)
    # Downloaded or decoded here once, before several processes do.
    loaded = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    rounds: dict[int, list[list[list[Record]]]] = {count: [] for count in counts}
    with Bar(total=options.rounds * len(counts), unit="launch") as bar:
        for _ in range(options.rounds):
            for count in counts:  # interleaved: a slow phase of the machine affects all of them
                bar.set_postfix_str(f"{count} process(es)")
                rounds[count].append(launch(work, count, options, count))
                bar.update()
    points = [point for count in counts for point in combine(rounds[count])]
    for point in points:
        add_efficiency(point, points)
    link = describe_link(options, points)
    return {
        **start_record("scaling", device, options),
        "data": describe_data(loaded, repeated_to=len(repeat_to_epoch(loaded).train)),
        "method": METHOD,
        "points": points,
        "link": link,
        "models": [] if link is None else [describe_model(options, points, preset, link) for preset in options.presets],
    }


def combine(rounds: list[list[list[Record]]]) -> list[Record]:
    """Combine what every round and rank measured to one point each; `rounds` is indexed by round, rank, point."""
    points = []
    for place, example in enumerate(rounds[0][0]):
        kinds = [key for key in ("step", "compute", "input", "all_reduce", "small_all_reduce") if key in example]
        slowest = {kind: [max(rank[place][kind] for rank in one) for one in rounds] for kind in kinds}
        seconds: dict[str, float] = {kind: statistics.median(values) for kind, values in slowest.items()}
        if "compute" in seconds:
            seconds["communication"] = max(0.0, seconds["step"] - seconds["compute"])
        point = {key: value for key, value in example.items() if key not in kinds}
        speed = point["images"] * point["processes"] / seconds["step"]
        points.append({**point, "seconds": seconds, "rounds": slowest["step"], "images_per_second": speed})
    return points


def add_efficiency(point: Record, points: list[Record]) -> None:
    """Compare a point with those of one process; None where that number of images was not measured."""
    for name, images in (("weak", point["images"]), ("strong", point["images"] * point["processes"])):
        alone = [p for p in points if p["processes"] == 1 and p["preset"] == point["preset"] and p["images"] == images]
        speed = alone[0]["images_per_second"] * point["processes"] if alone else None
        point[f"{name}_efficiency"] = point["images_per_second"] / speed if speed else None


def describe_link(options: ScalingOptions, points: list[Record]) -> Record | None:
    """Return latency and bandwidth, measured here or assumed; None where neither is known."""
    sums = [
        (point["processes"], size, point["seconds"][kind])
        for point in points
        for kind, size in (("all_reduce", point["gradient_bytes"]), ("small_all_reduce", SMALL))
        if kind in point["seconds"]
    ]
    measured = fit_link(sums) if sums else None
    latency = options.link_latency * 1e-6 if options.link_latency else measured and measured.latency
    bandwidth = options.link_bandwidth * 1e9 if options.link_bandwidth else measured and measured.bandwidth
    if latency is None or bandwidth is None:
        return None
    assumed = [name for name in ("link_latency", "link_bandwidth") if getattr(options, name)]
    return {"latency": latency, "bandwidth": bandwidth, "assumed": assumed}


def describe_model(options: ScalingOptions, points: list[Record], preset: str, described_link: Record) -> Record:
    """Fit the model of a preset and predict."""
    link = Link(described_link["latency"], described_link["bandwidth"])
    mine = [point for point in points if point["preset"] == preset]
    seconds, size = single_steps(options, mine, preset)
    compute = fit_compute(seconds)
    shares = [
        hidden_share(point["seconds"]["all_reduce"], point["seconds"]["communication"])
        for point in mine
        if "all_reduce" in point["seconds"] and point["bucket_mb"] == options.bucket_mb[0]
    ]
    hidden = {"low": 0.0, "high": 1.0}
    # The hidden share holds only for the device and the link on which it was measured.
    if shares and options.compute is None and not described_link["assumed"]:
        hidden["here"] = statistics.median(shares)
    return {
        "preset": preset,
        "gradient_bytes": size,
        "compute": dataclasses.asdict(compute),
        "single_steps": [{"images": images, "seconds": value} for images, value in seconds.items()],
        "hidden_share": hidden,
        "predictions": [predict(compute, link, size, hidden, n, images) for images in seconds for n in options.predict],
        "images_for_90_percent": [
            {"processes": n} | {name: efficient_batch(compute, link, size, share, n) for name, share in hidden.items()}
            for n in options.predict
        ],
    }


def predict(compute: Compute, link: Link, size: int, hidden: dict[str, float], processes: int, images: int) -> Record:
    """Predict the efficiencies: weak with `images` per process, strong with `images` in all."""
    alone, weak, strong = compute.step(images), {}, {}
    for name, share in hidden.items():
        weak[name] = alone / predict_step(compute, link, size, share, processes, images)
        strong[name] = alone / processes / predict_step(compute, link, size, share, processes, images / processes)
    return {"processes": processes, "images": images, "weak": weak, "strong": strong}


def single_steps(options: ScalingOptions, points: list[Record], preset: str) -> tuple[dict[int, float], int]:
    """Return the seconds of a step on one process by its images, and the bytes of its gradients."""
    if options.compute is None:
        seconds = {p["images"]: p["seconds"]["step"] for p in points if p["processes"] == 1}
        return seconds, points[0]["gradient_bytes"]
    seconds, width, blocks = read_steps(options.compute, preset)
    resized = dataclasses.replace(options, width=width, blocks=blocks or options.blocks)
    values: dict[str, Any] = {"batch_size": COUNTED_IMAGES, "mixed_precision": "no", "compile": "off", "cpu": True}
    config = sized_preset(resized, preset, **values)
    return seconds, gradient_bytes(start_trainer(config, random_dataset(config)))


def read_steps(path: Path, preset: str) -> tuple[dict[int, float], int, int | None]:
    """Read the fastest kind of training steps of a preset from a record of `throughput`.

    Returns the seconds of a step by its images, and the width and the blocks of the network.
    """
    try:
        rows = read_json(path)["rows"]
        rows = [r for r in rows if r["preset"] == preset and r["mode"] == "train" and r["images_per_second"]]
        best = max(rows, key=lambda row: row["images_per_second"])
        alike = [r for r in rows if (r["precision"], r["compile"]) == (best["precision"], best["compile"])]
        seconds = {row["batch_size"]: row["batch_size"] / row["images_per_second"] for row in alike}
        return seconds, best["width"], best["blocks"]
    except (InputError, ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise InputError(
            f"--compute {path} has no training steps of {preset}: give a JSON that `throughput` wrote of it."
        ) from error
