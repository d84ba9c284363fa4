"""The section of a quality result: what was compared, its pictures, bars, tables and colors."""

from __future__ import annotations

from html import escape

import numpy as np

from benchmarks.core import plots
from benchmarks.core.html import (
    Colors,
    Section,
    definitions,
    figure,
    grid,
    image_html,
    listed,
    measured_on,
    note,
    source_of,
)
from benchmarks.core.tables import escape_markdown, table_html, table_markdown
from benchmarks.quality.report import color_plots as chroma
from benchmarks.quality.report.diversity import diversity_html, diversity_table
from benchmarks.quality.report.failures import failures_html, failures_table
from benchmarks.quality.report.sepia import cast_html, cast_table
from benchmarks.quality.report.tables import format_value, ordered_rows, quality_tables
from benchmarks.report.read import Record, Result, Tensors

__all__ = ["quality_section"]

_BAR_COLUMNS = ("fid", "fd_cifar10_v1", "cf")
_BESIDE = {"floor": "floor", "oracle": "oracle", "nonsense": "nonsense row", "unranked": "unranked row"}
_DIRECTIONS = {
    "lower": ", lower is better",
    "higher": ", higher is better",
    "truth": ", nearer to the real images is better",
}
_BARS_READING = "Whiskers: one standard deviation over runs. Dashed: the real images. Gray bars are no models."
_TABLES_READING = (
    "Mean ± standard deviation over runs. Bold: the best of the models. What a heading means is listed below the "
    "tables and shown where the pointer rests on it."
)
_COLORS_READING = (
    "Above: all pixels of all images in the a*b* plane, each place in its own color at L* = 65, the more opaque, the "
    "more pixels, on one logarithmic scale; the line encloses 90 % of the real pixels. Below: colorfulness CF of each "
    "image, 0 is gray; filled: the real images. Of a model with several runs, the first."
)
_PICTURES_IN_A_ROW = 10


def summarize(record: Record) -> str:
    """Say in a few sentences what a quality result compares, on what, and where it comes from."""
    data, kinds = record["data"], [row["kind"] for row in record["rows"]]
    runs = {row["name"]: len(row.get("members") or ()) for row in record["rows"] if row["kind"] == "model"}
    models = [f"{name} ({count} runs)" if count > 1 else name for name, count in runs.items()]
    others = [f"{n} {noun}{'s' if n > 1 else ''}" for kind, noun in _BESIDE.items() if (n := kinds.count(kind))]
    size = f", {data['image_size']} × {data['image_size']} pixels" if "image_size" in data else ""
    beside = f", beside {listed(others)}" if others else ""
    protocol = f" Protocol: {record['protocol']}." if record.get("protocol") else ""
    return (
        f"Compared: {listed(models) or 'nothing but reference rows'} on the {data['images']:,} {data['split']} images "
        f"of {data['name']}{size}{beside}.{protocol} {measured_on(record)}"
    )


def quality_section(result: Result, colors: Colors) -> Section:
    """Show a quality result: pictures, bars, tables and colors; what it has no data for is left out."""
    record, source = result.record, str(result.path)
    tables = quality_tables(record)
    shown_tables = "".join(f"<h4>{escape(table.title)}</h4>{table_html(table)}" for table in tables)
    abouts = {column["label"]: column["about"] for column in record["columns"].values()}
    parts = {
        "Pictures": pictures_html(record, result.tensors),
        "At a glance": bars_html(record, colors, source),
        "All numbers": f"{note(_TABLES_READING)}{shown_tables}<h4>Definitions</h4>{definitions('columns', abouts)}",
        "Colors": colors_html(record, result.tensors, colors, source),
        "Sepia, or merely pale?": cast_html(record, colors, source),
        "Several colorings of an image": diversity_html(record),
        "Where they fail": failures_html(record, result.tensors),
    }
    tables += [
        table for table in (cast_table(record), diversity_table(record), failures_table(record)) if table is not None
    ]
    shown = "".join(f"<h3>{heading}</h3>{html}" for heading, html in parts.items() if html)
    summary = summarize(record)
    markdown = [
        f"{escape_markdown(source)}: {escape_markdown(summary)}",
        *(f"### {table.title}\n\n{table_markdown(table)}" for table in tables),
        "\n".join(f"- **{escape_markdown(label)}**: {escape_markdown(about)}" for label, about in abouts.items()),
    ]
    html = f'<p class="summary">{escape(summary)}</p>{source_of(result.path)}{shown}'
    return Section(f"Quality on {record['data']['name']}", html, "\n\n".join(markdown))


