"""The section of a quality result: what was compared, its pictures, bars, tables and colors."""

from __future__ import annotations

import numpy as np

from benchmarks.core import plots
from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result, Tensors, first_key
from benchmarks.core.sections import (
    Block,
    Definitions,
    Figure,
    Figures,
    Heading,
    Note,
    PageOnly,
    Pictures,
    Section,
    image_uri,
    listed,
    measured_on,
)
from benchmarks.quality.report import color_plots
from benchmarks.quality.report.diversity import calibration_blocks, diversity_blocks
from benchmarks.quality.report.failures import count_blocks, worst_blocks
from benchmarks.quality.report.tables import (
    measured_columns,
    ordered_rows,
    quality_tables,
    ranking_blocks,
    rows_with_hues,
    sepia_blocks,
    unmeasured,
)
from benchmarks.quality.report.verdict import verdict_blocks
from colornet.tables import format_mean

REQUIRED = {
    "quality": (
        ("data", "columns", "rows", "command", "commit", "date", "device"),
        {"rows": ("name", "kind", "values")},
    )
}
_BAR_COLUMNS = ("fid", "fd_cifar10_", "cf")  # or the first that begins so
_BESIDE = {"floor": "floor", "oracle": "oracle", "sanity_check": "sanity check", "unranked": "unranked row"}
_DIRECTIONS = {
    "lower": ", lower is better",
    "higher": ", higher is better",
    "truth": ", nearer to the real images is better",
}
_BARS_READING = "Whiskers: one standard deviation over runs. Dashed: the real images. Gray bars are not models."
_TABLES_READING = (
    "Mean ± standard deviation over runs. Bold: the best of the models. What a heading means is listed below the "
    "tables and shown where the pointer rests on it."
)
_COLORS_READING = (
    "Above: all pixels of all images in the a*b* plane, each place in its own color at L* = 65, the more opaque, the "
    "more pixels, on one logarithmic scale; the line encloses 90 % of the real pixels. Below: colorfulness CF of each "
    "image, 0 is gray; filled: the real images. Of a model with several runs, the first."
)
_HUES_READING = (
    "First plot: colorfulness CF of the images; a box holds the middle half of them, its line is the median, whiskers "
    "reach over 90 %; dashed: the median of the real images. The others: pixels with C* > 5 by hue, as shares of all "
    "pixels; the outline is the real images', the gray band is sepia, hues from 40° to 90°. Where bars keep the shape "
    "of the outline but are lower, colors are pale; where they gather in the band, they are sepia. Of a model with "
    "several runs, the plots show the first."
)


def section(result: Result, colors: Colors) -> Section:
    """Show a quality result: pictures, bars, tables and colors, as far as it has data."""
    record, tensors, source = result.record, result.tensors, str(result.path)
    blocks: list[Block] = [
        *verdict_blocks(record),
        *_pictures(record, tensors),
        *_bars(record, colors, source),
        Heading("All numbers"),
        PageOnly([Note(_TABLES_READING)]),
        *ranking_blocks(record),
        *quality_tables(record),
        *unmeasured(record),
        Heading("Definitions", 4),
        _definitions(record),
        *_color_figures(record, tensors, colors, source),
        *sepia_blocks(record),
        *_hue_figures(record, colors, source),
        *diversity_blocks(record),
        *calibration_blocks(record, colors, result.path),
        *count_blocks(record),
        *worst_blocks(record, tensors),
    ]
    return Section(f"Quality on {record['data']['name']}", summarize(record), result.path, blocks)


def summarize(record: Record) -> str:
    """Describe what a quality result compares, on which images, and its origin."""
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


def tables(record: Record) -> list[Block]:
    """List what the terminal and Markdown show: all tables, and what their columns mean."""
    colors = [*sepia_blocks(record), *diversity_blocks(record), *count_blocks(record)]
    return [
        *verdict_blocks(record),
        *ranking_blocks(record),
        *quality_tables(record),
        *unmeasured(record),
        _definitions(record),
        *colors,
    ]


def _definitions(record: Record) -> Definitions:
    return Definitions({column["label"]: column["about"] for column in measured_columns(record).values()})


