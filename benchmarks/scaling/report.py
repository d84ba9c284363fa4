"""The section of scaling: what more processes bring, as measured and as a model says of even more of them."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

import matplotlib as mpl

from benchmarks.core.html import Section, figure, grid, measured_on, note, source_of
from benchmarks.core.plots import INK, PALETTE, STYLE, blank, svg
from benchmarks.core.tables import (
    DASH,
    Cell,
    Line,
    Table,
    decimals_for,
    escape_markdown,
    format_number,
    table_html,
    table_markdown,
)
from benchmarks.report.read import Record, Result

__all__ = ["scaling_section", "scaling_tables"]

_WIDTH = 350  # of plots that the page shows three in a row
_READING = (
    "Efficiency over the processes. Weak: as many images a process; strong: as many in all. Dots are measured; a band "
    "is what the model says, from nothing of the exchange of gradients hidden by the backward pass to as much as can "
    "be, its line as much as was hidden here. Dotted: 90 %."
)
_TIPS = {
    "compute": "Milliseconds of the same step without any exchange of gradients.",
    "communication": "Milliseconds of the exchange that the backward pass did not hide.",
    "input": "Milliseconds of the next batch by itself; part of compute.",
    "weak": "Images/s over those of one process with as many images a process, over the processes.",
    "strong": "Images/s over those of one process with as many images in all, over the processes.",
}
_KINDS = {"low": "nothing hidden", "high": "all hidden that can be", "here": "hidden as here"}


def scaling_section(result: Result) -> Section:
    """Show a record of `scaling`: plots of efficiency, the measured points and what is predicted."""
    record, source = result.record, str(result.path)
    summary = summarize(record)
    plots = [
        figure(
            f"{model['preset']}, {kind} scaling",
            draw_efficiency(record, model, kind, f"{kind} {model['preset']} {source}"),
        )
        for model in record["models"]
        for kind in ("weak", "strong")
    ]
    drawn = note(_READING) + grid(plots) if plots else ""
    html, markdown = [], [f"{escape_markdown(source)}: {escape_markdown(summary)}"]
    for table, reading in scaling_tables(record):
        html.append(f"<h4>{escape(table.title)}</h4>{note(reading) if reading else ''}{table_html(table)}")
        markdown += [f"### {table.title}", *([escape_markdown(reading)] if reading else []), table_markdown(table)]
    top = f'<p class="summary">{escape(summary)}</p>{source_of(result.path)}{drawn}'
    return Section(f"Scaling on {record['device']}", top + "".join(html), "\n\n".join(markdown))


def summarize(record: Record) -> str:
    """Say what was measured and what connects the processes."""
    counts = sorted({point["processes"] for point in record["points"]})
    link = record["link"]
    if link is None:
        known = "No model of more: neither latency nor bandwidth of a link is known."
    else:
        origin = "assumed" if link["assumed"] else "measured"
        bandwidth = link["bandwidth"] / 1e9
        known = (
            f"Link, {origin}: {format_number(1e6 * link['latency'], 0)} µs a message, "
            f"{format_number(bandwidth, decimals_for(bandwidth))} GB/s."
        )
    return (
        f"Training steps on {', '.join(map(str, counts))} process{'es' * (counts[-1] > 1)}, images of "
        f"{record['data']['name']}. {known} {measured_on(record)}"
    )


def scaling_tables(record: Record) -> Iterator[tuple[Table, str]]:
    """Lay out the measured points and, where there are models, the images a process that 90 % efficiency takes."""
    headings = ("preset", "processes", "images each", "bucket MiB", "images/s", "step ms", "compute", "communication",
                "input", "weak", "strong")  # fmt: skip
    lines = [Line(Cell(point["preset"]), [*map(Cell, _point(point))]) for point in record["points"]]
    yield Table("Measured", [Cell(name, tip=_TIPS.get(name, "")) for name in headings], lines), ""
    for model in record["models"]:
        compute, kinds = model["compute"], [*model["hidden_share"]]
        reading = (
            f"A step on one process takes {format_number(1e3 * compute['fixed'], 2)} ms and "
            f"{format_number(1e6 * compute['per_image'], 1)} µs an image, and sums "
            f"{format_number(model['gradient_bytes'] / 1e6, 1)} MB of gradients."
        )
        rows = [
            Line(
                Cell(str(row["processes"])),
                [Cell("none" if row[kind] is None else format_number(row[kind], 0)) for kind in kinds],
            )
            for row in model["images_for_90_percent"]
        ]
        title = f"{model['preset']}: images a process from which 90 % efficiency is predicted"
        yield Table(title, [Cell("processes"), *(Cell(_KINDS.get(kind, kind)) for kind in kinds)], rows), reading


def _point(point: Record) -> list[str]:
    seconds = point["seconds"]
    parts = (
        seconds["step"],
        seconds.get("compute", seconds["step"]),
        seconds.get("communication", 0.0),
        seconds["input"],
    )
    shares = [point[f"{kind}_efficiency"] for kind in ("weak", "strong")]
    return [
        str(point["processes"]),
        str(point["images"]),
        f"{point['bucket_mb']:g}",
        format_number(point["images_per_second"], 0),
        *(format_number(1000 * part, 1) for part in parts),
        *(DASH if share is None else f"{format_number(100 * share, 0)} %" for share in shares),
    ]


@mpl.rc_context(STYLE)
def draw_efficiency(record: Record, model: Record, kind: str, source: str) -> str:
    """Draw the weak or strong efficiencies of a preset in per cent, measured and predicted."""
    figure, axes = blank(_WIDTH, 250)
    counts = sorted({point["processes"] for point in model["predictions"]})
    for color, images in zip(PALETTE, sorted({point["images"] for point in model["predictions"]}), strict=False):
        predicted = [point[kind] for point in model["predictions"] if point["images"] == images]
        ends = {end: [100 * point[end] for point in predicted] for end in model["hidden_share"]}
        name = f"{images} images {'a process' if kind == 'weak' else 'in all'}"
        axes.fill_between(counts, ends["low"], ends["high"], color=color, alpha=0.22, linewidth=0, label=name)
        if "here" in ends:
            axes.plot(counts, ends["here"], color=color, linewidth=1.3)
        dots = [
            (point["processes"], 100 * point[f"{kind}_efficiency"])
            for point in record["points"]
            if point["preset"] == model["preset"]
            and point["images"] * (1 if kind == "weak" else point["processes"]) == images
            and point[f"{kind}_efficiency"] is not None
        ]
        axes.plot([count for count, _ in dots], [value for _, value in dots], "o", color=color, markersize=5)
    axes.axhline(90, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set(xscale="log", ylim=(0, 105), xlabel="processes", ylabel="efficiency, %")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.grid(axis="y")
    axes.legend(frameon=False, loc="lower left", labelcolor=INK)
    return svg(figure, f"{kind.capitalize()} scaling of {model['preset']} in {source}")
