"""The part of a quality result about models that see noise: how much their colorings of one image differ."""

from __future__ import annotations

import functools

from benchmarks.core.record import Record
from benchmarks.core.sections import Block, Heading, Note, Verdicts, listed
from benchmarks.core.tables import Column, format_mean, table_of
from benchmarks.quality.report.tables import ordered_rows

_SEEN = 1.0  # ΔE00, about the least difference that is seen
_MEAN = functools.partial(format_mean, decimals=2)
_COLUMNS = (
    Column("", "name"),
    Column("pairwise ΔE00", "pairwise", _MEAN, tip="CIEDE2000 between two colorings of an image, mean over all pairs."),
    Column("ΔE00", "ciede2000", _MEAN, tip="CIEDE2000 of a coloring to the truth, mean over the colorings."),
    Column("best ΔE00", "best_ciede2000", _MEAN,
           tip="CIEDE2000 of the coloring nearest to the truth: an oracle's choice."),
    Column("PSNR", "psnr", _MEAN, tip="PSNR of a coloring in dB, mean over the colorings."),
    Column("best PSNR", "best_psnr", _MEAN, tip="PSNR in dB of the coloring with the highest: an oracle's choice."),
)  # fmt: skip
_READING = (
    "{samples} colorings of each of {images:,} images, evenly spaced over the set, by models that see noise beside "
    "the gray image. Unranked: the best is chosen by an oracle that knows the truth, and any scatter at all makes the "
    "best of several better than one. The distances in the tables above are of one coloring an image, the first."
)


def diversity_blocks(record: Record) -> list[Block]:
    """Lay out what was measured of several colorings, if it was, and name the models that ignore their noise."""
    measured = [row for row in ordered_rows(record) if row.get("diversity")]
    if not measured:
        return []
    rows = [{"name": row["name"], **row["diversity"]["values"]} for row in measured]
    blocks: list[Block] = [
        Heading("Several colorizations of an image"),
        Note(_READING.format(**measured[0]["diversity"])),
    ]
    ignoring = [row["name"] for row in rows if row["pairwise"]["mean"] < _SEEN]
    if ignoring:
        text = f"{listed(ignoring)}: two colorings differ by less than a ΔE00 of {_SEEN:g}, about the least that is "
        text += f"seen. The model{'s ignore their' if len(ignoring) > 1 else ' ignores its'} noise, or nearly."
        blocks.append(Verdicts([text]))
    return [*blocks, table_of("Several colorizations of an image, unranked", _COLUMNS, rows)]
