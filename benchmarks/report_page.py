"""The page of the report, in HTML, and its tables in Markdown."""

from __future__ import annotations

import itertools
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from benchmarks import plots
from benchmarks.report import OUTPUTS, Result, Results, Run, without_seed
from benchmarks.report_tables import (
    escape_markdown,
    flops_unit,
    format_number,
    format_value,
    mean_of,
    ordered_rows,
    quality_tables,
    table_html,
    table_markdown,
    throughput_table,
)
from colornet.files import replacing

__all__ = ["write_report"]

Record = dict[str, Any]
Array = NDArray[Any]
Tensors = Mapping[str, Array]

_BAR_COLUMNS = ("fid", "fd_cifar10_v1", "cf")
_QUALITY_AGAINST_SPEED = "fd_cifar10_v1"
_BESIDE = {"floor": "floor", "oracle": "oracle", "nonsense": "nonsense row", "unranked": "unranked row"}
_DIRECTIONS = {
    "lower": ", lower is better",
    "higher": ", higher is better",
    "truth": ", nearer to the real images is better",
}
_BARS_READING = "Whiskers: one standard deviation over runs. Dashed: the real images. Grey bars are no models."
_TABLES_READING = (
    "Mean ± standard deviation over runs. Bold: the best of the models. What a heading means is listed below the "
    "tables and shown where the pointer rests on it."
)
_COLORS_READING = (
    "Above: all pixels of all images in the a*b* plane, each place in its own colour at L* = 65, the more opaque, the "
    "more pixels, on one logarithmic scale; the line encloses 90 % of the real pixels. Below: colourfulness CF of each "
    "image, 0 is grey; filled: the real images. Of a model with several runs, the first."
)
_CURVES_READING = "One line a run; runs that differ in their seed share a colour. Dashed: the real images."
_SPEED_READING = "Each model at the fastest training row of its preset: further down and to the right is better."
_CURVES = ("validation/", "loss/")
_PICTURES_IN_A_ROW = 10


# Names and colours that all parts of the page share


def aliases(row: Record) -> set[str]:
    """Name a row as others may: its runs less their seed, or a preset."""
    return {
        row["name"].casefold(),
        *(without_seed(Path(member).name).casefold() for member in row.get("members") or ()),
    }


class Colors:
    """One colour per model over all plots, in the order of the tables; rows that are no models share a grey."""

    def __init__(self, results: Results) -> None:
        self._colors: dict[str, str] = {}
        self._palette = itertools.cycle(plots.PALETTE)
        models = [row for result in results.quality for row in result.record["rows"] if row["kind"] == "model"]
        for row in models:
            self._choose(row["name"])
        for row in models:
            for alias in aliases(row):
                self._colors.setdefault(alias, self(row["name"]))
        for run in results.runs:
            self._choose(run.group)

    def __call__(self, name: str) -> str:
        return self._colors.get(name.casefold(), plots.NEUTRAL)

    def _choose(self, name: str) -> None:
        if name.casefold() not in self._colors:
            self._colors[name.casefold()] = next(self._palette)


# Parts of the page


class Section(NamedTuple):
    """A part of the page: its heading and its HTML."""

    title: str
    html: str


def summarize(record: Record) -> str:
    """Say in a few sentences what a quality result compares, on what, and where it comes from."""
    data, kinds = record["data"], [row["kind"] for row in record["rows"]]
    runs = {row["name"]: len(row.get("members") or ()) for row in record["rows"] if row["kind"] == "model"}
    models = [f"{name} ({count} runs)" if count > 1 else name for name, count in runs.items()]
    others = [f"{n} {noun}{'s' if n > 1 else ''}" for kind, noun in _BESIDE.items() if (n := kinds.count(kind))]
    size = f", {data['image_size']} × {data['image_size']} pixels" if "image_size" in data else ""
    beside = f", beside {_listed(others)}" if others else ""
    protocol = f" Protocol: {record['protocol']}." if record.get("protocol") else ""
    return (
        f"Compared: {_listed(models) or 'nothing but reference rows'} on the {data['images']:,} {data['split']} images "
        f"of {data['name']}{size}{beside}.{protocol} Measured on {record['device']}, {str(record['date'])[:10]}, "
        f"commit {_short_commit(record['commit'])}."
    )


