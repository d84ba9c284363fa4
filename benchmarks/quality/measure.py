"""The comparison behind `python -m benchmarks quality`: every row colored, scored, summarized and pictured."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor

from benchmarks.baselines.reference_rows import Kind, reference_rows
from benchmarks.core.record import Record, start_record
from benchmarks.quality.color_stats import color_histograms
from benchmarks.quality.columns import COLUMNS, PAIRED
from benchmarks.quality.diversity import measure_diversity, summarize_diversity
from benchmarks.quality.exchange import gray_images, read_images, write_images
from benchmarks.quality.failures import CATEGORIES, failures_of
from benchmarks.quality.options import Group, QualityOptions, find_groups
from benchmarks.quality.pictures import choose_pictures, write_pictures
from benchmarks.quality.scorer import OTHER_GRAYS, Scorer, Values, part_of
from benchmarks.quality.summary import ScoredRow, summarize_result, summarize_sampler
from colornet.bar import Bar
from colornet.color import lightness_input, to_gray
from colornet.data import load_dataset
from colornet.errors import InputError
from colornet.evaluation.processes import connected, local_first
from colornet.models.build import color_space
from colornet.models.unet import count_parameters
from colornet.runs.run import Run

PROTOCOL = "candidate v1"


def measure(options: QualityOptions) -> Record | None:
    """Measure every row and write the pictures to `options.out`; None where only inputs are written, or on other ranks.

    With `options.write_inputs`, the gray inputs of the protocol are written there for other programs, and that is all.
    """
    groups = find_groups(options.runs)
    with connected(cpu=options.cpu) as accelerator:
        with local_first(accelerator):
            dataset = load_dataset(
                options.data or groups[0].config.data,
                image_size=groups[0].config.image_size if groups else 32,
                cache_dir=options.cache_dir,
                progress=accelerator.is_local_main_process,
            )
        if len({*gather_object([dataset.fingerprint])}) > 1:  # their shares of the work would not fit together
            raise InputError(f"The processes read different images as {dataset.name}: give all of them the same ones.")
        if options.write_inputs is None:
            torch.backends.cudnn.benchmark = True  # the shapes never change
            scorer = Scorer(options, accelerator, dataset)
            results = _measure_rows(scorer, groups)
            return _summarize(scorer, results) if accelerator.is_main_process else None
        if accelerator.is_main_process:
            images, classes, names = part_of(dataset, options.split)
            write_images(options.write_inputs, gray_images(images), classes, names)
            count = f"{len(images):,} gray {options.split} images of {dataset.name}"
            print(f"{count} written to {options.write_inputs}.")
        return None


def _summarize(scorer: Scorer, results: Sequence[ScoredRow]) -> Record:
    """Write the pictures and return the record."""
    options, dataset, images = scorer.options, scorer.dataset, scorer.images
    rule, pictured = choose_pictures(results, scorer.classes, scorer.names)
    failures = failures_of(results, scorer.cifar10_classes)
    told = None if scorer.ceiling is None else scorer.ceiling["accuracy"]
    rows, planes = [], {}
    for result in results:
        planes[result.name], hues = color_histograms(result.pixels)
        row = summarize_result(result, results, accuracy_told=told)
        rows.append({**row, "hues": hues.tolist(), "failures": failures.get(result.name)})
    rows.append(summarize_sampler(results, scorer.classes))
    if options.out is not None:
        write_pictures(options.out, results, [*pictured.values()], planes, failures)
    return {
        **start_record("quality", scorer.accelerator.device, options),
        "protocol": PROTOCOL,
        "data": {
            "name": dataset.name,
            "split": options.split,
            "images": len(images),
            "near_duplicates": len(images) - int(scorer.distinct.sum()),
            "training_images": len(dataset.train),
            "image_size": images.shape[-1],
            "fingerprint": dataset.fingerprint,
        },
        "evaluators": scorer.evaluators,
        "ceiling": scorer.ceiling,
        "columns": {name: {**asdict(column), "reason": scorer.reasons.get(name)} for name, column in COLUMNS.items()},
        "rows": rows,
        "failure_categories": CATEGORIES,
        "pictures": {"file": "quality.safetensors", "rule": rule, "labels": [*pictured]},
    }


def _measure_rows(scorer: Scorer, groups: Sequence[Group]) -> list[ScoredRow]:
    """Measure the rows that need no model, then those of other programs' images, then the models."""
    truth, training = (images.to(scorer.accelerator.device) for images in (scorer.images, scorer.dataset.train))
    made: list[tuple[str, Kind, str, Callable[[], Tensor]]] = [
        (row.name, row.kind, row.about, functools.partial(row.make, truth, training)) for row in reference_rows()
    ]
    unpaired = {row.name for row in reference_rows() if not row.paired}
    for folder in scorer.options.images:
        about = f"Images that another program made of the gray inputs, from the folder {folder.name}."
        read = functools.partial(read_images, folder, scorer.images, scorer.classes, scorer.names)
        made.append((folder.resolve().name, "model", about, read))
    results: list[ScoredRow] = []
    count = len(made) + sum(len(group.members) for group in groups)
    shown = scorer.accelerator.is_main_process
    with Bar(total=count, desc="Rows", unit="row", shown=shown) as bar:
        for name, kind, about, make in made:
            bar.set_postfix_str(name)
            pixels = make().cpu()
            scores = scorer(pixels)
            if name in unpaired:
                none: Values = dict.fromkeys(PAIRED)
                scores = replace(scores, values=scores.values | none, distinct=scores.distinct | none)
            results.append(ScoredRow(_unused(name, results), kind, about, [scores], pixels, {}))
            bar.update()
        for group in groups:
            name = _unused(group.name, results)
            results.append(_measure_group(scorer, name, "model", group, bar))
            if group.config.color_space == "rgb":
                results.append(_measure_group(scorer, f"{name}, own gray", "unranked", group, Bar(shown=False)))
    return results


