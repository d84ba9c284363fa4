"""What `inference` shows: images per second of every variant, and how far bf16 is from fp32."""

from __future__ import annotations

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Section, measured_on
from benchmarks.core.tables import (
    Cell,
    Line,
    Table,
    format_number,
    format_percent,
    format_precision,
    format_spread,
    headings,
)

REQUIRED = {
    "inference": (
        ("data", "model", "rows", "difference", "commit", "date", "device"),
        {"rows": ("way", "precision", "batch_size", "images_per_second", "ratio_to_loop")},
    )
}


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `inference`."""
    record = result.record
    return Section(f"Inference on {record['device']}", summarize(record), result.path, tables(record))


def summarize(record: Record) -> str:
    """Say what was timed, and what bf16 changes."""
    difference, data = record["difference"], record["data"]
    return (
        f"{record['model']['name']} colors {data['images']:,} {data['split']} images of {data['name']}. bf16 changes "
        f"8-bit values by {format_number(difference['mean'], 3)} levels on average, at most {difference['largest']}; "
        f"{format_percent(difference['share_above_1'], 3)} of them by more than 1. {measured_on(record)}"
    )


def tables(record: Record) -> list[Table]:
    """Lay out a row for every variant, precision and batch size."""
    lines = [
        Line(
            Cell(row["way"]),
            [
                Cell(format_precision(row["precision"])),
                Cell(format_number(row["batch_size"], 0)),
                Cell(format_spread(row["images_per_second"], 0)),
                Cell(format_number(row["ratio_to_loop"], 2)),
            ],
            ranked=row["way"] != "loop",
        )
        for row in record["rows"]
    ]
    titles = ("variant", "precision", "batch", "images/s (p10–p90)", "× loop")
    return [Table("Inference", headings(titles), lines, words=frozenset({"precision"}))]
