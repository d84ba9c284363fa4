"""What is made of measured rows: their summary, the table, and the pictures and histograms for the report."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.baselines.reference_rows import Kind
from benchmarks.quality.bootstrap import BOOTSTRAPPED, bootstrap
from benchmarks.quality.columns import COLUMNS, DISTINCT
from benchmarks.quality.scorer import Scores
from colornet.data import Dataset
from colornet.evaluation.compare import draw
from colornet.files import finite_or_none, replacing

__all__ = ["Result", "choose_pictures", "format_table", "summarize_result", "write_pictures"]

PER_CLASS = 1  # images of each class in the pictures


@dataclasses.dataclass
class Result:
    """A row that was measured: the scores of each of its members, and what is kept of the images of the first."""

    name: str
    kind: Kind
    about: str
    scores: list[Scores]
    pixels: Tensor  # of the first member, uint8 (N, 3, H, W)
    runs: dict[str, dict[str, Any]]
    diversity: dict[str, Any] | None = None  # of a model that sees noise


def summarize_result(result: Result, results: Sequence[Result]) -> dict[str, Any]:
    """Reduce the members of a row to mean, standard deviation (n − 1) and 95 % interval of every column."""
    references = {other.name: other.scores[0] for other in results if other.name in ("real", "gray")}
    intervals = bootstrap([score.per_image for score in result.scores])
    anchors = {name: score.values for name, score in references.items()}
    values = _over_members([_normalized(score.values, anchors) for score in result.scores], COLUMNS)
    anchors = {name: score.distinct for name, score in references.items()}
    distinct = _over_members([_normalized(score.distinct, anchors) for score in result.scores], DISTINCT)
    for name, value in values.items():
        if value is not None:
            value["interval"] = intervals.get(name) if name in BOOTSTRAPPED else None
    return {
        "name": result.name,
        "kind": result.kind,
        "about": result.about,
        "members": list(result.runs),
        "values": values,
        "distinct": distinct,
        "cf_quantiles": _quantiles(result.scores[0].per_image["cf"]),
        "diversity": result.diversity,
        "runs": result.runs,
    }


def _quantiles(values: Tensor) -> dict[str, float]:
    """Return what a box plot shows of per-image values (N,): the 5, 25, 50, 75 and 95 % quantiles."""
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    found = values.double().quantile(torch.tensor(shares, dtype=torch.float64)).tolist()
    return {f"{share:.0%}": value for share, value in zip(shares, found, strict=True)}


def _over_members(members: Sequence[dict[str, float | None]], columns: Iterable[str]) -> dict[str, Any]:
    """Reduce the values of each column over the members of a row; a column that cannot be had is None."""
    values: dict[str, Any] = {}
    for name in columns:
        known = [value for member in members if (value := member.get(name)) is not None]
        if len(known) < len(members):
            values[name] = None
            continue
        sd = statistics.stdev(known) if len(known) > 1 else None
        values[name] = {"mean": statistics.mean(known), "sd": sd, "members": known}
    return values


def _normalized(
    values: dict[str, float | None], anchors: dict[str, dict[str, float | None]]
) -> dict[str, float | None]:
    """Add e = (FD − real) / (gray − real) for both references, and drop what JSON cannot hold."""
    found = {name: None if value is None else finite_or_none(value) for name, value in values.items()}
    for suffix in ("", "_train"):
        fd, real, gray = (v.get(f"fd_cifar10_v1{suffix}") for v in (values, anchors["real"], anchors["gray"]))
        if fd is None or real is None or gray is None:
            found[f"e_cifar10_v1{suffix}"] = None
        else:
            found[f"e_cifar10_v1{suffix}"] = (fd - real) / (gray - real)
    return found


def format_table(
    rows: Sequence[dict[str, Any]],
    reasons: dict[str, str | None],
    columns: Sequence[str],
    part: Literal["values", "distinct"] = "values",
) -> str:
    """Lay out rows as a table in Markdown that reads as plain text; a column that cannot be had has a footnote."""
    notes = list(dict.fromkeys(reason for name in columns if (reason := reasons[name])))
    heading = ["", *(COLUMNS[name].label.replace("|", "\\|") for name in columns)]
    body = [[row["name"], *(_cell(row[part][name], name, reasons, notes) for name in columns)] for row in rows]
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


def choose_pictures(results: Sequence[Result], dataset: Dataset, classes: Tensor | None) -> tuple[str, dict[str, int]]:
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


def write_pictures(
    out: Path,
    results: Sequence[Result],
    positions: list[int],
    planes: Mapping[str, Tensor],
    failures: Mapping[str, Sequence[Sequence[int]]],
) -> None:
    """Write pictures and what is known of every image, for `report` and to look at.

    `planes` are the rows' histograms in the a*b* plane, `failures` the positions of a model's worst images, list by
    list: they are kept as gray, output and truth.
    """
    tensors: dict[str, Tensor] = {f"ab/{name}": plane for name, plane in planes.items()}
    pictured: dict[str, Tensor] = {}
    pixels = {result.name: result.pixels for result in results}
    for result in results:
        if result.kind == "model" or result.name in ("gray", "real"):
            pictured[result.name] = result.pixels[positions]
        tensors[f"cf/{result.name}"] = result.scores[0].per_image["cf"].float()
    pictured["real"] = pictured.pop("real")  # the last row
    tensors |= {f"pictures/{name}": shown.contiguous() for name, shown in pictured.items()}
    for name, lists in failures.items():
        versions = [pixels[version][torch.tensor(lists)] for version in ("gray", name, "real")]
        tensors[f"failures/{name}"] = torch.stack(versions, dim=2)  # (lists, n, 3, 3, H, W)
    with replacing(out / "quality.safetensors") as path:
        save_file(tensors, path)
    with replacing(out / "quality.png") as path:
        draw(pictured).save(path)