def _measure_group(scorer: Scorer, name: str, kind: Kind, group: Group, bar: Bar) -> ScoredRow:
    """Measure the runs of a group on a gray input: the protocol's one, or for an unranked row their own."""
    ranked = kind == "model"
    scores, diverse = [], []
    runs: dict[str, dict[str, Any]] = {}
    for folder in group.members:
        bar.set_postfix_str(folder.name)
        run = Run(folder)
        space, generator = color_space(run.config), run.load_generator().to(scorer.accelerator.device)
        colorize = functools.partial(scorer.colorize, generator, space)
        pixels = colorize(lightness_input) if ranked else colorize(lambda rgb: rgb)
        scores.append(scorer(pixels))
        if scorer.options.all_grays and ranked:
            for column, gray in OTHER_GRAYS.items():
                scores[-1].values[column] = scorer.frechet(colorize(functools.partial(to_gray, kind=gray)))
        if run.config.noise_channels and ranked:
            diverse.append(measure_diversity(scorer, generator, space, pixels))
        if not runs:
            first_pixels = pixels
        paths = ((key, getattr(run.config, key)) for key in ("data", "objective", "init_from"))
        names = {key: Path(path).name for key, path in paths if path}  # without folders of this machine
        runs[str(folder) if folder.resolve().name in runs else folder.resolve().name] = {
            "config": asdict(run.config) | names,
            "parameters": count_parameters(generator.requires_grad_(True)),
            "images_seen": run.images_seen,
            "validation": run.validation_curve,
            "training": run.starts,
        }
        bar.update()
    return ScoredRow(name, kind, _about(runs, ranked), scores, first_pixels, runs, summarize_diversity(diverse))


def _about(runs: dict[str, dict[str, Any]], ranked: bool) -> str:
    first = next(iter(runs.values()))
    config = first["config"]
    return (
        f"{config['objective']}, width {config['width']}, {first['parameters']:,} parameters, "
        f"{first['images_seen']:,} training images seen, {len(runs)} seed(s)"
        + ("." if ranked else "; on the mean of the channels, which it was trained on, not on L*.")
    )


def _unused(name: str, results: Sequence[ScoredRow]) -> str:
    """Return a name for a row, with a number after it where another row has that name already."""
    taken = {result.name for result in results}
    numbered = (f"{name} ({number})" for number in itertools.count(2))
    return next(unused for unused in itertools.chain([name], numbered) if unused not in taken)
