"""How long steps take: the training and inference of `colornet` on a device, and the seed pipeline in between."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tqdm import tqdm

from benchmarks.arithmetic import Step, flops_of, measure_peaks, peak_name, tf32_setting, time_steps
from benchmarks.seed_pipeline import SEED_BATCH_SIZE, SeedPipeline
from benchmarks.throughput import EPOCH_IMAGES, ThroughputConfig, preset_config
from colornet.compose import build_generator, build_trainer, choose_precision, color_space
from colornet.config import PRESETS, TrainConfig
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError
from colornet.evaluation import colorize_with
from colornet.models import count_parameters
from colornet.provenance import provenance

__all__ = ["Case", "count_flops", "measure", "plan", "repeat_to_epoch"]

Mode = Literal["train", "inference"]

COUNTED_IMAGES = 2  # FLOPs are counted on a batch of so many; BatchNorm may not like one
SEED_WARMUP = 2  # steps of the seed pipeline that are not timed, in each segment

SPEEDS = ("images_per_second", "step_ms", "steps", "achieved_flops", "mfu")  # null in a row that was not measured
NO_MEMORY = "Peak memory is measured on CUDA devices only."

METHOD = {
    "timing": "device events on CUDA, time.perf_counter on a CPU; a step of training is the next batch of DeviceLoader "
    "and Trainer.train_step (objective.training_step, update_ema), one of inference is colorize_with on a uint8 batch "
    "that is on the device; the first step and --warmup more are not among the timed ones",
    "spread": "p10 and p90 are percentiles of the timed steps; images_per_second is batch_size over the median step",
    "compile_seconds": "duration of the first step where the networks are compiled; Inductor's cache is empty at first",
    "flops_per_image": "torch.utils.flop_counter over one real step of the uncompiled networks in fp32: convolutions "
    "and matrix products, forward and backward, a multiply-add counted as two, attention as plain matrix products",
    "mfu": "achieved_flops over the peak of the row's data type, which is the fastest of some products of large square "
    "matrices at the start of this run; tf32 where the convolutions of an fp32 row may use it",
    "peak_memory_bytes": "torch.cuda.max_memory_allocated since before the networks were built, less what was "
    "allocated then",
    "parameters": "of the generator",
    "seed_pipeline": "a segment of its steps is timed before the first row and after every row, each after "
    f"{SEED_WARMUP} steps that are not; segments holds images/s of each, from its median step",
    "ratio_to_seed": "images_per_second over seed_images_per_second, which comes from the median step of the two "
    "segments right before and right after the row; the seed pipeline trains, in rows of inference too",
}


@dataclass(frozen=True)
class Case:
    """A row to measure: a preset, what it does, and its configuration with nothing left on `auto`."""

    preset: str
    mode: Mode
    config: TrainConfig

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.config.cpu else "cuda")


@dataclass(frozen=True)
class Timing:
    """Seconds of the first step and of each timed step; bytes of memory at the peak, None on a CPU."""

    first_step: float
    steps: list[float]
    peak_memory: int | None


def measure(options: ThroughputConfig) -> dict[str, Any]:
    """Measure all cases, and the seed pipeline between them; return the record that the JSON file is to hold.

    Raises `InputError` for options that do not go with the device or the data.
    """
    device = torch.device("cuda" if torch.cuda.is_available() and not options.cpu else "cpu")
    cases = plan(options, device)
    loaded = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    dataset = repeat_to_epoch(loaded)
    precisions = ["no", *(case.config.mixed_precision for case in cases)]  # the seed pipeline is in fp32
    peaks = measure_peaks(precisions, device)
    kinds = {(case.preset, case.mode): case for case in cases}
    flops = {kind: count_flops(case, dataset) for kind, case in kinds.items()}
    release()
    seed = None
    if options.seed_pipeline:
        width = options.width or PRESETS["seed-ae"][1].width
        seed = SeedPipeline(dataset.train, width=width, device=device)

    outcomes, segments = time_interleaved(cases, dataset, seed, options)
    rows = [
        describe_row(case, outcome, options, flops[case.preset, case.mode], peaks, before + after)
        for case, outcome, (before, after) in zip(cases, outcomes, itertools.pairwise(segments), strict=True)
    ]
    return {
        "kind": "throughput",
        **provenance(device),
        "options": {name: str(v) if isinstance(v, Path) else v for name, v in dataclasses.asdict(options).items()},
        "data": describe_data(loaded, repeated_to=len(dataset.train)),
        "method": METHOD,
        "peak": peaks,
        "seed_pipeline": describe_seed(seed, segments, peaks) if seed else None,
        "rows": rows,
    }


# What is timed


def plan(options: ThroughputConfig, device: torch.device) -> list[Case]:
    """List the cases in the order of the table: `auto` replaced by what it chooses on this device, none twice."""
    on_gpu = device.type == "cuda"
    if "fp16" in options.precisions and not on_gpu:
        raise InputError("--precisions fp16 needs a GPU: choose bf16, no or auto.")
    cases = []
    for preset, batch_size, precision, compiled in itertools.product(
        options.presets, options.batch_sizes, options.precisions, options.compile
    ):
        config = dataclasses.replace(preset_config(options, preset, batch_size), mixed_precision=precision)
        settled: dict[str, Any] = {
            "mixed_precision": choose_precision(config),
            "compile": "on" if compiled == "on" or (compiled == "auto" and on_gpu) else "off",
            "cpu": not on_gpu,
        }
        config = dataclasses.replace(config, **settled)
        cases += [Case(preset, "train", config), Case(preset, "inference", config)]
    return list(dict.fromkeys(cases))


def repeat_to_epoch(dataset: Dataset) -> Dataset:
    """Repeat training images until they are as many as those of CIFAR-10.

    Batches larger than a small data set become possible, and what is done once an epoch weighs as little as it does in
    training.
    """
    count = len(dataset.train)
    if count >= EPOCH_IMAGES:
        return dataset
    return dataclasses.replace(dataset, train=dataset.train[torch.arange(EPOCH_IMAGES) % count])


def build_step(case: Case, dataset: Dataset) -> Step:
    """Build the networks of a case; return what makes one step of training or of inference."""
    if case.mode == "inference":
        return inference_step(case.config, dataset)
    trainer = build_trainer(case.config, start_accelerator(case.config), dataset)
    batches = itertools.chain.from_iterable(map(trainer.loader.epoch, itertools.count()))
    return lambda: trainer.train_step(next(batches))


def count_flops(case: Case, dataset: Dataset) -> int:
    """Count the floating-point operations of one real step of a case, per image, with uncompiled networks in fp32."""
    config = dataclasses.replace(case.config, batch_size=COUNTED_IMAGES, mixed_precision="no", compile="off")
    return flops_of(build_step(dataclasses.replace(case, config=config), dataset)) // COUNTED_IMAGES


def inference_step(config: TrainConfig, dataset: Dataset) -> Step:
    """Return what colours one batch, as evaluation does it."""
    torch.backends.cudnn.benchmark = True  # as in evaluation
    accelerator = start_accelerator(config)
    generator = build_generator(config).to(accelerator.device).eval().requires_grad_(False)
    if config.compile == "on":
        generator.compile()
    colorize = colorize_with(generator, color_space(config), accelerator)
    images = dataset.train[: config.batch_size].to(accelerator.device)
    return lambda: colorize(images)


def start_accelerator(config: TrainConfig) -> Accelerator:
    """Start Accelerate in the precision of a case."""
    AcceleratorState._reset_state()  # it holds the precision of the case before and would refuse another
    return Accelerator(mixed_precision=config.mixed_precision, cpu=config.cpu)


# Timing


def time_interleaved(
    cases: list[Case], dataset: Dataset, seed: SeedPipeline | None, options: ThroughputConfig
) -> tuple[list[Timing | str], list[list[float]]]:
    """Time the cases with a segment of the seed pipeline before the first and after each.

    Returns what `attempt` does for each case, and seconds of the steps of each segment, one segment more than there are
    cases; without a seed pipeline they are empty.
    """
    outcomes = []
    with _empty_code_cache(), tqdm(cases, unit="row", disable=None) as bar:
        segments = [time_seed(seed, options.seed_steps)]
        for case in bar:
            bar.set_postfix_str(f"{case.preset}, {case.mode}, {case.config.batch_size}")
            outcomes.append(attempt(case, dataset, options))
            release()
            segments.append(time_seed(seed, options.seed_steps))
    return outcomes, segments


def time_seed(seed: SeedPipeline | None, steps: int) -> list[float]:
    """Time a segment of the seed pipeline, seconds a step; none where there is no pipeline."""
    if seed is None:
        return []
    torch.backends.cudnn.benchmark = False  # torch's default, which the seed does not touch
    for _ in range(SEED_WARMUP):
        seed.step()
    return time_steps(seed.step, steps, seed.device)


def attempt(case: Case, dataset: Dataset, options: ThroughputConfig) -> Timing | str:
    """Time a case; where it does not fit in the memory of the device, return a sentence that says so."""
    try:
        return time_case(case, dataset, options)
    except torch.OutOfMemoryError as error:
        return f"Does not fit in memory: {str(error).splitlines()[0]}"


def time_case(case: Case, dataset: Dataset, options: ThroughputConfig) -> Timing:
    """Build the networks of a case and time its first step and, after the warm-up, `options.steps` of them."""
    on_gpu = case.device.type == "cuda"
    allocated = torch.cuda.memory_allocated() if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    step = build_step(case, dataset)
    (first,) = time_steps(step, 1, case.device)
    for _ in range(options.warmup):
        step()
    steps = time_steps(step, options.steps, case.device)
    return Timing(first, steps, torch.cuda.max_memory_allocated() - allocated if on_gpu else None)


def release() -> None:
    """Forget the networks of a case and the code compiled for them.

    Compiled code belongs to the source of a network, not to the object: the next case would find it, and be compiled
    for variable shapes or, after a few cases, not at all.
    """
    torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _empty_code_cache() -> Iterator[None]:
    """Let nothing that an earlier run compiled make a first step short."""
    name = "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        os.environ[name] = folder
        try:
            yield
        finally:
            del os.environ[name]
            if before is not None:
                os.environ[name] = before


# The record


def describe_data(loaded: Dataset, *, repeated_to: int) -> dict[str, Any]:
    """Say which images were used: as they were loaded, and how many their repetition makes."""
    return {
        "name": loaded.name,
        "image_size": loaded.train.shape[-1],
        "images": len(loaded.train),
        "repeated_to": repeated_to,
        "fingerprint": loaded.fingerprint,
    }


def describe_row(
    case: Case,
    outcome: Timing | str,
    options: ThroughputConfig,
    flops: int,
    peaks: dict[str, float],
    around: list[float],
) -> dict[str, Any]:
    """Write down a case and what `attempt` made of it: its numbers, or None for each and the reason.

    `flops` are those of an image, `around` the seconds of the seed pipeline's steps before and after the case.
    """
    config = case.config
    seed_speed = SEED_BATCH_SIZE / statistics.median(around) if around else None
    if isinstance(outcome, Timing):
        peak = peaks[peak_name(config.mixed_precision, case.device)]
        measured = speeds(outcome.steps, config.batch_size, flops, peak)
        compile_seconds = outcome.first_step if config.compile == "on" else None
        memory, reason = outcome.peak_memory, NO_MEMORY if outcome.peak_memory is None else None
    else:
        measured, compile_seconds, memory, reason = dict.fromkeys(SPEEDS), None, None, outcome
    speed = measured["images_per_second"]
    with torch.device("meta"):
        parameters = count_parameters(build_generator(config))
    return {
        "preset": case.preset,
        "mode": case.mode,
        "batch_size": config.batch_size,
        "precision": config.mixed_precision,
        "compile": config.compile == "on",
        "width": config.width,
        "blocks": config.blocks if config.residual else None,
        "overrides": [name for name in ("width", "blocks") if getattr(options, name) is not None],
        "parameters": parameters,
        "flops_per_image": flops,
        **measured,
        "compile_seconds": compile_seconds,
        "peak_memory_bytes": memory,
        "seed_images_per_second": seed_speed,
        "ratio_to_seed": speed / seed_speed if speed and seed_speed else None,
        "tf32": tf32_setting(config.mixed_precision, case.device),
        "reason": reason,
    }


def describe_seed(seed: SeedPipeline, segments: list[list[float]], peaks: dict[str, float]) -> dict[str, Any]:
    """Write down the seed pipeline: the numbers of all its timed steps, and images/s of each segment."""
    flops = flops_of(seed.step) // SEED_BATCH_SIZE
    steps = list(itertools.chain.from_iterable(segments))
    return {
        "batch_size": SEED_BATCH_SIZE,
        "precision": "no",
        "compile": False,
        "width": seed.width,
        "parameters": count_parameters(seed.network),
        "flops_per_image": flops,
        **speeds(steps, SEED_BATCH_SIZE, flops, peaks[peak_name("no", seed.device)]),
        "segments": [SEED_BATCH_SIZE / statistics.median(segment) for segment in segments],
        "tf32": tf32_setting("no", seed.device),
    }


def speeds(steps: list[float], batch_size: int, flops: int, peak: float) -> dict[str, Any]:
    """Turn seconds a step into the numbers of a row; `flops` are those of an image, `peak` is in FLOP/s."""
    p10, median, p90 = (1000 * float(value) for value in np.quantile(steps, (0.1, 0.5, 0.9)))
    images_per_second = batch_size / (median / 1000)
    achieved = images_per_second * flops
    values = images_per_second, {"median": median, "p10": p10, "p90": p90}, len(steps), achieved, achieved / peak
    return dict(zip(SPEEDS, values, strict=True))
