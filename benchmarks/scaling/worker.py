"""The processes behind `python -m benchmarks scaling`: real training steps, with and without their communication."""

from __future__ import annotations

import functools
import itertools
import os
import statistics
from contextlib import ExitStack

import torch
import torch.distributed as dist
from accelerate import DistributedDataParallelKwargs
from torch import nn

from benchmarks.core.presets import sized_preset
from benchmarks.core.record import Record
from benchmarks.core.steps import endless_batches, input_step, release, repeat_to_epoch, start_accelerator
from benchmarks.core.timing import Step, time_steps
from benchmarks.scaling.options import ScalingOptions
from colornet.data import Dataset, load_dataset
from colornet.evaluation.processes import wait_for_all
from colornet.models.unet import count_parameters
from colornet.training.build import build_trainer
from colornet.training.trainer import Trainer

SMALL = 4096  # bytes of an all-reduce whose time is latency alone
CONNECTING = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")  # make Accelerate connect to other processes


def work(options: ScalingOptions, processes: int) -> list[Record]:
    """Measure all points in one of the processes."""
    if processes == 1:
        for name in CONNECTING:
            os.environ.pop(name, None)
    torch.set_num_threads(options.threads or max(1, (os.cpu_count() or 1) // max(options.processes)))
    loaded = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir)
    dataset = repeat_to_epoch(loaded)
    buckets = options.bucket_mb if processes > 1 else options.bucket_mb[:1]
    points = []
    for preset, images, bucket in itertools.product(options.presets, options.batch_sizes, buckets):
        points.append(time_point(options, dataset, preset, images, processes, bucket))
        release()
    if dist.is_initialized():
        dist.destroy_process_group()
    return points


def time_point(
    options: ScalingOptions, dataset: Dataset, preset: str, images: int, processes: int, bucket: float
) -> Record:
    """Time steps with `images` per process and their parts: medians in seconds."""
    config = sized_preset(options, preset, batch_size=images * processes)
    accelerator = start_accelerator(config, DistributedDataParallelKwargs(bucket_cap_mb=bucket))
    trainer = build_trainer(config, accelerator, dataset)
    batches = endless_batches(trainer.loader)
    size = gradient_bytes(trainer)

    def seconds(step: Step) -> float:
        for _ in range(options.warmup):
            step()
        wait_for_all(accelerator)
        return statistics.median(time_steps(step, options.steps, accelerator.device))

    def step() -> None:
        trainer.train_step(next(batches))

    point: Record = {
        "preset": preset,
        "processes": processes,
        "images": images,
        "bucket_mb": bucket,
        "precision": accelerator.mixed_precision,
        "gradient_bytes": size,
        "step": seconds(step),
        "input": seconds(input_step(trainer.loader, trainer.space)),
    }
    if processes == 1:
        return point
    with ExitStack() as stack:
        for network in trainer.objective.networks.values():
            assert isinstance(network, nn.parallel.DistributedDataParallel)
            stack.enter_context(network.no_sync())
        point["compute"] = seconds(step)
    for name, count in (("all_reduce", size // 4), ("small_all_reduce", SMALL // 4)):
        point[name] = seconds(functools.partial(dist.all_reduce, torch.zeros(count, device=accelerator.device)))
    return point


def gradient_bytes(trainer: Trainer) -> int:
    """Return the bytes of the gradients, fp32, of all networks that an objective trains."""
    return 4 * sum(count_parameters(network) for network in trainer.objective.networks.values())
