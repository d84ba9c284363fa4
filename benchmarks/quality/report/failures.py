"""The part of a quality result that shows the worst images of a model, and why they are."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from benchmarks.core.html import definitions, image_html, note
from benchmarks.core.tables import Cell, Line, Table, format_number, table_html
from benchmarks.quality.report.tables import mean_of, ordered_rows
from benchmarks.report.read import Record, Tensors

__all__ = ["failures_html", "failures_table"]

_E = "e_cifar10_v1"
_READING = (
    "Gray, output and truth of the test images with the largest mean ΔE00, and of those whose colorfulness CF is most "
    "above the truth's, which stands in brackets; of a model with several runs, the first. An image is of the first "
    "kind in the list whose rule it meets. Models that draw the lightness anew are left out: their ΔE00 is not of "
    "color alone."
)
_COUNTS_READING = "Kinds among the {counted:,} images with the largest ΔE00, and, in brackets, among all, per cent."


def failures_table(record: Record) -> Table | None:
    """Lay out how often each kind of failure is among the worst images of each model, and among all, if known."""
    rows = [row for row in ordered_rows(record) if row.get("failures")]
    if not rows:
        return None
    lines = []
    for kind in record["failure_categories"]:
        cells = []
        for found in (row["failures"] for row in rows):
            worst, everywhere = found["counts"], found["all"]
            shares = [100 * counts[kind] / sum(counts.values()) for counts in (worst, everywhere)]
            cells.append(Cell("{} ({})".format(*(format_number(share, 1) for share in shares))))
        lines.append(Line(Cell(kind, tip=record["failure_categories"][kind]), cells))
    return Table("Kinds of failure, per cent", [Cell(""), *(Cell(row["name"]) for row in rows)], lines)


def failures_html(record: Record, tensors: Tensors) -> str:
    """Show the counts of the kinds and, model by model, the worst images; the model with the lowest e is unfolded."""
    table = failures_table(record)
    if table is None:
        return ""
    rows = [row for row in ordered_rows(record) if row.get("failures")]
    best = min(rows, key=lambda row: np.inf if (e := mean_of(row, _E)) is None else e)
    shown = ""
    for row in rows:
        images = tensors.get(f"failures/{row['name']}")  # (lists, n, versions, 3, H, W)
        if images is not None:
            lists = "".join(
                f'<h4>{escape(title)}</h4><div class="failures">{"".join(map(_example, examples, pictures))}</div>'
                for (title, examples), pictures in zip(row["failures"]["lists"].items(), images, strict=True)
            )
            opened = ' open=""' if row is best else ""
            shown += f"<details{opened}><summary>{escape(row['name'])}</summary>{lists}</details>"
    counted = note(_COUNTS_READING.format(counted=rows[0]["failures"]["counted"]))
    rules = definitions("columns", record["failure_categories"])
    return f"{note(_READING)}{counted}{table_html(table)}<h4>The kinds, in order</h4>{rules}{shown}"


def _example(example: Record, versions: NDArray[np.uint8]) -> str:
    """Show an image as gray, output and truth, (3, 3, H, W), above why it is among the worst."""
    name = example.get("class", f"image {example['position']}")
    cf = [format_number(example[key], 0) for key in ("cf", "cf_truth")]
    facts = [
        f"ΔE00 {format_number(example['ciede2000'], 1)}",
        f"CF {cf[0]} ({cf[1]})",
        f"hue {format_number(example['hue_error'], 0)}° off",
    ]
    picture = image_html(np.concatenate([*versions], axis=2), f"{name}, test image {example['position']}")
    lines = "".join(f"<span>{escape(text)}</span>" for text in (" · ".join(facts), _seen(example)) if text)
    return f"<figure>{picture}<figcaption>{escape(name)}: {escape(example['category'])}{lines}</figcaption></figure>"


def _seen(example: Record) -> str:
    """Say whether the colors change what the classifier sees."""
    if "seen_as" not in example:
        return ""
    if example["seen_as"] == example["truth_seen_as"]:
        return f"seen as {example['seen_as']}, as the truth is"
    return f"seen as {example['seen_as']}, the truth as {example['truth_seen_as']}"
