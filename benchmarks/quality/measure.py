"""The comparison behind `python -m benchmarks quality`: every row colored, measured, tabulated and written."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors import safe_open
from torch import Tensor
from tqdm import tqdm

from benchmarks.baselines.reference_rows import Kind, reference_rows
from benchmarks.quality.color_stats import color_histograms
from benchmarks.quality.columns import COLUMNS, DISTINCT, HEADLINE
from benchmarks.quality.diversity import format_diversity, measure_diversity, summarize_diversity
from benchmarks.quality.exchange import gray_images, read_images, write_images
from benchmarks.quality.failures import CATEGORIES, failures_of
from benchmarks.quality.options import Group, QualityOptions
from benchmarks.quality.scorer import FEWEST_IMAGES, Measures
from benchmarks.quality.summary import Result, choose_pictures, format_table, summarize_result, write_pictures
from colornet.color import ColorSpace, lightness_input, to_gray
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_all, colorize_with
from colornet.files import replacing
from colornet.models.build import color_space
from colornet.models.unet import UNet, count_parameters
from colornet.runs.model_card import validations
from colornet.runs.provenance import images_before, provenance, read_provenance, write_json
from colornet.runs.run import load_run

__all__ = ["compare", "write_inputs"]

PROTOCOL = "candidate v0"

Gray = Callable[[Tensor], Tensor]
"""From sRGB images in [0, 1] to gray ones."""

OTHER_GRAYS: dict[str, Gray] = {
    "fd_cifar10_v1_mean": functools.partial(to_gray, kind="mean"),
    "fd_cifar10_v1_rec601": functools.partial(to_gray, kind="rec601"),
}


def write_inputs(config: QualityOptions, groups: Sequence[Group], folder: Path, accelerator: Accelerator) -> None:
    """Write the gray inputs of the protocol as CLASS/NNNN.png, for colorizers that are no colornet run."""
    dataset = _load(config, groups, accelerator)
    images, classes = _part(dataset, config.split)
    if accelerator.is_main_process:
        write_images(folder, gray_images(images), classes, dataset.labels.classes if dataset.labels else ())
        print(f"{len(images):,} gray {config.split} images of {dataset.name} written to {folder}.")


def compare(config: QualityOptions, groups: Sequence[Group], accelerator: Accelerator) -> None:
    """Measure every row, print the headline of the table and write everything to `config.out`."""
    torch.backends.cudnn.benchmark = True  # the shapes never change
    dataset = _load(config, groups, accelerator)
    images, classes = _part(dataset, config.split)
    if len(images) < FEWEST_IMAGES:
        raise InputError(
            f"{dataset.name} has {len(images)} {config.split} images: at least {FEWEST_IMAGES} are needed."
        )
    measures = Measures(config, accelerator, images, classes, dataset)
    results = _measure_rows(config, groups, accelerator, dataset, images, measures)
    if not accelerator.is_main_process:
        return

    rows = [summarize_result(result, results) for result in results]
    reasons = {name: measures.reasons.get(name) for name in COLUMNS}
    print(f"{config.split} images of {dataset.name}: {len(images):,}\n\n{format_table(rows, reasons, HEADLINE)}")
    duplicates = len(images) - int(measures.distinct.sum())
    without = f"Without the {duplicates:,} images that have a near-duplicate among the training images:"
    second = f"{without}\n\n{format_table(rows, reasons, DISTINCT, 'distinct')}\n"
    if config.out is None:
        return
    pictures = choose_pictures(results, dataset, classes)
    planes, failures = {}, failures_of(results, measures.classes)
    for result, row in zip(results, rows, strict=True):
        planes[result.name], hues = color_histograms(result.pixels)
        row |= {"hues": hues.tolist(), "failures": failures.get(result.name)}
    record = {
        "kind": "quality",
        "protocol": PROTOCOL,
        **provenance(accelerator.device),
        "data": {
            "name": dataset.name,
            "split": config.split,
            "images": len(images),
            "near_duplicates": duplicates,
            "training_images": len(dataset.train),
            "image_size": images.shape[-1],
            "fingerprint": dataset.fingerprint,
        },
        "evaluators": measures.evaluators,
        "columns": {name: {**dataclasses.asdict(column), "reason": reasons[name]} for name, column in COLUMNS.items()},
        "rows": rows,
        "failure_categories": CATEGORIES,
        "pictures": {"file": "quality.safetensors", "rule": pictures[0], "labels": list(pictures[1])},
    }
    worst = {
        name: [[image["position"] for image in images] for images in found["lists"].values()]
        for name, found in failures.items()
    }
    write_pictures(config.out, results, list(pictures[1].values()), planes, worst)
    write_json(config.out / "quality.json", record)
    with replacing(config.out / "quality.md") as path:
        tables = [format_table(rows, reasons, tuple(COLUMNS)), second.rstrip(), *format_diversity(rows)]
        path.write_text("\n\n".join(tables) + "\n", encoding="utf-8")
    print(f"\nWritten to {config.out}: quality.json, quality.md, quality.png, quality.safetensors")


def _load(config: QualityOptions, groups: Sequence[Group], accelerator: Accelerator) -> Dataset:
    with accelerator.local_main_process_first():
        return load_dataset(
            config.data or groups[0].config.data,
            image_size=groups[0].config.image_size if groups else 32,
            cache_dir=config.cache_dir,
            progress=accelerator.is_local_main_process,
        )


def _part(dataset: Dataset, split: str) -> tuple[Tensor, Tensor | None]:
    """Return images (N, 3, H, W) and classes (N,) of a part."""
    return getattr(dataset, split), getattr(dataset.labels, split) if dataset.labels else None


def _measure_rows(
    config: QualityOptions,
    groups: Sequence[Group],
    accelerator: Accelerator,
    dataset: Dataset,
    images: Tensor,
    measures: Measures,
) -> list[Result]:
    """Measure the rows that need no model, then those of other programs' images, then the models."""
    results: list[Result] = []
    references = reference_rows()
    count = len(references) + len(config.images) + sum(len(group.members) for group in groups)
    with tqdm(total=count, desc="Rows", unit="row", disable=None if accelerator.is_main_process else True) as bar:
        device = accelerator.device
        for row in references:
            bar.set_postfix_str(row.name)
            pixels = row.make(images.to(device), dataset.train.to(device)).cpu()
            results.append(Result(row.name, row.kind, row.about, [measures(pixels)], pixels, {}))
            bar.update()
        for folder in config.images:
            bar.set_postfix_str(folder.name)
            pixels = read_images(folder, images, *_classes(dataset, config.split))
            about = f"Images that another program made of the gray inputs, from the folder {folder.name}."
            name = _unused(folder.resolve().name, results)
            results.append(Result(name, "model", about, [measures(pixels)], pixels, {}))
            bar.update()
        for group in groups:
            group = dataclasses.replace(group, name=_unused(group.name, results))
            results += _measure_group(group, config, accelerator, images, measures, bar)
    return results


