"""The page of the report as a whole, its sections in order, and the same in Markdown as far as it is no plot."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from html import escape

from benchmarks.ablation.report import ablation_section
from benchmarks.core.html import Colors, Section, listed
from benchmarks.core.tables import escape_markdown
from benchmarks.quality.report.section import quality_section
from benchmarks.report.provenance import provenance_section
from benchmarks.report.read import Result, Results
from benchmarks.report.speed_quality import speed_quality_section
from benchmarks.report.training import training_section
from benchmarks.scaling.report import scaling_section
from benchmarks.speedrun.report import speedrun_section
from benchmarks.throughput.report import throughput_section

__all__ = ["write_page"]


def write_page(results: Results) -> tuple[str, str]:
    """Write everything as a page of HTML, and its tables in Markdown."""
    title, sections = page_title(results), sections_of(results)
    return page_html(title, sections), page_markdown(title, sections)


def page_title(results: Results) -> str:
    """Name the models and the data sets that are compared."""
    models = dict.fromkeys(row["name"] for q in results.quality for row in q.record["rows"] if row["kind"] == "model")
    data = dict.fromkeys(result.record["data"]["name"] for result in results.quality)
    return f"Coloring {listed([*data])}: {listed([*models])}" if models else "Results of colornet"


def sections_of(results: Results) -> list[Section]:
    """Make the sections in the order of the page; what has no data is left out."""
    colors = Colors(results)
    devices = by_device(results.throughput)
    found = [
        *(quality_section(result, colors) for result in results.quality),
        *(ablation_section(result) for result in results.ablation),
        training_section(results, colors),
        *(speedrun_section(result, colors) for result in results.speedrun),
        *(throughput_section(device, measured) for device, measured in devices.items()),
        *(scaling_section(result) for result in results.scaling),
        speed_quality_section(results.quality, devices, colors),
        provenance_section(results),
    ]
    return numbered([section for section in found if section is not None])


def by_device(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Put results of the same device together."""
    devices: dict[str, list[Result]] = {}
    for result in results:
        devices.setdefault(result.record["device"], []).append(result)
    return devices


def numbered(sections: Sequence[Section]) -> list[Section]:
    """Number the sections that share a title."""
    total = Counter(section.title for section in sections)
    numbers = {title: itertools.count(1) for title in total}
    return [
        section._replace(title=f"{section.title} ({next(numbers[section.title])})")
        if total[section.title] > 1
        else section
        for section in sections
    ]


def page_html(title: str, sections: Sequence[Section]) -> str:
    """Write the page, which needs nothing else."""
    parts = {f"part-{number}": section for number, section in enumerate(sections, start=1)}
    links = "".join(f'<a href="#{anchor}">{escape(part.title)}</a>' for anchor, part in parts.items())
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(part.title)}</h2>{part.html}</section>' for anchor, part in parts.items()
    )
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><header><h1>{escape(title)}</h1><nav>{links}</nav></header>{body}</main></body></html>\n"
    )


def page_markdown(title: str, sections: Sequence[Section]) -> str:
    """Write what the sections have in Markdown."""
    blocks = [f"## {escape_markdown(part.title)}\n\n{part.markdown}" for part in sections if part.markdown]
    return "\n\n".join([f"# {escape_markdown(title)}", *blocks]) + "\n"


_STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1d2229; --muted: #626b77; --rule: #d5d9df; --apart: #f5f6f8; --accent: #0a64a4;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #15181d; --ink: #e4e7eb; --muted: #98a1ad; --rule: #3b424c; --apart: #1d2127; --accent: #6db6ea; }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 1240px; margin: 0 auto; padding: 3.5rem 1.25rem 5rem; }
h1 { margin: 0 0 .75rem; font-size: clamp(1.8rem, 4.5vw, 2.75rem); line-height: 1.15; letter-spacing: -.02em; }
h2 { margin: 4rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); font-size: 1.65rem; }
header + section h2 { margin-top: 2rem; }
h3 { margin: 2.75rem 0 .5rem; font-size: 1.2rem; }
h4 { margin: 1.75rem 0 .5rem; font-size: .95rem; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; font-size: .92rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
p code { color: var(--muted); }
.source { margin: 3rem 0 .75rem; overflow-wrap: anywhere; }
h2 + .source, .summary + .source { margin-top: 0; }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.summary { max-width: 46rem; margin: 0 0 .5rem; font-size: 1.12rem; }
.note { max-width: 46rem; margin: 0 0 1rem; color: var(--muted); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .82rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .4rem; text-align: right; white-space: nowrap; }
thead th { border-bottom: 1.5px solid var(--ink); font-weight: 600; vertical-align: bottom; }
thead th[title] { cursor: help; }
tbody th, thead th:first-child { position: sticky; left: 0; background: var(--paper); text-align: left; }
tbody th { font-weight: 500; }
tbody tr:last-child > * { border-bottom: 1px solid var(--rule); }
tr.group th { padding-top: .55rem; padding-bottom: .1rem; color: var(--muted); font-size: .76rem; font-weight: 400; }
tr.group span { position: sticky; left: .4rem; }
tr.apart > * { background: var(--apart); color: var(--muted); }
.sd { color: var(--muted); font-weight: 400; font-size: .9em; }
strong { font-weight: 750; }
sup { font-size: .7em; line-height: 0; margin-left: .1em; }
.notes { margin: .5rem 0 0; padding-left: 1.4rem; color: var(--muted); font-size: .82rem; }
dl { margin: 0; font-size: .86rem; }
dt { font-weight: 600; }
dd { margin: 0; color: var(--muted); overflow-wrap: anywhere; }
.columns { columns: 3 19rem; column-gap: 2rem; }
.columns div { break-inside: avoid; margin-bottom: .6rem; }
.origin div { display: grid; grid-template-columns: 6rem minmax(0, 1fr); }
.runs div { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.runs dt { font-weight: 400; }
.pictures { margin-bottom: 1rem; }
.pictures th, .pictures td { padding: 2px; text-align: center; }
.pictures thead th {
  padding: 0 2px 6px; border: 0; white-space: normal; overflow-wrap: anywhere;
  color: var(--muted); font-weight: 400; font-size: .75rem; line-height: 1.25;
}
.pictures tbody tr > * { border: 0; }
.pictures tbody th { min-width: 6.5rem; padding-right: .9rem; text-align: left; white-space: normal; }
.pictures img, .pictures span { display: block; width: clamp(64px, 8.1vw, 98px); image-rendering: pixelated; }
.plots { display: grid; gap: 1.5rem 2rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 310px), 1fr)); }
.plots.wide { grid-template-columns: repeat(auto-fill, minmax(min(100%, 440px), 1fr)); }
.plots.small { grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { margin-bottom: .3rem; font-size: .88rem; font-weight: 600; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-family: inherit !important; font-variant-numeric: tabular-nums; }
svg image { image-rendering: pixelated; }
.failures {
  display: grid; gap: 1.25rem 1.5rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 224px), 1fr));
  margin: .5rem 0 1.25rem;
}
.failures img { display: block; width: 100%; max-width: 288px; height: auto; image-rendering: pixelated; }
.failures figcaption { margin: .4rem 0 0; font-size: .82rem; font-weight: 400; line-height: 1.4; }
.failures figcaption span { display: block; color: var(--muted); }
details { margin: .75rem 0; padding: .6rem .9rem; border: 1px solid var(--rule); border-radius: 6px; }
summary { cursor: pointer; font-weight: 600; font-size: .95rem; overflow-wrap: anywhere; }
.verdicts { max-width: 46rem; margin: 0 0 1.25rem; padding-left: 1.2rem; }
.verdicts li { margin: .25rem 0; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: 0 0 1rem; padding: 0; list-style: none; }
.legend i { display: inline-block; width: 1.4em; height: 3px; margin-right: .5em; vertical-align: middle; }
@media print { .scroll { overflow: visible; } }
"""