def pictures_html(record: Record, tensors: Tensors) -> str:
    """Write the images of all pictured rows, a column an image, in tables of at most `_PICTURES_IN_A_ROW` columns."""
    # The truth stands below what tries to reach it.
    ordered = sorted(ordered_rows(record), key=lambda row: row["kind"] == "truth")
    rows = [row["name"] for row in ordered if f"pictures/{row['name']}" in tensors]
    pictures = record.get("pictures")
    if not rows or not pictures:
        return ""
    labels = list(enumerate(pictures["labels"]))
    blocks = []
    for start in range(0, len(labels), _PICTURES_IN_A_ROW):
        columns = labels[start : start + _PICTURES_IN_A_ROW]
        head = "".join(f'<th scope="col"><span>{escape(label)}</span></th>' for _, label in columns)
        body = ""
        for row in rows:
            images = tensors[f"pictures/{row}"]  # (n, 3, H, W)
            cells = "".join(f"<td>{image_html(images[index], f'{row}: {label}')}</td>" for index, label in columns)
            body += f'<tr><th scope="row">{escape(row)}</th>{cells}</tr>'
        table = f'<table class="pictures"><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>'
        blocks.append(f'<div class="scroll" tabindex="0">{table}</div>')
    return note(f"Chosen by rule: {pictures['rule']}") + "".join(blocks)


def bars_html(record: Record, colors: Colors, source: str) -> str:
    """Draw the headline columns that have values."""
    figures = []
    for name, column in record["columns"].items():
        if name not in _BAR_COLUMNS:
            continue
        values = {row["name"]: row["values"].get(name) for row in ordered_rows(record)}
        truth = next((values.pop(row["name"]) for row in record["rows"] if row["kind"] == "truth"), None)
        bars = [
            plots.Bar(row, value["mean"], value.get("sd"), format_value(value, column), colors(row))
            for row, value in values.items()
            if value
        ]
        if bars:
            line = (truth["mean"], format_value(truth, column)) if truth else None
            drawing = plots.bars(bars, line, f"{column['label']} of {source}")
            figures.append(figure(f"{column['label']}{_DIRECTIONS.get(column['better'], '')}", drawing))
    return note(_BARS_READING) + grid(figures, "wide") if figures else ""


def colors_html(record: Record, tensors: Tensors, colors: Colors, source: str) -> str:
    """Draw, for every row, its histogram in a*b* and the distribution of its colorfulness against the truth's."""
    rows = ordered_rows(record)
    maps = {row["name"]: tensors[f"ab/{row['name']}"] for row in rows if f"ab/{row['name']}" in tensors}
    spreads = {row["name"]: tensors[f"cf/{row['name']}"] for row in rows if f"cf/{row['name']}" in tensors}
    truth = next((row["name"] for row in rows if row["kind"] == "truth"), None)
    ab_limit = chroma.chroma_limit([*maps.values()]) if maps else 0.0
    cf_limit = max((float(np.quantile(values, 0.995)) for values in spreads.values()), default=0.0)
    figures = []
    for row in rows:
        name, drawings = row["name"], []
        if name in maps:
            label = f"Histogram in a*b* of {name} in {source}"
            drawings.append(chroma.chroma_map(maps[name], maps.get(truth), ab_limit, label))
        if name in spreads:
            label = f"Colorfulness of {name} in {source}"
            color = plots.INK if name == truth else colors(name)
            drawings.append(chroma.distribution(spreads[name], spreads.get(truth), color, cf_limit, label))
        if drawings:
            figures.append(figure(name, *drawings))
    return note(_COLORS_READING) + grid(figures, "small") if figures else ""
