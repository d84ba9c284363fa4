"""What `growth` writes down: speed and memory of every point, and how fast streaming is beside memory."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.core.memory import STATUS, peak_memory
from benchmarks.core.timing import time_steps
from benchmarks.growth.dataset import cool, images_of, warm, write_images
from benchmarks.growth.options import GrowthOptions, train_config
from benchmarks.throughput.measure import describe_data
from benchmarks.throughput.timing import Case, release, start_accelerator
from colornet.config import TrainConfig
from colornet.data import Dataset, DeviceLoader, load_dataset
from colornet.data.cache import read_parts
from colornet.runs.provenance import provenance
from colornet.training.accelerator import choose_precision
from colornet.training.build import build_trainer
from colornet.training.trainer import Trainer

__all__ = ["measure"]

METHOD = {
    "images": "those of --data again and again, each time with its own noise in the three lowest bits of each channel, "
    "in one file as the cache of decoded images has it; a smaller data set is the beginning of it",
    "images_per_second": "--steps updates of Trainer.train_step, each with the next batch of DeviceLoader, over the "
    "time that they take together, after --warmup of them; the median round, of which all are in `rounds`",
    "resident": "the images are in the memory of the device; on a CPU they are copied from the file to memory",
    "mapped": "on a CPU: the map of the file is used where it is, what training does without --device-budget",
    "streamed": "with --device-budget 0: gathered from the map in the background, three batches ahead",
    "cold": "the page cache was told to forget the file before the turn, so that nearly all images come from the disk, "
    "as they do where it is larger than memory; otherwise they were read once before, as loading does",
    "share_of_resident": "images/s over those of `resident` in the same round, with as many images, or with the most "
    "that were resident; the median round",
    "epoch_start_seconds": "until the first batch: images are uploaded, order and augmentations drawn",
    "input_images_per_second": "the loader alone, with nothing to train beside it",
    "host_bytes": "growth of the process's anonymous memory from before the loader was made until after the timed "
    "steps; mapped pages, which the system takes back when it needs them, do not count",
    "device_bytes": "growth of torch.cuda.memory_allocated likewise",
    "peak_memory_bytes": "as in throughput: of the process, or of the GPU's allocator, for two steps on as many random "
    "images as the batch has",
}


@dataclass(frozen=True)
class Point:
    """A number of training images, and where they are."""

    images: int
    source: str  # resident, mapped or streamed
    cold: bool = False


def measure(options: GrowthOptions) -> dict[str, Any]:
    """Measure all points in turns and return the record that the JSON file is to hold."""
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    loaded = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    with tempfile.TemporaryDirectory(prefix="growth-", dir=_beside(options)) as folder:
        start = time.perf_counter()
        path, new = write_images(options.scratch or Path(folder), loaded, max(options.sizes))
        written = time.perf_counter()
        cool(path)
        read = time.perf_counter()
        read_parts(path)
        opened = time.perf_counter()
        plan = plan_points(options, device, loaded.train[0].nbytes)
        path_bytes = path.stat().st_size
        rounds = [run_round(options, plan, loaded, path, device, number) for number in range(options.rounds)]
    points = []
    for (width, batch_size), measured in plan.items():
        config = settled(train_config(options, width, batch_size), device)
        memory = peak_memory(Case(options.preset, "train", config)) if STATUS.exists() else None
        for point in measured:
            at = width, batch_size, point
            points.append(describe(at, [one[at] for one in rounds], reference(at, measured, rounds), memory))
    return {
        "kind": "growth",
        **provenance(device),
        "options": {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(options).items()},
        "precision": choose_precision(train_config(options, options.width, options.batch_size)),
        "data": describe_data(loaded, repeated_to=max(options.sizes)),
        "method": METHOD,
        "host_memory_bytes": _host_memory(),
        "file_bytes": path_bytes,
        "write_seconds": written - start if new else None,
        "open_seconds": opened - read,
        "points": points,
    }


def plan_points(options: GrowthOptions, device: torch.device, size: int) -> dict[tuple[int, int], list[Point]]:
    """List what is measured with each (width, batch): one point, but of the base the growing data sets, too.

    `size` is that of an image, in bytes.
    """
    base = Point(options.images, "resident")
    sizes = [(width, options.batch_size) for width in options.widths]
    sizes += [(options.width, batch_size) for batch_size in options.batch_sizes]
    plan = {key: [base] for key in sizes}
    memory = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else _host_memory()
    limit = memory / 4 if options.resident_limit is None else options.resident_limit * 2**30
    grown = []
    for images in sorted(set(options.sizes)):
        cold = images == max(options.sizes)
        sources = ["resident"] if images * size <= limit else []
        sources += ["mapped", "streamed"] if device.type == "cpu" else ["streamed"]
        grown += [Point(images, source, cold and source != "resident") for source in sources]
    plan[options.width, options.batch_size] = list(dict.fromkeys([base, *grown]))
    return plan


def run_round(
    options: GrowthOptions,
    plan: dict[tuple[int, int], list[Point]],
    loaded: Dataset,
    path: Path,
    device: torch.device,
    number: int,
) -> dict[tuple[int, int, Point], dict[str, Any]]:
    """Measure every point once; every other round in the opposite order, so that no place in it is better."""
    measured = {}
    for (width, batch_size), points in tqdm(plan.items(), desc=f"round {number + 1}", unit="network", disable=None):
        config = settled(train_config(options, width, batch_size), device)
        few = loaded.train[torch.arange(2 * batch_size) % len(loaded.train)]
        trainer = build_trainer(config, start_accelerator(config), dataclasses.replace(loaded, train=few))
        for microbatches in trainer.loader.epoch(0):  # compiles, and makes the moments of the optimizer
            trainer.train_step(microbatches)
        for point in points[:: -1 if number % 2 else 1]:
            measured[width, batch_size, point] = take_turn(trainer, point, options, path)
        del trainer
        release()
    return measured


def settled(config: TrainConfig, device: torch.device) -> TrainConfig:
    """Return a configuration with nothing left on `auto`."""
    on_gpu = device.type == "cuda"
    values: dict[str, Any] = {
        "mixed_precision": choose_precision(config),
        "compile": "on" if config.compile == "on" or (config.compile == "auto" and on_gpu) else "off",
        "cpu": not on_gpu,
    }
    return dataclasses.replace(config, **values)


def take_turn(trainer: Trainer, point: Point, options: GrowthOptions, path: Path) -> dict[str, Any]:
    """Train some steps on the images of a point, then only load as many."""
    device, config = trainer.accelerator.device, trainer.config
    if point.cold:
        cool(path)
    images = images_of(path, point.images)
    if not point.cold:
        warm(path, images.nbytes)
    before = _host_bytes(), _device_bytes(device)
    start = time.perf_counter()
    if point.source == "resident":
        images = images.clone() if device.type == "cpu" else images.to(device)
    loader = DeviceLoader(
        images,
        batch_size=config.batch_size,
        device=device,
        seed=config.seed,
        flip=config.flip,
        shift=config.shift,
        device_budget=0 if point.source == "streamed" else math.inf,
    )
    few, trainer.loader = trainer.loader, loader
    batches = itertools.chain.from_iterable(map(loader.epoch, itertools.count()))
    trainer.train_step(next(batches))
    epoch_start = time.perf_counter() - start

    def step() -> None:
        trainer.train_step(next(batches))

    for _ in range(options.warmup - 1):
        step()
    seconds = sum(time_steps(step, options.steps, device))
    after = _host_bytes(), _device_bytes(device)
    alone = sum(time_steps(lambda: next(batches), 5 * options.steps, device))
    batches = itertools.chain()  # ends the threads that gather
    trainer.loader = few
    images_timed = options.steps * config.batch_size
    return {
        "images_per_second": images_timed / seconds,
        "epoch_start_seconds": epoch_start,
        "input_images_per_second": 5 * images_timed / alone,
        "host_bytes": None if before[0] is None or after[0] is None else max(after[0] - before[0], 0),
        "device_bytes": None if before[1] is None or after[1] is None else after[1] - before[1],
    }


Place = tuple[int, int, Point]  # width, batch, and what is trained on


def reference(at: Place, points: list[Point], rounds: list[dict[Place, dict[str, Any]]]) -> list[float] | None:
    """Return images/s in each round of the resident images that a point is compared with; None if it is resident."""
    width, batch_size, point = at
    resident = [p for p in points if p.source == "resident"]
    if point.source == "resident" or not resident:
        return None
    beside = next((p for p in resident if p.images == point.images), max(resident, key=lambda p: p.images))
    return [measured[width, batch_size, beside]["images_per_second"] for measured in rounds]


def describe(
    at: Place, rounds: list[dict[str, Any]], beside: list[float] | None, peak_memory_bytes: int | None
) -> dict[str, Any]:
    """Write down a point and the medians of its rounds."""
    width, batch_size, point = at
    speeds = [measured["images_per_second"] for measured in rounds]
    shares = [speed / other for speed, other in zip(speeds, beside, strict=True)] if beside else None
    medians = {name: None if value is None else statistics.median(m[name] for m in rounds)
               for name, value in rounds[0].items()}  # fmt: skip
    return {
        "width": width,
        "batch_size": batch_size,
        **dataclasses.asdict(point),
        **medians,
        "rounds": speeds,
        "share_of_resident": statistics.median(shares) if shares else None,
        "share_rounds": shares,
        "peak_memory_bytes": peak_memory_bytes,
    }


def _beside(options: GrowthOptions) -> Path | None:
    """Return the folder in which the file of images is made for a while: that of --out, if it is there."""
    return options.out.parent if options.out is not None and options.out.parent.is_dir() else None


def _host_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _host_bytes() -> int | None:
    """Return the bytes of anonymous memory of this process, where Linux says them."""
    if not STATUS.exists():
        return None
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def _device_bytes(device: torch.device) -> int | None:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else None
