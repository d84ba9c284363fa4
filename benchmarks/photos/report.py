"""What `photos` shows: how colors survive enlarging and degraded scans, and the memory of large photographs."""

from __future__ import annotations

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Section, listed, measured_on
from benchmarks.core.tables import Cell, Column, Line, Table, format_number, line_of, table_of

REQUIRED: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "photos": (
        ("data", "models", "enlarging", "defects", "scans", "memory", "commit", "date", "device"),
        {"memory": ("megapixels", "peak_memory_bytes", "seconds")},
    )
}
_ENLARGING = {"ΔE00": ("ciede2000", 2), "edges": ("edges", 1), "gray edges": ("gray_edges", 1)}
_SCANS = {
    "e": ("e", 3),
    "CF": ("cf", 1),
    "ΔE00": ("ciede2000", 2),
    "moved": ("moved", 2),
    "moved, photographs": ("moved_photos", 2),
}
_MEMORY = (
    Column("megapixels", "megapixels", 0),
    Column("peak memory, MiB", "peak_memory_bytes", 0, unit=2**20),
    Column("seconds", "seconds", 0),
)
_TIPS = {
    "ΔE00": "Mean ΔE00 to the truth.",
    "edges": "Mean distance of a*b* from the true ones where these change most.",
    "gray edges": "Mean distance of a*b* from the true ones where L* changes most and they do not.",
    "e": "FD v1 as a share of the gray image's.",
    "CF": "Mean colorfulness.",
    "moved": "Mean ΔE00 to the model's own colors of the clean image.",
    "moved, photographs": "The same of whole photographs, as `colornet colorize` colors them.",
}


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `photos`."""
    return Section("Photographs", summarize(result.record), result.path, tables(result.record))


def summarize(record: Record) -> str:
    """Say which models were measured, on what."""
    data = record["data"]
    images = f"{len(data['photos'])} photographs and {data['images']:,} {data['split']} images of {data['name']}"
    return f"{listed([*record['models']])} on {images}. {measured_on(record)}"


def tables(record: Record) -> list[Table]:
    """Lay out enlarging, scans, and memory where it was measured."""
    memory = [table_of("Memory of `colornet colorize`", _MEMORY, record["memory"])] if record["memory"] else []
    return [_enlarging_table(record["enlarging"]), _scans_table(record["scans"], record["defects"]), *memory]


def _enlarging_table(sizes: Record) -> Table:
    names = {size: "full size" if size == "full" else f"{size} px" for size in sizes}
    titles = [Cell(f"{label}, {name}", tip=_TIPS[label]) for label in _ENLARGING for name in names.values()]
    lines = []
    for row in sizes["full"]:
        values = [(rows.get(row, {}).get(key), n) for key, n in _ENLARGING.values() for rows in sizes.values()]
        lines.append(line_of(row, *(format_number(*value) for value in values), ranked=row != "gray"))
    return Table("Enlarging colors", [Cell(""), *titles], lines)


def _scans_table(models: Record, abouts: Record) -> Table:
    titles = [Cell(f"{model}: {label}", tip=_TIPS[label]) for model in models for label in _SCANS]
    lines = []
    for name in next(iter(models.values())):
        cells = [Cell(format_number(found[name][key], n)) for found in models.values() for key, n in _SCANS.values()]
        lines.append(Line(Cell(name, tip=abouts[name]), cells))
    return Table("Degraded scans", [Cell(""), *titles], lines)
