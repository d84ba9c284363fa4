"""The last section: where every number of the page comes from."""

from __future__ import annotations

from benchmarks.core.record import Record
from benchmarks.core.sections import Block, Definitions, Heading, Section
from benchmarks.report.read import SECTIONS, Results


def provenance_section(results: Results) -> Section:
    """List the origin of every file that the page shows, and how far the runs went whose curves it draws."""
    blocks: list[Block] = []
    for result in (result for kind in SECTIONS for result in results.of(kind)):
        blocks += [Heading(str(result.path), 4), Definitions(origin(result.record), "origin")]
    last = {str(run.path): max((record["step"] for record in run.records), default=0) for run in results.runs}
    if last:
        blocks += [Heading("Curves", 4), Definitions({path: f"{step:,} steps" for path, step in last.items()}, "runs")]
    return Section("Provenance", blocks=blocks)


def origin(record: Record) -> dict[str, str]:
    """Collect what it takes to trace a result."""
    values = {name: record.get(name) for name in ("command", "commit", "date", "device", "machine", "versions", "data")}
    return {
        name: ", ".join(f"{key} {v}" for key, v in value.items()) if isinstance(value, dict) else str(value)
        for name, value in values.items()
        if value
    }
