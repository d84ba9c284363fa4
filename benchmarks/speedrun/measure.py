"""The record of `speedrun`: the original notebooks' autoencoder sets a target error, ours trains to reach it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import sys

import torch
from torch import Tensor

from benchmarks.baselines.notebook_pipeline import NOTEBOOK_BATCH_SIZE, NotebookPipeline
from benchmarks.core.record import Record, start_record
from benchmarks.core.steps import choose_device, release, settle, start_accelerator, start_trainer
from benchmarks.core.timing import Stopwatch, tf32_setting
from benchmarks.speedrun import to_quality
from benchmarks.speedrun.error import MARGIN_DB, check_target, decibels_below, held_out_mse, measure_floors
from benchmarks.speedrun.images import load_images
from benchmarks.speedrun.options import SpeedrunOptions, our_config
from colornet.bar import Bar
from colornet.color import RgbSpace
from colornet.config import PRESETS, TrainConfig
from colornet.data import Dataset
from colornet.errors import DivergedError
from colornet.evaluation.loop import colorize_with
from colornet.files import finite_or_none
from colornet.models.unet import count_parameters

_NOTEBOOK = PRESETS["notebook-ae"].config

METHOD = {
    "mse": "mean squared error of RGB in [0, 1] over all held-out pixels, of outputs rounded to 8 bits, for both sides",
    "target": "of the notebook pipeline after its last epoch, in evaluation mode; trained once, with one seed",
    "floors": f"the errors of the input itself, without training; a target must be {MARGIN_DB} dB below the better one",
    "seconds": "wall clock of training steps, the device waited for, after an untimed step that is not kept",
    "cpu_seconds": "processor time of the same steps, all threads; cpu_ratio is their ratio; None on a GPU",
    "seconds_to_target": "of the notebook pipeline: until its first epoch that ends at or below the target",
    "evaluation_seconds": "of all evaluations, not part of the other times",
    "compile_seconds": "of the untimed step of compiled networks; shorter where Inductor's cache has their code",
    "ratio": "seconds_to_target over seconds of the run; a run that misses the target counts as infinitely slow",
    "ours": "Trainer.train_step; the moving average is evaluated every --eval-steps steps and at the end, and the run "
    "stops at the first evaluation at or below the target",
    "notebook_pipeline": "baselines/notebook_pipeline.py, learning rate × 0.9 and an evaluation after each epoch",
}

GRAYS = {"rgb": "channel mean, not rounded", "lab": "L* at 8 bits"}
GRAY_NOTES = {
    "rgb": "Both see the same gray, the unrounded mean of the channels, and predict RGB.",
    "lab": "Not the same gray: the notebooks' network sees the unrounded mean of the channels, ours L* at 8 bits, "
    "which its output keeps; the MSE of gray itself is lower with the mean.",
}


def measure(options: SpeedrunOptions) -> Record:
    """Train both sides, or the recipes of --to-quality, and return the record.

    Raises `InputError` for options that do not go with the device or the data.
    """
    if options.to_quality is not None:
        return to_quality.measure(options)
    device = choose_device(options.cpu)
    config = settle(our_config(options), device)
    dataset, held_out = load_images(options, config.batch_size)
    floors = measure_floors(dataset.train, held_out, device, batch_size=options.eval_batch_size)
    notebook = run_notebook(options, dataset.train, held_out, device, floors)
    release()
    target = notebook["curve"][-1]["mse"]
    check_target(target, floors)
    runs = []
    for seed in range(options.seeds):
        run = run_ours(dataclasses.replace(config, seed=seed), dataset, held_out, target, options.eval_steps)
        release()
        for ratio, clock in (("ratio", "seconds"), ("cpu_ratio", "cpu_seconds")):
            known = run["reached"] and run[clock]
            run[ratio] = notebook[f"{clock}_to_target"] / run[clock] if known else None
        runs.append(run)
    seconds = statistics.median([run["seconds"] if run["reached"] else math.inf for run in runs])
    cpu_ratio = statistics.median([run["cpu_ratio"] or 0.0 for run in runs])
    values, original = dataclasses.asdict(config), dataclasses.asdict(PRESETS[options.preset].config)
    return {
        **start_record("speedrun", device, options),
        "data": {
            "name": dataset.name,
            "image_size": options.image_size,
            "training_images": len(dataset.train),
            "fingerprint": dataset.fingerprint,
        },
        "method": METHOD,
        "gray": {
            "notebook_pipeline": GRAYS["rgb"],
            "ours": GRAYS[config.color_space],
            "same": config.color_space == "rgb",
            "note": GRAY_NOTES[config.color_space],
        },
        "target": {
            "mse": target,
            "decibels_below_floors": finite_or_none(decibels_below(target, floors)),
            "split": options.split,
            "images": len(held_out),
        },
        "floors": floors,
        "notebook_pipeline": notebook,
        "ours": {
            "preset": options.preset,
            "changed": {name: value for name, value in values.items() if value != original[name]},
            "config": values,
            "tf32": tf32_setting(config.mixed_precision, device),
        },
        "runs": runs,
        "median": {
            "seconds": finite_or_none(seconds),
            "ratio": notebook["seconds_to_target"] / seconds or None,
            "cpu_ratio": cpu_ratio or None,
        },
    }


def run_notebook(
    options: SpeedrunOptions, train: Tensor, held_out: Tensor, device: torch.device, floors: dict[str, Record]
) -> Record:
    """Train the original notebooks' autoencoder for its epochs; return its numbers and its curve, a point an epoch.

    After each epoch, its error is shown beside the floors.
    """
    torch.backends.cudnn.benchmark = False  # torch's default, which the notebooks do not touch
    NotebookPipeline(train, width=options.notebook_width, device=device).step()  # starts the device and its libraries
    torch.manual_seed(0)
    pipeline = NotebookPipeline(train, width=options.notebook_width, device=device)
    accelerator = start_accelerator(dataclasses.replace(_NOTEBOOK, cpu=device.type == "cpu"))
    colorize = colorize_with(pipeline.network, RgbSpace(), accelerator)
    training, evaluation = Stopwatch(device), Stopwatch(device)
    curve: list[Record] = []
    shown = ", ".join(f"{floor['mse']:.5f} ({name})" for name, floor in floors.items())
    sizes = [len(batch) for batch in train.split(NOTEBOOK_BATCH_SIZE)]  # its loader keeps the ragged last batch
    total = options.notebook_epochs * len(train)
    with Bar(total=total, desc="notebook", unit="img", unit_scale=True) as bar:
        for epoch in range(1, options.notebook_epochs + 1):
            for size in sizes:
                with training.running():
                    pipeline.step()
                bar.update(size)
            for group in pipeline.optimizer.param_groups:
                group["lr"] *= _NOTEBOOK.lr_decay
            with evaluation.running():
                pipeline.network.eval()
                mse = held_out_mse(colorize, held_out, device, batch_size=options.eval_batch_size)
                pipeline.network.train()
            curve.append({"epoch": epoch, "images": epoch * len(train), **training.times(), "mse": mse})
            bar.write(f"notebook, epoch {epoch}: MSE {mse:.5f}; floors: {shown}", file=sys.stderr)
    there = next(point for point in curve if point["mse"] <= mse)  # the last epoch at the latest
    return {
        "seed": 0,
        "epochs": options.notebook_epochs,
        "width": options.notebook_width,
        "batch_size": NOTEBOOK_BATCH_SIZE,
        "precision": "no",
        "tf32": tf32_setting("no", device),
        "parameters": count_parameters(pipeline.network),
        "images": total,
        **training.times(),
        "seconds_to_target": there["seconds"],
        "cpu_seconds_to_target": there["cpu_seconds"],
        "evaluation_seconds": evaluation.seconds,
        "curve": curve,
    }


def run_ours(config: TrainConfig, dataset: Dataset, held_out: Tensor, target: float, eval_steps: int) -> Record:
    """Train our configuration from scratch until an evaluation is at or below the target, or its epochs are over."""
    trainer = start_trainer(config, dataset)
    device = trainer.accelerator.device
    colorize = colorize_with(trainer.ema, trainer.space, trainer.accelerator)
    compilation, training, evaluation = Stopwatch(device), Stopwatch(device), Stopwatch(device)
    with compilation.running():
        trainer.warm_up_ddp()
    curve: list[Record] = []
    reached, reason = False, None
    total, batch = trainer.last_step, config.batch_size
    batches = itertools.chain.from_iterable(map(trainer.loader.epoch, range(config.epochs)))
    with Bar(total=total * batch, desc=f"ours, {config.seed}", unit="img", unit_scale=True) as bar:
        try:
            while trainer.step < total and not reached:
                with training.running():
                    for microbatches in itertools.islice(batches, eval_steps):
                        trainer.train_step(microbatches)
                with evaluation.running():
                    trainer.check_finite()
                    mse = held_out_mse(colorize, held_out, device, batch_size=config.eval_batch_size)
                images = trainer.step * batch
                curve.append({"step": trainer.step, "images": images, **training.times(), "mse": mse})
                bar.update(images - bar.n)
                bar.set_postfix_str(f"MSE {mse:.5f}, target {target:.5f}")
                reached = mse <= target
        except DivergedError:
            reason = f"The loss was not finite after {trainer.step} steps: lower --lr."
    if not reached and reason is None:
        reason = f"The lowest MSE in {config.epochs} epochs was {min(point['mse'] for point in curve):.5f}."
    return {
        "seed": config.seed,
        "reached": reached,
        "reason": reason,
        **training.times(),
        "steps": trainer.step,
        "images": trainer.step * batch,
        "parameters": count_parameters(trainer.generator),
        "compile_seconds": compilation.seconds if config.compile == "on" else None,
        "evaluation_seconds": evaluation.seconds,
        "curve": curve,
    }