def _short_commit(commit: str | None) -> str:
    """Shorten a commit, but for the + that says that files differed from it."""
    return re.sub(r"^(\w{12})\w+", r"\1", commit) if commit else "unknown"


def quality_section(result: Result, colors: Colors, title: str) -> Section:
    """Show a quality result: pictures, bars, tables and colours; what it has no data for is left out."""
    record, source = result.record, str(result.path)
    tables = "".join(f"<h4>{escape(t.title)}</h4>{table_html(t)}" for t in quality_tables(record))
    abouts = {column["label"]: column["about"] for column in record["columns"].values()}
    parts = {
        "Pictures": pictures_html(record, result.tensors),
        "At a glance": bars_html(record, colors, source),
        "All numbers": f"{_note(_TABLES_READING)}{tables}<h4>Definitions</h4>{_definitions('columns', abouts)}",
        "Colours": colors_html(record, result.tensors, colors, source),
    }
    shown = "".join(f"<h3>{heading}</h3>{html}" for heading, html in parts.items() if html)
    summary = f'<p class="summary">{escape(summarize(record))}</p>'
    return Section(title, f"{summary}<p><code>{escape(source)}</code></p>{shown}")


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
    return _note(f"Chosen by rule: {pictures['rule']}") + "".join(blocks)


def image_html(image: Array, description: str) -> str:
    """Embed a uint8 image (3, H, W) pixel by pixel."""
    buffer = BytesIO()
    Image.fromarray(rearrange(image, "c h w -> h w c")).save(buffer, format="png")
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">'


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
            figures.append(_figure(f"{column['label']}{_DIRECTIONS.get(column['better'], '')}", drawing))
    return _note(_BARS_READING) + _grid(figures, "wide") if figures else ""


def colors_html(record: Record, tensors: Tensors, colors: Colors, source: str) -> str:
    """Draw, for every row, its histogram in a*b* and the distribution of its colourfulness against the truth's."""
    rows = ordered_rows(record)
    maps = {row["name"]: tensors[f"ab/{row['name']}"] for row in rows if f"ab/{row['name']}" in tensors}
    spreads = {row["name"]: tensors[f"cf/{row['name']}"] for row in rows if f"cf/{row['name']}" in tensors}
    truth = next((row["name"] for row in rows if row["kind"] == "truth"), None)
    ab_limit = plots.chroma_limit([*maps.values()]) if maps else 0.0
    cf_limit = max((float(np.quantile(values, 0.995)) for values in spreads.values()), default=0.0)
    figures = []
    for row in rows:
        name, drawings = row["name"], []
        if name in maps:
            label = f"Histogram in a*b* of {name} in {source}"
            drawings.append(plots.chroma_map(maps[name], maps.get(truth), ab_limit, label))
        if name in spreads:
            label = f"Colourfulness of {name} in {source}"
            color = plots.INK if name == truth else colors(name)
            drawings.append(plots.distribution(spreads[name], spreads.get(truth), color, cf_limit, label))
        if drawings:
            figures.append(_figure(name, *drawings))
    return _note(_COLORS_READING) + _grid(figures, "small") if figures else ""


def curves_section(runs: Sequence[Run], colors: Colors) -> Section | None:
    """Draw the losses and validation scores of all runs over the images that they have seen."""
    known = dict.fromkeys(tag for run in runs for record in run.records for tag in record if record[tag] is not None)
    shown = [tag for prefix in _CURVES for tag in known if tag.startswith(prefix) and not tag.endswith("_truth")]
    if not shown:
        return None
    last = max(record["step"] * run.config["batch_size"] for run in runs for record in run.records)
    unit, x_label = (1e6, "million images") if last >= 1e6 else (1e3, "thousand images")
    figures = []
    for tag in shown:
        lines = [line for run in runs for line in _curves(run, tag, unit, colors)]
        figures.append(_figure(tag, plots.curves(lines, x_label, f"Curves of {tag}")))
    groups = dict.fromkeys(run.group for run in runs)
    keys = "".join(f'<li><i style="background: {colors(name)}"></i>{escape(name)}</li>' for name in groups)
    return Section("Training", f'{_note(_CURVES_READING)}<ul class="legend">{keys}</ul>{_grid(figures)}')


