"""The section of an ablation: the variants of every question beside each other, drawn by e and in a table."""

from __future__ import annotations

import statistics
from html import escape
from itertools import pairwise

import matplotlib as mpl

from benchmarks.ablation.tables import COSTS, VALUES, answered, table_rows
from benchmarks.core.html import Section, figure, grid, measured_on, note, source_of
from benchmarks.core.plots import INK, NEUTRAL, PALETTE, STYLE, blank, shortened, svg
from benchmarks.core.tables import Cell, Line, Table, escape_markdown, format_number, table_html, table_markdown
from benchmarks.report.read import Record, Result

__all__ = ["ablation_section", "ablation_tables"]

_WIDTH = 350  # of plots that the page shows three in a row
_READING = (
    "e of each variant, lower is better: 0 is real, 1 is gray. A dot a run, a line their mean. Gray: a baseline, with "
    "which those below it compare, and a band from its lowest to its highest seed, or a dashed line where it has one. "
    "A difference that is no larger than the spread of seeds says nothing."
)
_TIPS = {
    "e": "fd_cifar10_dev as a share of the gray images'.",
    "images, k": "Training images seen, thousands, those of a warm start included.",
    "G, M": "Parameters of the generator, millions.",
    "D, M": "Parameters of the discriminator, millions.",
    "s": "Seconds of training steps.",
}


def ablation_section(result: Result) -> Section:
    """Show an ablation: a plot for every question, then the numbers."""
    record, source = result.record, str(result.path)
    summary = summarize(record)
    plots = [
        figure(question, draw_question(record, names, f"e by variant, {question}, {source}"))
        for question, names in answered(record).items()
    ]
    tables = ablation_tables(record)
    drawn = note(_READING) + grid(plots) if plots else ""
    notes = note(record.get("notes", ""))
    shown = "".join(f"<h4>{escape(table.title)}</h4>{table_html(table)}" for table in tables)
    html = f'<p class="summary">{escape(summary)}</p>{source_of(result.path)}{drawn}<h3>All variants</h3>{notes}{shown}'
    markdown = [
        f"{escape_markdown(source)}: {escape_markdown(summary)}",
        *(f"### {escape_markdown(table.title)}\n\n{table_markdown(table)}" for table in tables),
    ]
    return Section(f"Ablation on {record['data']['name']}", html, "\n\n".join(markdown))


def summarize(record: Record) -> str:
    """Say how much was compared, on what, and where it comes from."""
    data, seeds = record["data"], {len(variant["runs"]) for variant in record["variants"].values()}
    spread = f"{min(seeds)} to {max(seeds)} seeds" if len(seeds) > 1 else f"{max(seeds)} seed{'s' * (max(seeds) > 1)}"
    seen = {run["images_seen"] for run in record["runs"].values()}
    images = f"after {min(seen):,} training images" if len(seen) == 1 else "after as many training images as listed"
    failed = f" {len(record['failures'])} failed." if record["failures"] else ""
    return (
        f"{len(record['variants'])} variants of the recipe, {spread} each, {images}, on the {data['images']:,} "
        f"{data['split']} images of {data['name']}.{failed} {measured_on(record)}"
    )


def ablation_tables(record: Record) -> list[Table]:
    """Lay out the rows that need no model, then the variants of every question."""
    tables = []
    for question, rows in table_rows(record):
        headings = [*(name.replace("\\", "") for name in VALUES), *COSTS]
        lines = [
            Line(Cell(name), [Cell(text) for text in cells] or [Cell("")] * len(headings), ranked=bool(cells))
            for name, *cells in rows
        ]
        tables.append(Table(question, [Cell(""), *(Cell(text, tip=_TIPS.get(text, "")) for text in headings)], lines))
    return tables


def is_plain(variant: Record) -> bool:
    """Tell whether a variant is its preset without changes."""
    return not {"options", "factors", "init_from"} & variant.keys()


@mpl.rc_context(STYLE)
def draw_question(record: Record, names: list[str], label: str) -> str:
    """Draw the e of all runs of some variants, each below its baseline: the first, or a preset without changes."""
    values = {name: [record["runs"][run]["values"]["e"] for run in record["variants"][name]["runs"]] for name in names}
    figure, axes = blank(_WIDTH, 52 + 24 * len(names))
    bases = [place for place, name in enumerate(names) if place == 0 or is_plain(record["variants"][name])]
    for first, end in pairwise([*bases, len(names)]):
        base, rows = values[names[first]], (first - 0.5, end - 0.5)
        if len(base) > 1:
            axes.barh(sum(rows) / 2, max(base) - min(base), end - first, min(base), color=NEUTRAL, alpha=0.25)
        else:
            axes.plot((base[0], base[0]), rows, color=INK, linewidth=0.8, linestyle=(0, (4, 2)), zorder=0)
    for place, found in enumerate(values.values()):
        color = NEUTRAL if place in bases else PALETTE[0]
        mean = statistics.mean(found)
        axes.plot((mean, mean), (place - 0.3, place + 0.3), color=color, linewidth=2)
        axes.plot(found, [place] * len(found), "o", color=color, markersize=5, alpha=0.85)
        axes.annotate(format_number(mean, 3), (1, place), (8, 0), xycoords=("axes fraction", "data"),
                      textcoords="offset points", va="center")  # fmt: skip
    axes.set_yticks(range(len(names)), [shortened(name) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.06)
    axes.grid(axis="x")
    axes.set_xlabel("e")
    axes.spines["bottom"].set_visible(False)
    return svg(figure, label)
