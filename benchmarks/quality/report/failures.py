"""The worst images of each model of a quality result, and the kinds of their failures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.core.record import Record, Tensors, first_key
from benchmarks.core.sections import Block, Definitions, Details, Examples, Heading, Note, PageOnly, image_uri
from benchmarks.quality.report.tables import mean_of, ordered_rows
from colornet.tables import Cell, Line, Table, format_number

_READING = (
    "Gray, output and truth of the test images with the largest mean ΔE00, and of those whose colorfulness CF is most "
    "above the truth's, which stands in brackets; of a model with several runs, the first. An image is of the first "
    "kind in the list whose rule it meets. Models that change the lightness are left out: their ΔE00 is not of color "
    "alone."
)
_COUNTS_READING = "Kinds among the {counted:,} images with the largest ΔE00, and, in brackets, among all, per cent."


def count_blocks(record: Record) -> list[Block]:
    """Lay out how often each kind of failure is among the worst images of each model, and among all, if known."""
    rows = _rows(record)
    if not rows:
        return []
    lines = []
    for kind, rule in record["failure_categories"].items():
        cells = []
        for found in (row["failures"] for row in rows):
            shares = (100 * counts[kind] / sum(counts.values()) for counts in (found["counts"], found["all"]))
            cells.append(Cell("{} ({})".format(*(format_number(share, 1) for share in shares))))
        lines.append(Line(Cell(kind, tip=rule), cells))
    note = Note(_COUNTS_READING.format(counted=rows[0]["failures"]["counted"]))
    heads = [Cell(""), *(Cell(row["name"]) for row in rows)]
    return [Heading("Where they fail"), note, Table("Kinds of failure, per cent", heads, lines)]


def worst_blocks(record: Record, tensors: Tensors) -> list[Block]:
    """Show the rules of the kinds and, model by model, the worst images; the model with the lowest e is unfolded."""
    rows = _rows(record)
    if not rows:
        return []
    key = first_key(record["columns"], "e_cifar10_")
    best = min(rows, key=lambda row: np.inf if (e := mean_of(row, key)) is None else e)
    blocks: list[Block] = [Heading("The kinds, in order", 4), Definitions(record["failure_categories"]), Note(_READING)]
    for row in rows:
        pictures = tensors.get(f"failures/{row['name']}")  # (lists, n, versions, 3, H, W)
        if pictures is not None:
            lists: list[Block] = []
            for (title, examples), images in zip(row["failures"]["lists"].items(), pictures, strict=True):
                lists += [Heading(title, 4), Examples([*map(_example, examples, images)])]
            blocks.append(Details(row["name"], lists, is_open=row is best))
    return [PageOnly(blocks)]


def _rows(record: Record) -> list[Record]:
    return [row for row in ordered_rows(record) if row.get("failures")]


def _example(example: Record, versions: NDArray[np.uint8]) -> tuple[str, str, str, Sequence[str]]:
    """Show an image as gray, output and truth, (3, 3, H, W), above why it is among the worst."""
    name = example.get("class", f"image {example['position']}")
    cf, cf_truth, hue = (format_number(example[key], 0) for key in ("cf", "cf_truth", "hue_error"))
    facts = [f"ΔE00 {format_number(example['ciede2000'], 1)} · CF {cf} ({cf_truth}) · hue {hue}° off"]
    if "seen_as" in example:  # whether the colors change what the classifier sees
        seen, truth = example["seen_as"], example["truth_seen_as"]
        facts.append(f"seen as {seen}, " + ("as the truth is" if seen == truth else f"the truth as {truth}"))
    side_by_side = image_uri(np.concatenate([*versions], axis=2))  # (3, H, 3 W)
    return side_by_side, f"{name}, test image {example['position']}", f"{name}: {example['category']}", facts
