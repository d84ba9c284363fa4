"""The page of the report: the sections of all results in order, as HTML that needs no other file and as Markdown."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import jinja2

from benchmarks.core.colors import Colors
from benchmarks.core.record import showing
from benchmarks.core.sections import Block, Definitions, Heading, Section, listed
from benchmarks.report.options import OUTPUTS, ReportOptions
from benchmarks.report.read import SECTIONS, Results, group_of, read_results
from benchmarks.report.speed_quality import speed_quality_section
from benchmarks.report.training import training_section
from colornet.files import write_text
from colornet.runs.hub import without_folders
from colornet.runs.run import Run
from colornet.tables import escape_markdown, plain


def write(options: ReportOptions) -> None:
    """Read the results and write the page, and its tables in Markdown, to the folder `options.out`."""
    results, runs = read_results(options.inputs)
    title, sections = page_title(results), make_sections(results, runs)
    texts = [(section.title, section.to_markdown()) for section in sections]
    blocks = [f"## {escape_markdown(name)}\n\n{text}" for name, text in texts if text]
    markdown = "\n\n".join([f"# {escape_markdown(title)}", *blocks]) + "\n"
    for name, text in zip(OUTPUTS, (page_html(title, sections), markdown), strict=True):
        write_text(options.out / name, text)
    print(f"Written to {options.out}: {', '.join(OUTPUTS)}")


def page_title(results: Results) -> str:
    """Name the models and the data sets that are compared."""
    quality = [result.record for result in results["quality"]]
    models = dict.fromkeys(row["name"] for record in quality for row in record["rows"] if row["kind"] == "model")
    data = dict.fromkeys(record["data"]["name"] for record in quality)
    return f"Coloring {listed([*data])}: {listed([*models])}" if models else "Results of colornet"


def make_sections(results: Results, runs: Sequence[Run]) -> list[Section]:
    """Make the sections in the order of the page; what has no data is left out."""
    colors = Colors(
        (row for result in results["quality"] for row in result.record["rows"] if row["kind"] == "model"),
        [
            *map(group_of, runs),
            *(r.record["ours"]["preset"] for r in results["speedrun"]),
            *(name for r in results["speedrun-to-quality"] for name in r.record["recipes"]),
        ],
    )
    found: list[Section | None] = []
    for kind, records in results.items():
        for result in records:
            with showing(result.path):
                section: Section = import_module(SECTIONS[kind]).section(result, colors)
                section.to_markdown()  # fails here, where the file is known, if at all
                found.append(section)
    with showing(", ".join(str(run.path) for run in runs)):
        found.append(training_section(runs, results["ablation"], colors))
    with showing(", ".join(str(r.path) for kind in ("quality", "throughput") for r in results[kind])):
        found.append(speed_quality_section(results, colors))
    found.append(_provenance(results, runs))
    return numbered([section for section in found if section is not None])


def _provenance(results: Results, runs: Sequence[Run]) -> Section:
    """List the origin of every file that the page shows, and the length of the runs whose curves it draws."""
    keys = ("command", "commit", "date", "device", "machine", "versions", "data")
    blocks: list[Block] = []
    for result in itertools.chain.from_iterable(results.values()):
        values = {key: value for key in keys if (value := result.record.get(key))}
        texts = {
            key: ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
            for key, value in values.items()
        } | {"command": without_folders(str(values.get("command")))}
        blocks += [Heading(str(result.path), 4), Definitions(texts, "origin")]
    root = os.path.commonpath([run.path.resolve().parent for run in runs]) if runs else ""
    last = {
        str(run.path.resolve().relative_to(root)): max((record["step"] for record in run.records), default=0)
        for run in runs
    }
    if last:
        blocks += [Heading("Curves", 4), Definitions({path: f"{step:,} steps" for path, step in last.items()}, "runs")]
    return Section("Provenance", blocks=blocks)


def numbered(sections: Sequence[Section]) -> list[Section]:
    """Number the sections that share a title."""
    total = Counter(section.title for section in sections)
    numbers = {title: itertools.count(1) for title in total}
    return [replace(s, title=f"{s.title} ({next(numbers[s.title])})") if total[s.title] > 1 else s for s in sections]


def page_html(title: str, sections: Sequence[Section]) -> str:
    """Return the page."""
    folder = Path(__file__).parent
    loader = jinja2.FileSystemLoader(folder)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    # Names come from files: what a terminal would interpret, a page does not show well either.
    environment.finalize = lambda value: value if hasattr(value, "__html__") else plain(str(value))
    environment.filters["kind"] = lambda block: type(block).__name__
    css = (folder / "page.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(title=title, sections=sections, css=css) + "\n"
