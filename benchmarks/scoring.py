"""The comparison behind `python -m benchmarks quality`: every row coloured, measured, tabulated and written."""

from __future__ import annotations

import dataclasses
import functools
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from einops import rearrange
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from benchmarks.columns import COLUMNS, HEADLINE
from benchmarks.exchange import gray_images, read_images, write_images
from benchmarks.measures import BOOTSTRAPPED, Measures, Scores, bootstrap
from benchmarks.quality import Group, QualityConfig
from benchmarks.rows import Kind, reference_rows
from colornet.color import ColorSpace, lightness_input, rgb_to_lab, to_float, to_gray
from colornet.comparison import draw
from colornet.compose import color_space, load_run
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError
from colornet.evaluation import colorize_all, colorize_with
from colornet.files import replacing
from colornet.models import UNet, count_parameters
from colornet.provenance import finite_or_none, provenance, write_json

__all__ = ["compare", "format_table", "write_inputs"]

PROTOCOL = "candidate v0"
AB_BINS = 64  # of the histograms, from -110 to 110
FEWEST_IMAGES = 4  # or else precision and recall have no third neighbour
PER_CLASS = 1  # images of each class in the pictures

Gray = Callable[[Tensor], Tensor]
"""From sRGB images in [0, 1] to grey ones."""

OTHER_GRAYS: dict[str, Gray] = {
    "fd_cifar10_v1_mean": functools.partial(to_gray, kind="mean"),
    "fd_cifar10_v1_rec601": functools.partial(to_gray, kind="rec601"),
}


@dataclasses.dataclass
class Result:
    """A row that was measured: the scores of each of its members, and what is kept of the images of the first."""

    name: str
    kind: Kind
    about: str
    scores: list[Scores]
    pixels: Tensor  # of the first member, uint8 (N, 3, H, W)
    runs: dict[str, dict[str, Any]]


def write_inputs(config: QualityConfig, groups: Sequence[Group], folder: Path) -> None:
    """Write the grey inputs of the protocol as CLASS/NNNN.png, for colourizers that are no colornet run."""
    accelerator = Accelerator(mixed_precision="no", cpu=config.cpu)
    dataset = _load(config, groups, accelerator)
    images, classes = _part(dataset, config.split)
    if accelerator.is_main_process:
        write_images(folder, gray_images(images), classes, dataset.labels.classes if dataset.labels else ())
        print(f"{len(images):,} grey {config.split} images of {dataset.name} written to {folder}.")


def compare(config: QualityConfig, groups: Sequence[Group]) -> None:
    """Measure every row, print the headline of the table and write everything to `config.out`."""
    accelerator = Accelerator(mixed_precision="no", cpu=config.cpu)
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

    rows = [_summarize(result, results) for result in results]
    reasons = {name: measures.reasons.get(name) for name in COLUMNS}
    print(f"{config.split} images of {dataset.name}: {len(images):,}\n\n{format_table(rows, reasons, HEADLINE)}")
    if config.out is None:
        return
    pictures = _choose_pictures(results, dataset, classes)
    record = {
        "kind": "quality",
        "protocol": PROTOCOL,
        **provenance(accelerator.device),
        "data": {
            "name": dataset.name,
            "split": config.split,
            "images": len(images),
            "training_images": len(dataset.train),
            "image_size": images.shape[-1],
            "fingerprint": dataset.fingerprint,
        },
        "evaluators": measures.evaluators,
        "columns": {name: {**dataclasses.asdict(column), "reason": reasons[name]} for name, column in COLUMNS.items()},
        "rows": rows,
        "pictures": {"file": "quality.safetensors", "rule": pictures[0], "labels": list(pictures[1])},
    }
    _write(config.out, record, results, list(pictures[1].values()))
    with replacing(config.out / "quality.md") as path:
        path.write_text(format_table(rows, reasons, tuple(COLUMNS)) + "\n", encoding="utf-8")
    print(f"\nWritten to {config.out}: quality.json, quality.md, quality.png, quality.safetensors")


