"""The last section: where every number of the page comes from."""

from __future__ import annotations

from html import escape

from benchmarks.core.html import Section, definitions
from benchmarks.core.tables import escape_markdown
from benchmarks.report.read import Record, Results

__all__ = ["provenance_section"]


def provenance_section(results: Results) -> Section:
    """List the origin of every file that the page shows, and how far the runs went whose curves it draws."""
    html, markdown = [], []
    for result in (*results.quality, *results.ablation, *results.speedrun, *results.throughput, *results.scaling):
        known = origin(result.record)
        html.append(f"<h4><code>{escape(str(result.path))}</code></h4>{definitions('origin', known)}")
        lines = [f"- {name}: {escape_markdown(text)}" for name, text in known.items()]
        markdown.append("\n".join([f"{escape_markdown(str(result.path))}:", "", *lines]))
    last = {str(run.path): max((record["step"] for record in run.records), default=0) for run in results.runs}
    if last:
        steps = {path: f"{step:,} steps" for path, step in last.items()}
        html.append(f"<h4>Curves</h4>{definitions('runs', steps)}")
    return Section("Provenance", "".join(html), "\n\n".join(markdown))


def origin(record: Record) -> dict[str, str]:
    """Collect what it takes to trace a result."""
    values = {name: record.get(name) for name in ("command", "commit", "date", "device", "machine", "versions", "data")}
    return {
        name: ", ".join(f"{key} {v}" for key, v in value.items()) if isinstance(value, dict) else str(value)
        for name, value in values.items()
        if value
    }