def _curves(run: Run, tag: str, unit: float, colors: Colors) -> Iterator[plots.Curve]:
    for name in (tag, f"{tag}_truth"):
        points = [(record["step"], record[name]) for record in run.records if record.get(name) is not None]
        if points:
            steps, values = np.array(points, dtype=np.float64).T
            yield plots.Curve(steps * run.config["batch_size"] / unit, values, colors(run.group), dashed=name != tag)


def throughput_section(result: Result) -> Section:
    """Show the table of a throughput result."""
    peaks = (result.record.get("peak") or {}).items()
    unit, flops = flops_unit(result.record)
    measured = _listed([f"{format_number(peak / flops, 1)} {unit} in {name}" for name, peak in peaks])
    note = _note(f"Measured peak of matrix products: {measured}.") if measured else ""
    source = f"<p><code>{escape(str(result.path))}</code></p>"
    table = table_html(throughput_table(result.record))
    return Section(f"Throughput on {result.record['device']}", source + note + table)


def speed_section(results: Results, colors: Colors) -> Section | None:
    """Set the quality of models against the speed of their presets' training, where both are known."""
    figures = []
    for quality, throughput in itertools.product(results.quality, results.throughput):
        points = list(_speed_points(quality.record, throughput.record, colors))
        if points:
            label = quality.record["columns"][_QUALITY_AGAINST_SPEED]["label"]
            title = f"{label} on {quality.record['data']['name']}, speed on {throughput.record['device']}"
            description = f"{title}: {quality.path}, {throughput.path}"
            figures.append(_figure(title, plots.scatter(points, "images/s of training", label, description)))
    return Section("Speed against quality", _note(_SPEED_READING) + _grid(figures, "wide")) if figures else None


def _speed_points(quality: Record, throughput: Record, colors: Colors) -> Iterator[plots.Point]:
    speeds: dict[str, float] = {}
    for row in throughput["rows"]:
        if row["mode"] == "train" and row["images_per_second"] is not None:
            preset = row["preset"].casefold()
            speeds[preset] = max(row["images_per_second"], speeds.get(preset, 0.0))
    for row in quality["rows"]:
        value = mean_of(row, _QUALITY_AGAINST_SPEED)
        speed = next((speeds[alias] for alias in sorted(aliases(row)) if alias in speeds), None)
        if row["kind"] == "model" and value is not None and speed is not None:
            yield plots.Point(row["name"], speed, value, colors(row["name"]))


def origin(record: Record) -> dict[str, str]:
    """Collect what it takes to trace a result."""
    values = {name: record.get(name) for name in ("command", "commit", "date", "device", "machine", "versions", "data")}
    return {
        name: ", ".join(f"{key} {v}" for key, v in value.items()) if isinstance(value, dict) else str(value)
        for name, value in values.items()
        if value
    }


def origins_section(results: Results) -> Section:
    """List the origin of every file that the page shows."""
    blocks = [
        f"<h4><code>{escape(str(result.path))}</code></h4>{_definitions('origin', origin(result.record))}"
        for result in (*results.quality, *results.throughput)
    ]
    last = {str(run.path): max((record["step"] for record in run.records), default=0) for run in results.runs}
    if last:
        steps = {path: f"{step:,} steps" for path, step in last.items()}
        blocks.append(f"<h4>Curves</h4>{_definitions('runs', steps)}")
    return Section("Provenance", "".join(blocks))


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _figure(title: str, *drawings: str) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(drawings)}</figure>"


def _grid(figures: Iterable[str], kind: str = "") -> str:
    return f'<div class="plots {kind}">{"".join(figures)}</div>'


def _definitions(kind: str, entries: Mapping[str, str]) -> str:
    items = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in entries.items())
    return f'<dl class="{kind}">{items}</dl>'


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


# The whole


def write_report(results: Results, out: Path) -> None:
    """Write the page, and its tables in Markdown, to `out`."""
    for name, text in zip(OUTPUTS, (page_html(results), page_markdown(results)), strict=True):
        with replacing(out / name) as path:
            path.write_text(text, encoding="utf-8")


def page_title(results: Results) -> str:
    """Name the models and the data sets that are compared."""
    models = dict.fromkeys(row["name"] for q in results.quality for row in q.record["rows"] if row["kind"] == "model")
    data = dict.fromkeys(result.record["data"]["name"] for result in results.quality)
    return f"Colouring {_listed([*data])}: {_listed([*models])}" if models else "Results of colornet"


