"""What `photos` shows: how colors survive enlarging and degraded scans, and the memory of large photographs."""

from __future__ import annotations

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Section, listed, measured_on
from benchmarks.core.tables import Cell, Line, Table, format_number, headings, line_of

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
_MEMORY = {"megapixels": 1, "peak_memory_bytes": 2**20, "seconds": 1}
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
    return (
        f"{listed([*record['models']])} on {len(data['photos'])} photographs and {data['images']:,} {data['split']} "
        f"images of {data['name']}. {measured_on(record)}"
    )


def tables(record: Record) -> list[Table]:
    """Lay out enlarging, scans, and memory where it was measured."""
    memory = [line_of(*(format_number(one[key], 0, unit) for key, unit in _MEMORY.items())) for one in record["memory"]]
    titles = headings(["megapixels", "peak memory, MiB", "seconds"])
    return [
        _enlarging_table(record["enlarging"]),
        _scans_table(record["scans"], record["defects"]),
        *([Table("Memory of `colornet colorize`", titles, memory)] if memory else []),
    ]


def _enlarging_table(sizes: Record) -> Table:
    names = {size: "full size" if size == "full" else f"{size} px" for size in sizes}
    titles = [Cell(f"{label}, {name}", tip=_TIPS[label]) for label in _ENLARGING for name in names.values()]
    lines = []
    for row in sizes["full"]:
        values = [(rows.get(row, {}).get(key), n) for key, n in _ENLARGING.values() for rows in sizes.values()]
        lines.append(line_of(row, *(format_number(*value) for value in values), ranked=row != "gray"))
    return Table("Upsampling of colors", [Cell(""), *titles], lines)


def _scans_table(models: Record, abouts: Record) -> Table:
    titles = [Cell(f"{model}: {label}", tip=_TIPS[label]) for model in models for label in _SCANS]
    lines = []
    for name in next(iter(models.values())):
        cells = [Cell(format_number(found[name][key], n)) for found in models.values() for key, n in _SCANS.values()]
        lines.append(Line(Cell(name, tip=abouts[name]), cells))
    return Table("Degraded scans", [Cell(""), *titles], lines)
