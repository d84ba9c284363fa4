"""What `agreement` shows: how far the first steps of each variant are from plain ones in fp32."""

from __future__ import annotations

from functools import partial

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Note, Section, measured_on
from colornet.tables import Column, format_percent, table_of

REQUIRED = {"agreement": (("rows", "tolerances", "commit", "date", "device"), {"rows": ("preset", "variant")})}

_share = partial(format_percent, decimals=2)


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `agreement`."""
    title = f"Agreement of training steps on {result.record['device']}"
    return Section(title, summarize(result.record), result.path, tables(result.record))


def summarize(record: Record) -> str:
    """Say whether all variants agree."""
    wrong = [f"{row['preset']}, {row['variant']}" for row in record["rows"] if not row["agrees"]]
    count = len(record["rows"])
    said = f"{'; '.join(wrong)}: differs from plain fp32 steps" if wrong else f"All {count} variants agree"
    return f"{said} (fp32 {record['tolerances']['no']:g}, bf16 {record['tolerances']['bf16']:g}). {measured_on(record)}"


def passed(record: Record) -> bool:
    """Tell whether all variants agree."""
    return all(row["agrees"] for row in record["rows"])


def tables(record: Record) -> list[Block]:
    """Lay out the differences of all variants."""
    tf32 = f" TF32 {record['tf32']}." if record.get("tf32") else ""
    reading = (
        "Largest relative difference of a loss or of the norm of a gradient from the plain step in fp32, from the same "
        f"weights on the same images. Later steps begin at weights that differ already.{tf32}"
    )
    columns = (
        Column("preset", "preset"),
        Column("variant", "variant", words=True),
        Column("first step", lambda row: row["differences"][0]["largest"], _share),
        Column("of", lambda row: row["differences"][0]["of"], words=True),
        Column("last step", lambda row: row["differences"][-1]["largest"], _share),
        Column("agrees", lambda row: "yes" if row["agrees"] else "no", words=True),
    )
    return [Note(reading), table_of("Differences", columns, record["rows"])]
