"""The part of a quality result about models that see noise: how much their colorings of one image differ."""

from __future__ import annotations

from html import escape

from benchmarks.core.html import listed, note
from benchmarks.core.tables import Cell, Line, Table, format_number, table_html
from benchmarks.quality.report.tables import ordered_rows
from benchmarks.report.read import Record

__all__ = ["diversity_html", "diversity_table"]

_SEEN = 1.0  # ΔE00, about the least difference that is seen
_COLUMNS = {
    "pairwise": ("between two ΔE00", "CIEDE2000 between two colorings of an image, mean over all pairs."),
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


def diversity_table(record: Record) -> Table | None:
    """Lay out what was measured of several colorings, if it was; nothing is bold, since it ranks nothing."""
    known = [row for row in ordered_rows(record) if row.get("diversity")]
    if not known:
        return None
    lines = [
        Line(Cell(row["name"]), [Cell(_shown(row["diversity"]["values"][name])) for name in _COLUMNS]) for row in known
    ]
    headings = [Cell(""), *(Cell(label, tip=about) for label, about in _COLUMNS.values())]
    return Table("Several colorings of an image, unranked", headings, lines)


def diversity_html(record: Record) -> str:
    """Show the table, and name the models that do not listen to their noise."""
    table = diversity_table(record)
    if table is None:
        return ""
    rows = [row for row in record["rows"] if row.get("diversity")]
    first = rows[0]["diversity"]
    deaf = [row["name"] for row in rows if row["diversity"]["values"]["pairwise"]["mean"] < _SEEN]
    warning = f"{listed(deaf)}: two colorings differ by less than a ΔE00 of {_SEEN:g}, about the least that is seen. "
    warning += f"The model{'s ignore their' if len(deaf) > 1 else ' ignores its'} noise, or nearly."
    said = f'<ul class="verdicts"><li>{escape(warning)}</li></ul>' if deaf else ""
    return note(_READING.format(samples=first["samples"], images=first["images"])) + said + table_html(table)


def _shown(value: Record) -> str:
    mean = format_number(value["mean"], 2)
    return mean if value.get("sd") is None else f"{mean} ± {format_number(value['sd'], 2)}"
