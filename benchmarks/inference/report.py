"""What `inference` shows: images per second of every variant, and how far bf16 is from fp32."""

from __future__ import annotations

from functools import partial

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Section, measured_on
from colornet.tables import (
    Column,
    Table,
    format_number,
    format_percent,
    format_precision,
    format_spread,
    table_of,
)

REQUIRED = {
    "inference": (
        ("data", "model", "rows", "difference", "commit", "date", "device"),
        {"rows": ("way", "precision", "batch_size", "images_per_second", "ratio_to_loop")},
    )
}
_COLUMNS = (
    Column("variant", "way"),
    Column("precision", "precision", format_precision, words=True),
    Column("batch", "batch_size", 0),
    Column("images/s (p10–p90)", "images_per_second", partial(format_spread, decimals=0)),
    Column("× loop", "ratio_to_loop", 2),
)


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
    return [table_of("Inference", _COLUMNS, record["rows"], ranked=lambda row: row["way"] != "loop")]
