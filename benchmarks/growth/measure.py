"""The record of `growth`: speed and memory of every point, and its speed relative to resident images."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.core.memory import STATUS, host_memory, peak_memory, status_bytes
from benchmarks.core.presets import sized_preset
from benchmarks.core.record import Record, describe_data, start_record
from benchmarks.core.steps import Case, choose_device, endless_batches, release, settle, start_trainer
from benchmarks.core.timing import Stopwatch, time_steps
from benchmarks.growth.dataset import evict_page_cache, images_of, prefetch, write_images
from benchmarks.growth.options import GrowthOptions
from colornet.bar import Bar
from colornet.config import TrainConfig
from colornet.data import Dataset, DeviceLoader, load_dataset
from colornet.data.cache import read_dataset
from colornet.training.trainer import Trainer

METHOD = {
    "images": "those of --data repeated with noise in the three lowest bits, in one file; smaller sets begin it",
    "images_per_second": "--steps of Trainer.train_step after --warmup of them, over their time; median of `rounds`",
    "resident": "the images are in the memory of the device; on a CPU they are copied from the file to memory",
    "mapped": "on a CPU: the map of the file is used directly, as training does without --device-budget",
    "streamed": "as with --device-budget 0: gathered from the map in the background, three batches ahead",
    "cold": "the file was evicted from the page cache, as if larger than memory; otherwise it was read once before",
    "share_of_resident": "images/s over those of as many `resident` images, or the most there are; the median round",
    "epoch_start_seconds": "until the first batch: images are uploaded, order and augmentations drawn",
    "input_images_per_second": "the loader alone",
    "host_bytes": "growth of the process's anonymous memory by the loader and the timed steps, without mapped pages",
    "device_bytes": "growth of torch.cuda.memory_allocated over the same time",
    "peak_memory_bytes": "as in throughput",
}


@dataclass(frozen=True)
class Point:
    """A number of training images, and where they are."""

    images: int
    source: str  # resident, mapped or streamed
    cold: bool = False


def measure(options: GrowthOptions) -> Record:
    """Measure all points, interleaved; return the record."""
    device = choose_device(options.cpu)
    config = settle(sized_preset(options, options.preset), device)
    loaded = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    beside = options.out.parent if options.out is not None and options.out.parent.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="growth-", dir=beside) as folder:
        writing, opening = Stopwatch(device), Stopwatch(device)
        with writing.running():
            path, new = write_images(options.scratch or Path(folder), loaded, max(options.sizes))
        evict_page_cache(path)
        with opening.running():
            read_dataset(path, "growth")
        points = plan_points(options, device, loaded.train[0].nbytes)
        file_bytes = path.stat().st_size
        rounds = [run_round(options, config, points, loaded, path, number) for number in range(options.rounds)]
    size = {
        "width": config.width,
        "batch_size": config.batch_size,
        "peak_memory_bytes": peak_memory(Case(options.preset, "train", config)) if STATUS.exists() else None,
    }
    return {
        **start_record("growth", device, options),
        "precision": config.mixed_precision,
        "data": describe_data(loaded, repeated_to=max(options.sizes)),
        "method": METHOD,
        "host_memory_bytes": host_memory(),
        "file_bytes": file_bytes,
        "write_seconds": writing.seconds if new else None,
        "open_seconds": opening.seconds,
        "points": [size | describe(point, rounds) for point in points],
    }


def plan_points(options: GrowthOptions, device: torch.device, size: int) -> list[Point]:
    """List what is measured, by the number of images; `size` is that of an image, in bytes."""
    memory = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else host_memory()
    limit = memory / 4 if options.resident_limit is None else options.resident_limit * 2**30
    points = []
    for images in sorted(set(options.sizes)):
        cold = images == max(options.sizes)
        sources = ["resident"] if images * size <= limit else []
        sources += ["mapped", "streamed"] if device.type == "cpu" else ["streamed"]
        points += [Point(images, source, cold and source != "resident") for source in sources]
    return points


def run_round(
    options: GrowthOptions, config: TrainConfig, points: list[Point], loaded: Dataset, path: Path, number: int
) -> dict[Point, Record]:
    """Measure every point once, in every other round in the opposite order, so that no position is favored."""
    few = loaded.train[torch.arange(2 * config.batch_size) % len(loaded.train)]
    trainer = start_trainer(config, dataclasses.replace(loaded, train=few))
    for microbatches in trainer.loader.epoch(0):  # compiles, and makes the moments of the optimizer
        trainer.train_step(microbatches)
    order = Bar(points[:: -1 if number % 2 else 1], desc=f"round {number + 1}", unit="point")
    measured = {point: time_point(trainer, point, options, path) for point in order}
    del trainer
    release()
    return measured


def time_point(trainer: Trainer, point: Point, options: GrowthOptions, path: Path) -> Record:
    """Time some training steps on the images of a point, then the loader alone."""
    device, config = trainer.accelerator.device, trainer.config
    if point.cold:
        evict_page_cache(path)
    images = images_of(path, point.images)
    if not point.cold:
        prefetch(path, images.nbytes)
    before = occupied(device)
    start = time.perf_counter()
    if point.source == "resident":
        images = images.clone() if device.type == "cpu" else images.to(device)
    budget = 0 if point.source == "streamed" else math.inf
    few = trainer.loader
    trainer.loader = DeviceLoader(images, dataclasses.replace(config, device_budget=budget), device)
    batches = endless_batches(trainer.loader)

    def step() -> None:
        trainer.train_step(next(batches))

    step()
    epoch_start = time.perf_counter() - start
    seconds = sum(time_steps(step, options.steps, device, warmup=options.warmup - 1))
    after = occupied(device)
    alone = sum(time_steps(lambda: next(batches), 5 * options.steps, device))
    batches = itertools.chain()  # ends the threads that gather
    trainer.loader = few
    timed = options.steps * config.batch_size
    return {
        "images_per_second": timed / seconds,
        "epoch_start_seconds": epoch_start,
        "input_images_per_second": 5 * timed / alone,
        "host_bytes": max(after[0] - before[0], 0) if STATUS.exists() else None,
        "device_bytes": after[1] - before[1] if device.type == "cuda" else None,
    }


def occupied(device: torch.device) -> tuple[int, int]:
    """Return the bytes of anonymous memory of this process and those allocated on a GPU; 0 where there is none."""
    host = status_bytes("RssAnon") if STATUS.exists() else 0
    return host, torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def describe(point: Point, rounds: list[dict[Point, Record]]) -> Record:
    """Describe a point: the medians of its rounds, and its speed relative to resident images."""
    mine = [measured[point] for measured in rounds]
    known = [name for name, value in mine[0].items() if value is not None]
    medians = mine[0] | {name: statistics.median(one[name] for one in mine) for name in known}
    speeds = [one["images_per_second"] for one in mine]
    resident = [p for p in rounds[0] if p.source == "resident"]
    shares = None
    if point.source != "resident" and resident:  # compared with as many resident images, or the most
        beside = max(resident, key=lambda p: (p.images == point.images, p.images))
        shares = [speed / one[beside]["images_per_second"] for speed, one in zip(speeds, rounds, strict=True)]
    return {
        **dataclasses.asdict(point),
        **medians,
        "rounds": speeds,
        "share_of_resident": statistics.median(shares) if shares else None,
        "share_rounds": shares,
    }
