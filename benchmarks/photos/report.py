"""The tables of `python -m benchmarks photos`, made of its record alone."""

from __future__ import annotations

from typing import Any

__all__ = ["format_tables"]

_MEASURES = {"ΔE00": ("ciede2000", 2), "edges": ("edges", 1), "gray edges": ("gray_edges", 1)}
_SCANS = {"e": 3, "cf": 1, "ciede2000": 2, "moved": 2, "moved_photos": 2}
_HEADINGS = ("e", "CF", "ΔE00", "moved", "moved, photographs")


def format_tables(record: dict[str, Any]) -> dict[str, str]:
    """Lay out a record as tables in Markdown: of enlarging, of scans, and of memory where it was measured."""
    tables = {"enlarging": _enlarging(record["enlarging"]), "scans": _scans(record["scans"])}
    if record["memory"]:
        tables["memory"] = _lay_out(
            ["megapixels", "peak memory, MiB", "seconds"],
            [
                [f"{one['megapixels']:.0f}", f"{one['peak_memory_bytes'] / 2**20:,.0f}", f"{one['seconds']:.0f}"]
                for one in record["memory"]
            ],
        )
    return tables


def _enlarging(sizes: dict[str, dict[str, dict[str, float]]]) -> str:
    names = {size: "full size" if size == "full" else f"{size} px" for size in sizes}
    heading = ["", *(f"{label}, {name}" for label in _MEASURES for name in names.values())]
    rows = [
        [row, *(_cell(rows.get(row, {}).get(key), decimals) for key, decimals in _MEASURES.values()
                for rows in sizes.values())]
        for row in sizes["full"]
    ]  # fmt: skip
    return _lay_out(heading, rows)


def _scans(models: dict[str, dict[str, dict[str, float]]]) -> str:
    heading = ["", *(f"{model}: {heading}" for model in models for heading in _HEADINGS)]
    defects = next(iter(models.values()))
    rows = [
        [
            name,
            *(_cell(defects[name][key], decimals) for defects in models.values() for key, decimals in _SCANS.items()),
        ]
        for name in defects
    ]
    return _lay_out(heading, rows)


def _cell(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"


def _lay_out(heading: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heading, rule, *rows))
