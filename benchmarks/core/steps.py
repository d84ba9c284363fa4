"""The steps that speed benchmarks measure: training and inference as `colornet` itself composes them."""

from __future__ import annotations

import dataclasses
import functools
import gc
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, PartialState
from torch import Tensor

from benchmarks.core.presets import EPOCH_IMAGES
from benchmarks.core.timing import Step, flops_of
from colornet.color import ColorSpace, to_float
from colornet.config import TrainConfig
from colornet.data import Dataset, DeviceLoader
from colornet.evaluation.loop import colorize_with
from colornet.evaluation.processes import connect
from colornet.models.build import build_generator, color_space
from colornet.models.unet import count_parameters
from colornet.objectives import Objective
from colornet.training.accelerator import choose_precision
from colornet.training.build import build_trainer, compose_objective
from colornet.training.trainer import Trainer

Mode = Literal["train", "inference"]

COUNTED_IMAGES = 2  # batch on which FLOPs are counted; BatchNorm needs more than one
_COUNTED_OF_TRAINING = 16  # images of the step of `training_flops`


@dataclass(frozen=True)
class Case:
    """What is measured: a preset, training or inference, and its configuration with nothing left on `auto`."""

    preset: str
    mode: Mode
    config: TrainConfig

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.config.cpu else "cuda")


def choose_device(cpu: bool) -> torch.device:
    """Return the GPU if there is one, unless the CPU was asked for."""
    return torch.device("cuda" if torch.cuda.is_available() and not cpu else "cpu")


def settle(config: TrainConfig, device: torch.device) -> TrainConfig:
    """Replace every `auto` of a configuration by what it means on a device.

    Raises `InputError` for a precision that the device does not have.
    """
    on_gpu = device.type == "cuda"
    compiled = config.compile == "on" or (config.compile == "auto" and on_gpu)
    values: dict[str, Any] = {"mixed_precision": choose_precision(config), "compile": "on" if compiled else "off"}
    return dataclasses.replace(config, cpu=not on_gpu, **values)


def start_accelerator(config: TrainConfig, *handlers: Any) -> Accelerator:
    """Start Accelerate in the precision of a configuration."""
    AcceleratorState._reset_state()  # it holds the precision of the case before and would refuse another
    return connect(cpu=config.cpu, mixed_precision=choose_precision(config), handlers=handlers)


def start_trainer(config: TrainConfig, dataset: Dataset) -> Trainer:
    """Build the networks of a configuration and what trains them, as `colornet.train` does."""
    return build_trainer(config, start_accelerator(config), dataset)


def endless_batches(loader: DeviceLoader) -> Iterator[list[Tensor]]:
    """Yield the micro-batches of one step after the other, epoch after epoch."""
    return itertools.chain.from_iterable(map(loader.epoch, itertools.count()))


def build_step(case: Case, dataset: Dataset) -> Step:
    """Build the networks of a case; return a function that trains one step, or colors one batch as evaluation does."""
    config = case.config
    if case.mode == "train":
        trainer = start_trainer(config, dataset)
        batches = endless_batches(trainer.loader)
        return lambda: trainer.train_step(next(batches))
    torch.backends.cudnn.benchmark = True
    accelerator = start_accelerator(config)
    generator = build_generator(config).to(accelerator.device).eval().requires_grad_(False)
    if config.compile == "on":
        generator.compile()
    colorize = colorize_with(generator, color_space(config), accelerator)
    images = dataset.train[: config.batch_size].to(accelerator.device)
    return lambda: colorize(images)


def input_step(loader: DeviceLoader, space: ColorSpace) -> Step:
    """Return a step that fetches the next batch of a loader and converts its colors, with nothing to train."""
    batches = endless_batches(loader)
    return lambda: [space.encode(to_float(images)) for images in next(batches)]


def release() -> None:
    """Free the memory of a case and the code compiled for its networks.

    Compiled code belongs to the source of a network, not to the object: the next case would reuse it, with dynamic
    shapes or, after a few cases, without compilation.
    """
    torch.compiler.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def counted(case: Case) -> Case:
    """Return a case to count its work by: `COUNTED_IMAGES` images, in plain steps in fp32."""
    values: dict[str, Any] = {"mixed_precision": "no", "compile": "off", "activation_checkpointing": False}
    values |= {"batch_size": COUNTED_IMAGES, "whole_step": False}
    return dataclasses.replace(case, config=dataclasses.replace(case.config, **values))


def count_flops(case: Case, dataset: Dataset) -> int:
    """Count the floating-point operations of one real step of a case, per image."""
    return flops_of(build_step(counted(case), dataset)) // COUNTED_IMAGES


@contextmanager
def unprepared_objective(config: TrainConfig) -> Iterator[Objective]:
    """Build what a configuration trains, on the CPU and not compiled; Accelerate's state is as before afterwards."""
    before = {kind: dict(kind._shared_state) for kind in (AcceleratorState, PartialState)}
    AcceleratorState._reset_state(reset_partial_state=True)  # it may be set to a GPU
    try:
        accelerator = connect(cpu=True)
        yield compose_objective(dataclasses.replace(config, compile="off"), accelerator, build_generator(config))
    finally:
        for kind, values in before.items():
            kind._shared_state.clear()
            kind._shared_state.update(values)


def training_flops(config: TrainConfig) -> float:
    """Count the floating-point operations of training per image; lazy penalties by their share of the steps."""
    images = torch.randint(0, 256, (_COUNTED_OF_TRAINING, 3, config.image_size, config.image_size), dtype=torch.uint8)
    noise = [torch.randn(_COUNTED_OF_TRAINING, config.noise_channels)] if config.noise_channels else None
    with unprepared_objective(config) as objective:
        step = functools.partial(objective.training_step, [images], noise=noise)
        usual, penalized = (flops_of(functools.partial(step, step=number)) for number in (1, 0))
    return (usual + (penalized - usual) / config.penalty_every) / _COUNTED_OF_TRAINING


def network_sizes(config: TrainConfig) -> dict[str, int]:
    """Count the trainable parameters of each network of a configuration."""
    with unprepared_objective(config) as objective:
        return {name: count_parameters(network) for name, network in objective.networks.items()}


def repeat_to_epoch(dataset: Dataset) -> Dataset:
    """Repeat training images until they are as many as those of CIFAR-10, for larger batches and usual epochs."""
    count = len(dataset.train)
    if count >= EPOCH_IMAGES:
        return dataset
    return dataclasses.replace(dataset, train=dataset.train[torch.arange(EPOCH_IMAGES) % count])


def random_dataset(config: TrainConfig) -> Dataset:
    """Return a data set of as many random images as a batch has."""
    side = config.image_size
    images = torch.randint(0, 256, (config.batch_size, 3, side, side), dtype=torch.uint8)
    return Dataset("random", images, images[:1], images[:1], "")
