"""What `photos` shows: how colors survive upsampling and degraded scans, and the memory of large photographs."""

from __future__ import annotations

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Section, listed, measured_on
from colornet.tables import Cell, Column, Line, Table, format_number, line_of, table_of

REQUIRED: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "photos": (
        ("data", "models", "enlarging", "defects", "scans", "memory", "commit", "date", "device"),
        {"memory": ("megapixels", "peak_memory_bytes", "seconds")},
    )
}
_OFF = "Mean distance of a*b* from the true ones where"
_UPSAMPLING = {  # heading: key, decimals, tip
    "ΔE00": ("ciede2000", 2, "Mean ΔE00 to the truth."),
    "edges": ("edges", 1, f"{_OFF} these change most."),
    "gray edges": ("gray_edges", 1, f"{_OFF} L* changes most and they do not."),
}
_SCANS = {
    "e": ("e", 3, "FD v2 as a share of the gray image's."),
    "CF": ("cf", 1, "Mean colorfulness."),
    "ΔE00": ("ciede2000", 2, "Mean ΔE00 to the truth."),
    "moved": ("moved", 2, "Mean ΔE00 to the model's own colors of the clean image."),
    "moved, photographs": ("moved_photos", 2, "The same of whole photographs, as `colornet colorize` colors them."),
}
_MEMORY = (
    Column("megapixels", "megapixels", 0),
    Column("peak memory, MiB", "peak_memory_bytes", 0, unit=2**20),
    Column("seconds", "seconds", 0),
)


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `photos`."""
    return Section("Photographs", summarize(result.record), result.path, tables(result.record))


def summarize(record: Record) -> str:
    """Name the models and the images."""
    data = record["data"]
    images = f"{len(data['photos'])} photographs and {data['images']:,} {data['split']} images of {data['name']}"
    return f"{listed([*record['models']])} on {images}. {measured_on(record)}"


def tables(record: Record) -> list[Table]:
    """Lay out upsampling, scans, and memory where it was measured."""
    memory = [table_of("Memory of `colornet colorize`", _MEMORY, record["memory"])] if record["memory"] else []
    return [_upsampling_table(record["enlarging"]), _scans_table(record), *memory]


def _upsampling_table(sizes: Record) -> Table:
    names = {size: "full size" if size == "full" else f"{size} px" for size in sizes}
    heads = [Cell(f"{head}, {name}", tip=tip) for head, (*_, tip) in _UPSAMPLING.items() for name in names.values()]
    lines = []
    for row in sizes["full"]:
        values = [(rows.get(row, {}).get(key), n) for key, n, _ in _UPSAMPLING.values() for rows in sizes.values()]
        lines.append(line_of(row, *(format_number(*value) for value in values), ranked=row != "gray"))
    return Table("Upsampling of colors", [Cell(""), *heads], lines)


def _scans_table(record: Record) -> Table:
    models, defects = record["scans"], record["defects"]
    heads = [Cell(f"{model}: {head}", tip=tip) for model in models for head, (*_, tip) in _SCANS.items()]
    lines = []
    for name, about in defects.items():
        cells = [Cell(format_number(row[name][key], n)) for row in models.values() for key, n, _ in _SCANS.values()]
        lines.append(Line(Cell(name, tip=about), cells))
    if gray := record.get("gray"):  # what no model at all has; earlier results lack it
        texts = [format_number(gray.get(key), n) for _ in models for key, n, _ in _SCANS.values()]
        lines.append(line_of("gray, no model", *texts, ranked=False))
    return Table("Degraded scans", [Cell(""), *heads], lines)
