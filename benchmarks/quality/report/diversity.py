"""The part of a quality result about models that see noise: how much their colorings of one image differ."""

from __future__ import annotations

from benchmarks.core.record import Record
from benchmarks.core.sections import Block, Heading, Note, Verdicts, listed
from benchmarks.core.tables import Cell, Table, format_mean, line_of
from benchmarks.quality.report.tables import ordered_rows

_SEEN = 1.0  # ΔE00, about the least difference that is seen
_COLUMNS = {
    "pairwise": ("pairwise ΔE00", "CIEDE2000 between two colorings of an image, mean over all pairs."),
    "ciede2000": ("ΔE00", "CIEDE2000 of a coloring to the truth, mean over the colorings."),
    "best_ciede2000": ("best ΔE00", "CIEDE2000 of the coloring nearest to the truth: an oracle's choice."),
    "psnr": ("PSNR", "PSNR of a coloring in dB, mean over the colorings."),
    "best_psnr": ("best PSNR", "PSNR in dB of the coloring with the highest: an oracle's choice."),
}
_READING = (
    "{samples} colorings of each of {images:,} images, evenly spaced over the set, by models that see noise beside "
    "the gray image. Unranked: the best is chosen by an oracle that knows the truth, and any scatter at all makes the "
    "best of several better than one. The distances in the tables above are of one coloring an image, the first."
)


def diversity_blocks(record: Record) -> list[Block]:
    """Lay out what was measured of several colorings, if it was, and name the models that ignore their noise."""
    found = {row["name"]: row["diversity"] for row in ordered_rows(record) if row.get("diversity")}
    if not found:
        return []
    lines = [
        line_of(name, *(format_mean(diversity["values"][key], 2) for key in _COLUMNS))
        for name, diversity in found.items()
    ]
    titles = [Cell(""), *(Cell(label, tip=about) for label, about in _COLUMNS.values())]
    blocks: list[Block] = [
        Heading("Several colorings of an image"),
        Note(_READING.format(**next(iter(found.values())))),
        Table("Several colorings of an image, unranked", titles, lines),
    ]
    ignoring = [name for name, diversity in found.items() if diversity["values"]["pairwise"]["mean"] < _SEEN]
    if ignoring:
        text = f"{listed(ignoring)}: two colorings differ by less than a ΔE00 of {_SEEN:g}, about the least that is "
        text += f"seen. The model{'s ignore their' if len(ignoring) > 1 else ' ignores its'} noise, or nearly."
        blocks.insert(2, Verdicts([text]))
    return blocks
