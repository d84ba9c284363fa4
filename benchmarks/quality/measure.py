"""The comparison behind `python -m benchmarks quality`: every row colored, scored, summarized and pictured."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm

from benchmarks.baselines.reference_rows import Kind, reference_rows
from benchmarks.core.record import Record, start_record
from benchmarks.quality.color_stats import color_histograms
from benchmarks.quality.columns import COLUMNS
from benchmarks.quality.diversity import measure_diversity, summarize_diversity
from benchmarks.quality.exchange import gray_images, read_images, write_images
from benchmarks.quality.failures import CATEGORIES, failures_of
from benchmarks.quality.options import Group, QualityOptions, find_groups
from benchmarks.quality.pictures import choose_pictures, write_pictures
from benchmarks.quality.scorer import FEWEST_IMAGES, Scorer
from benchmarks.quality.summary import ScoredRow, summarize_result
from colornet.color import lightness_input, to_gray
from colornet.config import TrainConfig
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_all, colorize_with, connected
from colornet.models.build import color_space
from colornet.models.unet import UNet, count_parameters
from colornet.runs.run import Run

PROTOCOL = "candidate v0"

Gray = Callable[[Tensor], Tensor]
"""From sRGB images in [0, 1] to gray ones."""

OTHER_GRAYS: dict[str, Gray] = {
    "fd_cifar10_v1_mean": functools.partial(to_gray, kind="mean"),
    "fd_cifar10_v1_rec601": functools.partial(to_gray, kind="rec601"),
}


def measure(options: QualityOptions) -> Record | None:
    """Measure every row and write the pictures to `options.out`; None where only inputs are written, or on other ranks.

    With `options.write_inputs`, the gray inputs of the protocol are written there for other programs, and that is all.
    """
    groups = find_groups(options.runs)
    with connected(cpu=options.cpu) as accelerator:
        with accelerator.local_main_process_first():
            dataset = load_dataset(
                options.data or groups[0].config.data,
                image_size=groups[0].config.image_size if groups else 32,
                cache_dir=options.cache_dir,
                progress=accelerator.is_local_main_process,
            )
        if options.write_inputs is None:
            return Study(options, accelerator, dataset).compare(groups)
        if accelerator.is_main_process:
            images, classes, names = part_of(dataset, options.split)
            write_images(options.write_inputs, gray_images(images), classes, names)
            count = f"{len(images):,} gray {options.split} images of {dataset.name}"
            print(f"{count} written to {options.write_inputs}.")
        return None


def part_of(dataset: Dataset, split: str) -> tuple[Tensor, Tensor | None, tuple[str, ...]]:
    """Return the images of a part (N, 3, H, W), their classes (N,) if they have any, and the names of the classes."""
    labels = dataset.labels
    return (getattr(dataset, split), *((getattr(labels, split), labels.classes) if labels else (None, ())))


class Study:
    """A comparison on the images of one part of a data set.

    Args:
        options: of the command.
        accelerator: of the processes that take part.
        dataset: the part `options.split` of which is colored; its training images serve baselines and distances.
    """

    def __init__(self, options: QualityOptions, accelerator: Accelerator, dataset: Dataset) -> None:
        torch.backends.cudnn.benchmark = True  # the shapes never change
        self.options = options
        self.accelerator = accelerator
        self.dataset = dataset
        self.images, self.classes, self.names = part_of(dataset, options.split)
        if len(self.images) < FEWEST_IMAGES:
            raise InputError(
                f"{dataset.name} has {len(self.images)} {options.split} images: at least {FEWEST_IMAGES} are needed."
            )
        self.scorer = Scorer(options, accelerator, self.images, self.classes, dataset)

    def compare(self, groups: Sequence[Group]) -> Record | None:
        """Measure all rows; return the record on the first process, None on others."""
        options, dataset, images = self.options, self.dataset, self.images
        results = self.measure_rows(groups)
        if not self.accelerator.is_main_process:
            return None
        rule, pictured = choose_pictures(results, self.classes, self.names)
        failures = failures_of(results, self.scorer.classes)
        rows, planes = [], {}
        for result in results:
            planes[result.name], hues = color_histograms(result.pixels)
            row = summarize_result(result, results)
            rows.append({**row, "hues": hues.tolist(), "failures": failures.get(result.name)})
        if options.out is not None:
            write_pictures(options.out, results, [*pictured.values()], planes, failures)
        reasons = self.scorer.reasons
        return {
            **start_record("quality", self.accelerator.device, options),
            "protocol": PROTOCOL,
            "data": {
                "name": dataset.name,
                "split": options.split,
                "images": len(images),
                "near_duplicates": len(images) - int(self.scorer.distinct.sum()),
                "training_images": len(dataset.train),
                "image_size": images.shape[-1],
                "fingerprint": dataset.fingerprint,
            },
            "evaluators": self.scorer.evaluators,
            "columns": {
                name: {**dataclasses.asdict(column), "reason": reasons.get(name)} for name, column in COLUMNS.items()
            },
            "rows": rows,
            "failure_categories": CATEGORIES,
            "pictures": {"file": "quality.safetensors", "rule": rule, "labels": [*pictured]},
        }

    def measure_rows(self, groups: Sequence[Group]) -> list[ScoredRow]:
        """Measure the rows that need no model, then those of other programs' images, then the models."""
        results: list[ScoredRow] = []
        device, training = self.accelerator.device, self.dataset.train
        references, folders = reference_rows(), self.options.images
        count = len(references) + len(folders) + sum(len(group.members) for group in groups)
        hidden = None if self.accelerator.is_main_process else True  # None: shown on a terminal
        with tqdm(total=count, desc="Rows", unit="row", disable=hidden) as bar:
            for row in references:
                bar.set_postfix_str(row.name)
                pixels = row.make(self.images.to(device), training.to(device)).cpu()
                results.append(ScoredRow(row.name, row.kind, row.about, [self.scorer(pixels)], pixels, {}))
                bar.update()
            for folder in folders:
                bar.set_postfix_str(folder.name)
                pixels = read_images(folder, self.images, self.classes, self.names)
                about = f"Images that another program made of the gray inputs, from the folder {folder.name}."
                name = _unused(folder.resolve().name, results)
                results.append(ScoredRow(name, "model", about, [self.scorer(pixels)], pixels, {}))
                bar.update()
            for group in groups:
                name = _unused(group.name, results)
                results.append(self.measure_group(name, "model", group, lightness_input, bar))
                if group.config.color_space == "rgb":
                    own = f"{name}, own gray"
                    results.append(self.measure_group(own, "unranked", group, _images_themselves, None))
        return results

    def measure_group(self, name: str, kind: Kind, group: Group, gray: Gray, bar: tqdm[None] | None) -> ScoredRow:
        """Measure the runs of a group on a gray input: the protocol's one, or for an unranked row their own."""
        options, accelerator = self.options, self.accelerator
        scores, kept, runs, diverse = [], torch.empty(0), {}, []
        for index, run in enumerate(group.members):
            if bar is not None:
                bar.set_postfix_str(run.name)
            trained = Run(run)
            config, generator = trained.config, trained.load_generator().to(accelerator.device)
            pixels = self.colorize(config, generator, gray)
            scores.append(self.scorer(pixels))
            if options.robustness and kind == "model":
                scores[-1].values.update(
                    {
                        column: self.scorer.frechet(self.colorize(config, generator, other))
                        for column, other in OTHER_GRAYS.items()
                    }
                )
            if config.noise_channels and kind == "model":
                diverse.append(
                    measure_diversity(generator, color_space(config), self.images, pixels, accelerator, options)
                )
            kept = kept if index else pixels
            runs[str(run) if run.resolve().name in runs else run.resolve().name] = describe_run(trained, generator)
            if bar is not None:
                bar.update()
        return ScoredRow(name, kind, _about(runs, kind), scores, kept, runs, summarize_diversity(diverse))

    def colorize(self, config: TrainConfig, network: UNet, gray: Gray) -> Tensor:
        """Color all images: uint8 (N, 3, H, W)."""
        colorize = colorize_with(network, color_space(config), self.accelerator, gray=gray)
        return colorize_all(colorize, self.images, self.accelerator, batch_size=self.options.batch_size)


