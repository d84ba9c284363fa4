"""What `scaling` writes down: the measured points, the model fitted to them, and what it predicts."""

from __future__ import annotations

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.scaling.model import (
    Compute,
    Link,
    efficient_batch,
    fit_compute,
    fit_link,
    hidden_share,
    predict_step,
)
from benchmarks.scaling.options import ScalingOptions, train_config
from benchmarks.scaling.worker import SMALL, launch
from benchmarks.throughput.measure import describe_data
from benchmarks.throughput.timing import repeat_to_epoch
from colornet.data import load_dataset
from colornet.errors import InputError
from colornet.models.build import build_discriminator, build_generator
from colornet.models.unet import count_parameters
from colornet.runs.provenance import provenance
from colornet.training.accelerator import choose_precision

__all__ = ["measure"]

METHOD = {
    "points": "Trainer.train_step and the next batch of DeviceLoader, as in training; seconds are the median step of a "
    "round, the largest of all processes, and of these the median round",
    "compute": "the same steps under DDP's no_sync: no gradient is exchanged, the other processes work beside it",
    "communication": "step less compute: what the backward pass did not hide",
    "input": "the next batch and its conversion of colors by themselves; part of compute",
    "all_reduce": "one all-reduce of as many bytes as the gradients have, by itself",
    "weak_efficiency": "images/s over those of one process with as many images a process, over the processes",
    "strong_efficiency": "images/s over those of one process with as many images in all, over the processes",
    "model": "benchmarks/scaling/model.py; low: nothing of the all-reduce is hidden, high: as much as can be, "
    "here: as much as was here",
}


def measure(options: ScalingOptions) -> dict[str, Any]:
    """Measure all points and return the record that the JSON file is to hold."""
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    counts = sorted({1, *options.processes})
    if device.type == "cuda" and counts[-1] > torch.cuda.device_count():
        raise InputError(f"--processes {counts[-1]} needs as many GPUs; here are {torch.cuda.device_count()}.")
    # What cannot be had or read is said before the work, not after it.
    choose_precision(train_config(options, options.presets[0], options.batch_sizes[0], 1))
    if options.compute is not None:
        for preset in options.presets:
            steps_elsewhere(options, options.compute, preset)
    # Downloaded or decoded here, once, before several processes want to.
    loaded = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    rounds: dict[int, list[list[list[dict[str, Any]]]]] = {count: [] for count in counts}
    with tqdm(total=options.rounds * len(counts), unit="launch", disable=None) as bar:
        for _ in range(options.rounds):
            for count in counts:  # in turns, so that what slows the machine for a while slows all of them
                bar.set_postfix_str(f"{count} process(es)")
                rounds[count].append(launch(options, count))
                bar.update()
    points = [point for count in counts for point in combine(rounds[count])]
    for point in points:
        add_efficiency(point, points)
    record = {
        "kind": "scaling",
        **provenance(device),
        "options": {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(options).items()},
        "data": describe_data(loaded, repeated_to=len(repeat_to_epoch(loaded).train)),
        "method": METHOD,
        "points": points,
    }
    return record | {"link": describe_link(options, points), "models": describe_models(options, points)}


