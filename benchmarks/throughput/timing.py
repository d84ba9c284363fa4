"""How long steps take: the training and inference of `colornet` on a device, and the notebook pipeline in between."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from tqdm import tqdm

from benchmarks.core.timing import Step, flops_of, time_steps
from benchmarks.throughput.options import EPOCH_IMAGES, ThroughputOptions, preset_config
from colornet.color import to_float
from colornet.config import TrainConfig
from colornet.data import Dataset, DeviceLoader
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_with
from colornet.models.build import build_generator, color_space
from colornet.training.accelerator import choose_precision
from colornet.training.build import build_trainer

if TYPE_CHECKING:
    from benchmarks.baselines.notebook_pipeline import NotebookPipeline  # torchvision takes as long to import as torch

__all__ = ["COUNTED_IMAGES", "NOTEBOOK_WARMUP", "Case", "Timing", "build_step", "count_flops", "counted", "plan",
           "release", "repeat_to_epoch", "start_accelerator", "time_input", "time_interleaved"]  # fmt: skip

Mode = Literal["train", "inference"]

COUNTED_IMAGES = 2  # FLOPs are counted on a batch of so many; BatchNorm may not like one
NOTEBOOK_WARMUP = 2  # steps of the notebook pipeline that are not timed, in each segment


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


def plan(options: ThroughputOptions, device: torch.device) -> list[Case]:
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


def counted(case: Case) -> Case:
    """Return a case as its work is counted: a step on `COUNTED_IMAGES` images, uncompiled, in fp32, nothing twice."""
    config = dataclasses.replace(
        case.config, batch_size=COUNTED_IMAGES, mixed_precision="no", compile="off", activation_checkpointing=False
    )
    return dataclasses.replace(case, config=config)


def count_flops(case: Case, dataset: Dataset) -> int:
    """Count the floating-point operations of one real step of a case, per image."""
    return flops_of(build_step(counted(case), dataset)) // COUNTED_IMAGES


def inference_step(config: TrainConfig, dataset: Dataset) -> Step:
    """Return what colors one batch, as evaluation does it."""
    torch.backends.cudnn.benchmark = True  # as in evaluation
    accelerator = start_accelerator(config)
    generator = build_generator(config).to(accelerator.device).eval().requires_grad_(False)
    if config.compile == "on":
        generator.compile()
    colorize = colorize_with(generator, color_space(config), accelerator)
    images = dataset.train[: config.batch_size].to(accelerator.device)
    return lambda: colorize(images)


def time_input(case: Case, dataset: Dataset, options: ThroughputOptions) -> list[float]:
    """Time the input side of a step by itself, in seconds: shuffle, gather, augmentation, conversion of colors."""
    config = case.config
    loader = DeviceLoader(
        dataset.train,
        batch_size=config.batch_size,
        device=case.device,
        seed=config.seed,
        flip=config.flip,
        shift=config.shift,
    )
    space = color_space(config)
    batches = itertools.chain.from_iterable(map(loader.epoch, itertools.count()))

    def step() -> None:
        for images in next(batches):
            space.encode(to_float(images))

    for _ in range(1 + options.warmup):
        step()
    return time_steps(step, options.steps, case.device)


def start_accelerator(config: TrainConfig) -> Accelerator:
    """Start Accelerate in the precision of a case."""
    AcceleratorState._reset_state()  # it holds the precision of the case before and would refuse another
    return Accelerator(mixed_precision=config.mixed_precision, cpu=config.cpu)


# Timing


def time_interleaved(
    cases: list[Case], dataset: Dataset, seed: NotebookPipeline | None, options: ThroughputOptions
) -> tuple[list[Timing | str], list[list[float]]]:
    """Time the cases with a segment of the notebook pipeline before the first and after each.

    Returns what `attempt` does for each case, and seconds of the steps of each segment, one segment more than there are
    cases; without a notebook pipeline they are empty.
    """
    outcomes = []
    with _empty_code_cache(), tqdm(cases, unit="row", disable=None) as bar:
        segments = [time_notebook(seed, options.notebook_steps)]
        for case in bar:
            bar.set_postfix_str(f"{case.preset}, {case.mode}, {case.config.batch_size}")
            outcomes.append(attempt(case, dataset, options))
            release()
            segments.append(time_notebook(seed, options.notebook_steps))
    return outcomes, segments


def time_notebook(seed: NotebookPipeline | None, steps: int) -> list[float]:
    """Time a segment of the notebook pipeline, seconds a step; none where there is no pipeline."""
    if seed is None:
        return []
    torch.backends.cudnn.benchmark = False  # torch's default, which the notebooks do not touch
    for _ in range(NOTEBOOK_WARMUP):
        seed.step()
    return time_steps(seed.step, steps, seed.device)


def attempt(case: Case, dataset: Dataset, options: ThroughputOptions) -> Timing | str:
    """Time a case; where it does not fit in the memory of the device, return a sentence that says so."""
    try:
        return time_case(case, dataset, options)
    except torch.OutOfMemoryError as error:
        return f"Does not fit in memory: {str(error).splitlines()[0]}"


def time_case(case: Case, dataset: Dataset, options: ThroughputOptions) -> Timing:
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