def describe_run(run: Run, generator: UNet) -> dict[str, Any]:
    """Say how a run was trained, without paths of this machine."""
    config = run.config
    return {
        "config": {
            **dataclasses.asdict(config),
            "data": Path(config.data).name,
            "objective": Path(config.objective).name,
            "init_from": config.init_from and Path(config.init_from).name,
        },
        "parameters": count_parameters(generator.requires_grad_(True)),
        "images_seen": run.images_seen,
        "validation": run.validation_curve,
        "training": run.starts,
    }


def _unused(name: str, results: Sequence[ScoredRow]) -> str:
    """Return a name for a row, with a number after it where another row has that name already."""
    taken = {result.name for result in results}
    unused, number = name, 1
    while unused in taken:
        number += 1
        unused = f"{name} ({number})"
    return unused


def _images_themselves(rgb: Tensor) -> Tensor:
    return rgb


def _about(runs: dict[str, dict[str, Any]], kind: Kind) -> str:
    first = next(iter(runs.values()))
    config = first["config"]
    return (
        f"{config['objective']}, width {config['width']}, {first['parameters']:,} parameters, "
        f"{first['images_seen']:,} training images seen, {len(runs)} seed(s)"
        + ("." if kind == "model" else "; on the mean of the channels, which it was trained on, not on L*.")
    )