def combine(rounds: list[list[list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    """Make one point of what every round and rank measured of it; `rounds` is indexed by round, rank, point."""
    points = []
    for place, example in enumerate(rounds[0][0]):
        kinds: list[str] = [
            key for key in ("step", "compute", "input", "all_reduce", "small_all_reduce") if key in example
        ]
        slowest = {kind: [max(rank[place][kind] for rank in one) for one in rounds] for kind in kinds}
        seconds = {kind: statistics.median(values) for kind, values in slowest.items()}
        point = {key: value for key, value in example.items() if key not in kinds} | {"seconds": seconds}
        point["rounds"] = slowest["step"]
        if "compute" in seconds:
            seconds["communication"] = max(0.0, seconds["step"] - seconds["compute"])
        point["images_per_second"] = point["images"] * point["processes"] / seconds["step"]
        points.append(point)
    return points


def add_efficiency(point: dict[str, Any], points: list[dict[str, Any]]) -> None:
    """Compare a point with those of one process; None where that number of images was not measured."""
    for name, images in (("weak", point["images"]), ("strong", point["images"] * point["processes"])):
        alone = [p for p in points if p["processes"] == 1 and p["preset"] == point["preset"] and p["images"] == images]
        speed = alone[0]["images_per_second"] * point["processes"] if alone else None
        point[f"{name}_efficiency"] = point["images_per_second"] / speed if speed else None


def describe_link(options: ScalingOptions, points: list[dict[str, Any]]) -> dict[str, Any] | None:
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


def describe_models(options: ScalingOptions, points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fit the model of each preset and predict; empty where no link is known."""
    described = describe_link(options, points)
    if described is None:
        return []
    link = Link(described["latency"], described["bandwidth"])
    models = []
    for preset in options.presets:
        seconds, sized = single_steps(options, points, preset)
        compute, size = fit_compute(seconds), gradient_bytes(sized, preset)
        mine = [p for p in points if p["preset"] == preset and "all_reduce" in p["seconds"]]
        mine = [p for p in mine if p["bucket_mb"] == options.bucket_mb[0]]
        shares = [hidden_share(p["seconds"]["all_reduce"], p["seconds"]["communication"]) for p in mine]
        # How much is hidden belongs to the device and link on which it was measured.
        elsewhere = options.compute is not None or bool(described["assumed"])
        here = statistics.median(shares) if shares and not elsewhere else None
        hidden = {"low": 0.0, "high": 1.0} | ({} if here is None else {"here": here})
        models.append(
            {
                "preset": preset,
                "gradient_bytes": size,
                "compute": dataclasses.asdict(compute),
                "single_steps": [{"images": images, "seconds": value} for images, value in seconds.items()],
                "hidden_share": hidden,
                "predictions": [
                    predict(compute, link, size, hidden, count, images)
                    for images in seconds
                    for count in options.predict
                ],
                "images_for_90_percent": [
                    {"processes": count, **ninety_percent(compute, link, size, hidden, count)}
                    for count in options.predict
                ],
            }
        )
    return models


def ninety_percent(
    compute: Compute, link: Link, size: int, hidden: dict[str, float], processes: int
) -> dict[str, int | None]:
    """Return the images a process from which 90 % efficiency is predicted, for each share that may be hidden."""
    return {name: efficient_batch(compute, link, size, share, processes) for name, share in hidden.items()}


def predict(
    compute: Compute, link: Link, size: int, hidden: dict[str, float], processes: int, images: int
) -> dict[str, Any]:
    """Predict the efficiencies: weak with `images` a process, strong with `images` in all."""
    alone = compute.step(images)
    weak = {name: alone / predict_step(compute, link, size, h, processes, images) for name, h in hidden.items()}
    strong = {
        name: alone / processes / predict_step(compute, link, size, h, processes, images / processes)
        for name, h in hidden.items()
    }
    return {"processes": processes, "images": images, "weak": weak, "strong": strong}


def single_steps(
    options: ScalingOptions, points: list[dict[str, Any]], preset: str
) -> tuple[dict[int, float], ScalingOptions]:
    """Return the seconds of a step on one process by its images, and the options that have the network's size."""
    if options.compute is None:
        alone = [p for p in points if p["processes"] == 1 and p["preset"] == preset]
        return {p["images"]: p["seconds"]["step"] for p in alone}, options
    return steps_elsewhere(options, options.compute, preset)


def steps_elsewhere(options: ScalingOptions, path: Path, preset: str) -> tuple[dict[int, float], ScalingOptions]:
    """Read the fastest kind of training steps of a preset from a record of `throughput`, as `single_steps` does."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        rows = [r for r in rows if r["preset"] == preset and r["mode"] == "train" and r["images_per_second"]]
        best = max(rows, key=lambda row: row["images_per_second"])
        alike = [r for r in rows if (r["precision"], r["compile"]) == (best["precision"], best["compile"])]
        seconds = {row["batch_size"]: row["batch_size"] / row["images_per_second"] for row in alike}
        return seconds, dataclasses.replace(options, width=best["width"], blocks=best["blocks"] or options.blocks)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--compute {path} has no training steps of {preset}: give a JSON that `throughput` wrote of it."
        ) from error


def gradient_bytes(options: ScalingOptions, preset: str) -> int:
    """Return the bytes of fp32 gradients that a step of a preset sums over the processes."""
    config = train_config(options, preset, 1, 1)
    with torch.device("meta"):
        numbers = count_parameters(build_generator(config))
        if config.objective == "adversarial":
            numbers += count_parameters(build_discriminator(config))
    return 4 * numbers