def page_html(results: Results) -> str:
    """Write the whole page; what has no data is left out."""
    colors = Colors(results)
    titles = [f"Quality on {result.record['data']['name']}" for result in results.quality]
    if len(titles) > 1:
        titles = [f"{title} ({number})" for number, title in enumerate(titles, start=1)]
    sections = [
        *(quality_section(result, colors, title) for result, title in zip(results.quality, titles, strict=True)),
        curves_section(results.runs, colors),
        *map(throughput_section, results.throughput),
        speed_section(results, colors),
        origins_section(results),
    ]
    parts = {f"part-{n}": section for n, section in enumerate(filter(None, sections), start=1)}
    links = "".join(f'<a href="#{anchor}">{escape(part.title)}</a>' for anchor, part in parts.items())
    body = "".join(
        f'<section id="{anchor}"><h2>{escape(part.title)}</h2>{part.html}</section>' for anchor, part in parts.items()
    )
    title = escape(page_title(results))
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>'
        f"<body><main><header><h1>{title}</h1><nav>{links}</nav></header>{body}</main></body></html>\n"
    )


def page_markdown(results: Results) -> str:
    """Write the tables, with what they are about and where they come from, in Markdown."""
    blocks = [f"# {escape_markdown(page_title(results))}"]
    for result in results.quality:
        columns = result.record["columns"].values()
        blocks += [f"## Quality: {escape_markdown(str(result.path))}", escape_markdown(summarize(result.record))]
        blocks += [f"### {table.title}\n\n{table_markdown(table)}" for table in quality_tables(result.record)]
        blocks.append("\n".join(f"- **{escape_markdown(c['label'])}**: {escape_markdown(c['about'])}" for c in columns))
    for result in results.throughput:
        blocks += [f"## Throughput on {escape_markdown(result.record['device'])}: {escape_markdown(str(result.path))}"]
        blocks += [table_markdown(throughput_table(result.record))]
    blocks.append("## Provenance")
    for result in (*results.quality, *results.throughput):
        lines = [f"- {name}: {escape_markdown(text)}" for name, text in origin(result.record).items()]
        blocks.append("\n".join([f"{escape_markdown(str(result.path))}:", "", *lines]))
    return "\n\n".join(blocks) + "\n"


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
main { max-width: 1180px; margin: 0 auto; padding: 3.5rem 1.25rem 5rem; }
h1 { margin: 0 0 .75rem; font-size: clamp(1.8rem, 4.5vw, 2.75rem); line-height: 1.15; letter-spacing: -.02em; }
h2 { margin: 4rem 0 .75rem; padding-top: 1.25rem; border-top: 1px solid var(--rule); font-size: 1.65rem; }
header + section h2 { margin-top: 2rem; }
h3 { margin: 2.75rem 0 .5rem; font-size: 1.2rem; }
h4 { margin: 1.75rem 0 .5rem; font-size: .95rem; overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; font-size: .92rem; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
p code { color: var(--muted); }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
.summary { max-width: 46rem; margin: 0 0 .5rem; font-size: 1.12rem; }
.note { max-width: 46rem; margin: 0 0 1rem; color: var(--muted); font-size: .9rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .84rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; white-space: nowrap; }
thead th { border-bottom: 1.5px solid var(--ink); font-weight: 600; vertical-align: bottom; }
thead th[title] { cursor: help; }
tbody th, thead th:first-child { position: sticky; left: 0; background: var(--paper); text-align: left; }
tbody th { font-weight: 500; }
tbody tr:last-child > * { border-bottom: 1px solid var(--rule); }
tr.group th { padding-top: .55rem; padding-bottom: .1rem; color: var(--muted); font-size: .76rem; font-weight: 400; }
tr.group span { position: sticky; left: .7rem; }
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
.plots.small { grid-template-columns: repeat(auto-fill, minmax(205px, 1fr)); }
figure { margin: 0; min-width: 0; }
figcaption { margin-bottom: .3rem; font-size: .88rem; font-weight: 600; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-family: inherit !important; font-variant-numeric: tabular-nums; }
svg image { image-rendering: pixelated; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: 0 0 1rem; padding: 0; list-style: none; }
.legend i { display: inline-block; width: 1.4em; height: 3px; margin-right: .5em; vertical-align: middle; }
@media print { .scroll { overflow: visible; } }
"""