def _unused(name: str, results: Sequence[Result]) -> str:
    """Return a name for a row, with a number after it where another row has that name already."""
    taken = {result.name for result in results}
    unused, number = name, 1
    while unused in taken:
        number += 1
        unused = f"{name} ({number})"
    return unused


def _classes(dataset: Dataset, split: str) -> tuple[Tensor | None, tuple[str, ...]]:
    return (getattr(dataset.labels, split), dataset.labels.classes) if dataset.labels else (None, ())


def _measure_group(
    group: Group, config: QualityOptions, accelerator: Accelerator, images: Tensor, measures: Measures, bar: tqdm[None]
) -> list[Result]:
    """Measure the runs of a group on the protocol's input and, if that is not their own gray, on theirs, too."""
    inputs: dict[str, tuple[Kind, Gray]] = {group.name: ("model", lightness_input)}
    if group.config.color_space == "rgb":
        inputs[f"{group.name}, own gray"] = ("unranked", _images_themselves)
    results = []
    for name, (kind, gray) in inputs.items():
        scores, kept, runs, diverse = [], torch.empty(0), {}, []
        for index, run in enumerate(group.members):
            bar.set_postfix_str(run.name)
            run_config, generator = load_run(run)
            generator = generator.to(accelerator.device)
            colorize = functools.partial(
                _colorize, generator, color_space(run_config), images, accelerator, config.batch_size
            )
            pixels = colorize(gray)
            scores.append(measures(pixels))
            if config.robustness and kind == "model":
                scores[-1].values.update(
                    {name: measures.frechet(colorize(other)) for name, other in OTHER_GRAYS.items()}
                )
            if run_config.noise_channels and kind == "model":
                space, counts = color_space(run_config), (config.samples, config.sample_images)
                diverse.append(
                    measure_diversity(
                        generator, space, images, pixels, accelerator, *counts, batch_size=config.batch_size
                    )
                )
            kept = kept if index else pixels
            runs[run.resolve().name if run.resolve().name not in runs else str(run)] = {
                "config": {
                    **dataclasses.asdict(run_config),
                    "data": Path(run_config.data).name,
                    "init_from": run_config.init_from and Path(run_config.init_from).name,
                },
                "parameters": count_parameters(generator.requires_grad_(True)),
                "images_seen": _images_seen(run, run_config.batch_size),
                "validation": _curve(run, run_config.batch_size),
                "training": read_provenance(run),
            }
            if kind == "model":
                bar.update()
        results.append(Result(name, kind, _about(runs, kind), scores, kept, runs, summarize_diversity(diverse)))
    return results


def _colorize(
    network: UNet, space: ColorSpace, images: Tensor, accelerator: Accelerator, batch_size: int, gray: Gray
) -> Tensor:
    colorize = colorize_with(network, space, accelerator, gray=gray)
    return colorize_all(colorize, images, accelerator, batch_size=batch_size)


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


def _images_seen(run: Path, batch_size: int) -> int:
    with safe_open(run / "model.safetensors", framework="pt") as file:
        return int((file.metadata() or {}).get("step", 0)) * batch_size + images_before(run)


def _curve(run: Path, batch_size: int) -> list[dict[str, float]]:
    """Read what a run measured on the validation images while it trained, beside the images that it had seen."""
    before = images_before(run)
    return [
        {"images": record["step"] * batch_size + before}
        | {name.removeprefix("validation/"): v for name, v in record.items() if name.startswith("validation/")}
        for record in validations(run)
    ]