def _pictures(record: Record, tensors: Tensors) -> list[Block]:
    # The truth stands below the colorings.
    ordered = sorted(ordered_rows(record), key=lambda row: row["kind"] == "truth")
    pictured = {row["name"]: tensors[key] for row in ordered if (key := f"pictures/{row['name']}") in tensors}
    pictures = record.get("pictures")
    if not pictured or not pictures:
        return []
    rows = {name: [*map(image_uri, images)] for name, images in pictured.items()}
    note = Note(f"Chosen by rule: {pictures['rule']}")
    return [PageOnly([Heading("Pictures"), note, Pictures(pictures["labels"], rows)])]


def _bars(record: Record, colors: Colors, source: str) -> list[Block]:
    """Draw the headline columns that have values."""
    rows, figures = ordered_rows(record), []
    for key in _BAR_COLUMNS:
        name = first_key(record["columns"], key)
        column = record["columns"].get(name, {})
        values = {row["name"]: row["values"].get(name) for row in rows}
        truth = next((values.pop(row["name"], None) for row in rows if row["kind"] == "truth"), None)
        bars = [
            plots.Bar(row, value["mean"], value.get("sd"), format_mean(value, column["decimals"]), colors(row))
            for row, value in values.items()
            if value
        ]
        if bars:
            line = (truth["mean"], format_mean(truth, column["decimals"])) if truth else None
            drawing = plots.bars(bars, line, f"{column['label']} of {source}")
            figures.append(Figure(f"{column['label']}{_DIRECTIONS.get(column['better'], '')}", [drawing]))
    return [PageOnly([Heading("At a glance"), Note(_BARS_READING), Figures(figures, "wide")])] if figures else []


def _color_figures(record: Record, tensors: Tensors, colors: Colors, source: str) -> list[Block]:
    """Draw, for every row, its histogram in a*b* and the distribution of its colorfulness against the truth's."""
    kinds = {row["name"]: row["kind"] for row in ordered_rows(record)}
    truth = next((name for name, kind in kinds.items() if kind == "truth"), None)
    maps, spreads = (
        {name: tensors[f"{part}/{name}"] for name in kinds if f"{part}/{name}" in tensors} for part in ("ab", "cf")
    )
    ab_limit = color_plots.chroma_limit([*maps.values()]) if maps else 0.0
    cf_limit = max((float(np.quantile(values, 0.995)) for values in spreads.values()), default=0.0)
    figures = []
    for name in kinds:
        drawings = []
        if name in maps:
            label = f"Histogram in a*b* of {name} in {source}"
            drawings.append(color_plots.chroma_map(maps[name], maps.get(truth), ab_limit, label))
        if name in spreads:
            label = f"Colorfulness of {name} in {source}"
            color = plots.INK if name == truth else colors(name)
            drawings.append(color_plots.distribution(spreads[name], spreads.get(truth), color, cf_limit, label))
        if drawings:
            figures.append(Figure(name, drawings))
    return [PageOnly([Heading("Colors"), Note(_COLORS_READING), Figures(figures, "small")])] if figures else []


def _hue_figures(record: Record, colors: Colors, source: str) -> list[Block]:
    """Draw boxes of the images' colorfulness and the hues of truth and models."""
    truth, rows = rows_with_hues(record)
    if truth is None:
        return []
    boxes = {
        row["name"]: ([*row["cf_quantiles"].values()], plots.INK if row is truth else colors(row["name"]))
        for row in rows
    }
    size = record["data"]["images"] * record["data"]["image_size"] ** 2
    shares = {row["name"]: [count / size for count in row["hues"]] for row in rows}
    real = shares[truth["name"]]
    # A row with far more than the truth is cut off, so that the truth stays visible; gray has none.
    limit = min(max(map(max, shares.values())), 3 * max(real))
    figures = [Figure("CF of the images", [color_plots.boxes(boxes, f"Boxes of colorfulness in {source}")])]
    for name, share in shares.items():
        figures.append(Figure(name, [color_plots.hue_profile(share, real, limit, f"Hues of {name} in {source}")]))
    return [PageOnly([Note(_HUES_READING), Figures(figures)])]