def format_table(rows: Sequence[dict[str, Any]], reasons: dict[str, str | None], columns: Sequence[str]) -> str:
    """Lay out rows as a table in Markdown that reads as plain text; a column that cannot be had has a footnote."""
    notes = list(dict.fromkeys(reason for name in columns if (reason := reasons[name])))
    heading = ["", *(COLUMNS[name].label.replace("|", "\\|") for name in columns)]
    body = [[row["name"], *(_cell(row["values"][name], name, reasons, notes) for name in columns)] for row in rows]
    widths = [max(3, *(len(line[i]) for line in (heading, *body))) for i in range(len(heading))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

    def lay_out(line: Sequence[str]) -> str:
        cells = [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        return "| " + " | ".join(cells) + " |"

    footnotes = [f"[{number}] {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join([lay_out(heading), lay_out(rule), *map(lay_out, body), *([""] if notes else []), *footnotes])


def _cell(value: dict[str, Any] | None, name: str, reasons: dict[str, str | None], notes: list[str]) -> str:
    if value is None:
        reason = reasons[name]
        return f"– [{notes.index(reason) + 1}]" if reason else "–"
    decimals = COLUMNS[name].decimals
    mean = f"{value['mean']:.{decimals}f}"
    return mean if value["sd"] is None else f"{mean} ± {value['sd']:.{decimals}f}"


def _load(config: QualityConfig, groups: Sequence[Group], accelerator: Accelerator) -> Dataset:
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
    config: QualityConfig,
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
            about = f"Images that another program made of the grey inputs, from the folder {folder.name}."
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
    group: Group, config: QualityConfig, accelerator: Accelerator, images: Tensor, measures: Measures, bar: tqdm[None]
) -> list[Result]:
    """Measure the runs of a group on the protocol's input and, if that is not their own grey, on theirs, too."""
    inputs: dict[str, tuple[Kind, Gray]] = {group.name: ("model", lightness_input)}
    if group.config.color_space == "rgb":
        inputs[f"{group.name}, own grey"] = ("unranked", _images_themselves)
    results = []
    for name, (kind, gray) in inputs.items():
        scores, kept, runs = [], torch.empty(0), {}
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
            kept = kept if index else pixels
            runs[run.resolve().name if run.resolve().name not in runs else str(run)] = {
                "config": {**dataclasses.asdict(run_config), "data": Path(run_config.data).name},
                "parameters": count_parameters(generator.requires_grad_(True)),
                "images_seen": _images_seen(run, run_config.batch_size),
                "training": _training(run),
            }
            if kind == "model":
                bar.update()
        results.append(Result(name, kind, _about(runs, kind), scores, kept, runs))
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
        return int((file.metadata() or {}).get("step", 0)) * batch_size


def _training(run: Path) -> list[dict[str, Any]] | None:
    """Read what a run says of its own origin; None where only its model was passed on."""
    path = run / "provenance.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _summarize(result: Result, results: Sequence[Result]) -> dict[str, Any]:
    """Reduce the members of a row to mean, standard deviation (n − 1) and 95 % interval of every column."""
    anchors = {r.name: r.scores[0].values for r in results if r.name in ("real", "grey")}
    members = [_normalized(score.values, anchors) for score in result.scores]
    intervals = bootstrap([score.per_image for score in result.scores])
    values: dict[str, Any] = {}
    for name in COLUMNS:
        column = [member[name] for member in members]
        if any(value is None for value in column):
            values[name] = None
            continue
        known = [value for value in column if value is not None]
        values[name] = {
            "mean": statistics.mean(known),
            "sd": statistics.stdev(known) if len(known) > 1 else None,
            "interval": intervals.get(name) if name in BOOTSTRAPPED else None,
            "members": known,
        }
    return {
        "name": result.name,
        "kind": result.kind,
        "about": result.about,
        "members": list(result.runs),
        "values": values,
        "runs": result.runs,
    }


def _normalized(
    values: dict[str, float | None], anchors: dict[str, dict[str, float | None]]
) -> dict[str, float | None]:
    """Add e = (FD − real) / (grey − real) for both references, and drop what JSON cannot hold."""
    found = {name: None if value is None else finite_or_none(value) for name, value in values.items()}
    for suffix in ("", "_train"):
        fd, real, grey = (v[f"fd_cifar10_v1{suffix}"] for v in (values, anchors["real"], anchors["grey"]))
        if fd is None or real is None or grey is None:
            found[f"e_cifar10_v1{suffix}"] = None
        else:
            found[f"e_cifar10_v1{suffix}"] = (fd - real) / (grey - real)
    return found


def _choose_pictures(results: Sequence[Result], dataset: Dataset, classes: Tensor | None) -> tuple[str, dict[str, int]]:
    """Choose images by a rule: the first of each class, then each model's best and worst by its mean ΔE00."""
    chosen: dict[str, int] = {}
    if classes is not None and dataset.labels is not None:
        for index, name in enumerate(dataset.labels.classes):
            first = (classes == index).nonzero().flatten()[:PER_CLASS].tolist()
            chosen |= {f"{name}, first": position for position in first}
        rule = "The first image of each class"
    else:
        chosen |= {f"image {i}": i for i in range(0, len(results[0].pixels), max(1, len(results[0].pixels) // 10))}
        rule = "Images evenly spaced over the set"
    for result in results:
        if result.kind == "model":
            difference = result.scores[0].per_image["ciede2000"]
            chosen[f"best of {result.name}"] = int(difference.argmin())
            chosen[f"worst of {result.name}"] = int(difference.argmax())
    return f"{rule}, then the best and the worst of each model by the mean ΔE00 of its first seed.", chosen


def _write(out: Path, record: dict[str, Any], results: Sequence[Result], positions: list[int]) -> None:
    """Write the record, and pictures and histograms beside it."""
    tensors: dict[str, Tensor] = {}
    pictured: dict[str, Tensor] = {}
    for result in results:
        if result.kind == "model" or result.name in ("grey", "real"):
            pictured[result.name] = result.pixels[positions]
        tensors[f"ab/{result.name}"] = _ab_histogram(result.pixels)
        tensors[f"cf/{result.name}"] = result.scores[0].per_image["cf"].float()
    pictured["real"] = pictured.pop("real")  # the last row
    tensors |= {f"pictures/{name}": pixels.contiguous() for name, pixels in pictured.items()}
    with replacing(out / "quality.safetensors") as path:
        save_file(tensors, path)
    with replacing(out / "quality.png") as path:
        draw(pictured).save(path)
    write_json(out / "quality.json", record)


def _ab_histogram(images: Tensor) -> Tensor:
    """Count the pixels of uint8 images (N, 3, H, W) by a*b*: int64 (64, 64), rows b*, columns a*, -110 to 110."""
    counts = torch.zeros(AB_BINS**2, dtype=torch.int64)
    for batch in images.split(500):
        ab = rearrange(rgb_to_lab(to_float(batch))[:, 1:], "n two h w -> two (n h w)")
        a, b = ((ab + 110) / 220 * AB_BINS).long().clamp(0, AB_BINS - 1)
        counts += torch.bincount(b * AB_BINS + a, minlength=AB_BINS**2)
    return counts.unflatten(0, (AB_BINS, AB_BINS))
