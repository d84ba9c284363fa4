"""The report: tables that are laid out once and written twice, as HTML and as Markdown, and the page around them."""

from __future__ import annotations

import itertools
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from benchmarks import plots
from benchmarks.report import KINDS, OUTPUTS, Result, Results, Run, without_seed
from colornet.files import replacing

__all__ = ["write_report"]

Record = dict[str, Any]
Array = NDArray[Any]
Tensors = Mapping[str, Array]

# A table of quality with all columns at once would be wider than any screen: columns go by what they look at.
_FAMILIES = {
    "Distance between the distributions of images": re.compile(r"(fid|kid|fd|e|precision|recall)(_|$)"),
    "Colourfulness and recognisability": re.compile(r"cf$|delta_cf|accuracy"),
    "Closeness to the one true image": re.compile(""),
}
_BAR_COLUMNS = ("fid", "fd_cifar10_v1", "cf")
_QUALITY_AGAINST_SPEED = "fd_cifar10_v1"
_KIND_NAMES = {
    "truth": "the truth",
    "floor": "floors, which every model must beat",
    "oracle": "oracles, which know the true colours",
    "nonsense": "nonsense, which no good measure prefers",
    "unranked": "unranked, since they start from another grey image",
    "model": "models",
}
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
_DASH = "–"


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


# Tables


@dataclass(frozen=True)
class Cell:
    """A number as it is written; `note` is the number of the footnote that says why there is none."""

    text: str
    best: bool = False
    note: int | None = None
    tip: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table; what is not `ranked` is set apart from what is compared."""

    name: Cell
    cells: list[Cell]
    ranked: bool = True
    group: str = ""


@dataclass(frozen=True)
class Table:
    """A table before it is HTML or Markdown."""

    title: str
    headings: list[Cell]  # the first of them above the names
    lines: list[Line]
    notes: list[str] = field(default_factory=list)  # footnotes, numbered from 1


def format_number(value: float, decimals: int) -> str:
    """Write a number with a true minus sign and without a negative zero."""
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")


def ordered_rows(record: Record) -> list[Record]:
    """Sort the rows of a quality result by their kind, the truth first and the models last."""
    return sorted(record["rows"], key=lambda row: KINDS.index(row["kind"]))


def quality_tables(record: Record) -> list[Table]:
    """Lay out the rows of a quality result, one table a family of columns; columns without values come last."""
    families: dict[str, Record] = {title: {} for title in _FAMILIES}
    for name, column in sorted(record["columns"].items(), key=lambda item: item[1]["reason"] is not None):
        family = next(title for title, pattern in _FAMILIES.items() if pattern.match(name))
        families[family][name] = column
    rows = ordered_rows(record)
    return [_quality_table(title, columns, rows) for title, columns in families.items() if columns]


def _quality_table(title: str, columns: Record, rows: list[Record]) -> Table:
    notes = list(dict.fromkeys(column["reason"] for column in columns.values() if column["reason"]))
    number = {name: notes.index(c["reason"]) + 1 if c["reason"] else None for name, c in columns.items()}
    best = {name: best_rows(name, column, rows) for name, column in columns.items()}
    headings = [Cell(""), *(Cell(c["label"], note=number[name], tip=c["about"]) for name, c in columns.items())]
    lines = []
    for row in rows:
        cells = [
            _value_cell(row["values"].get(name), column, number[name], row["name"] in best[name])
            for name, column in columns.items()
        ]
        name = Cell(row["name"], tip=row.get("about", ""))
        lines.append(Line(name, cells, ranked=row["kind"] == "model", group=_KIND_NAMES[row["kind"]]))
    return Table(title, headings, lines, notes)


def best_rows(name: str, column: Record, rows: list[Record]) -> set[str]:
    """Name the best models of a column: several where its decimals do not tell them apart, none without a rival."""
    target = next((mean_of(row, name) for row in rows if row["kind"] == "truth"), None)
    models = {
        row["name"]: value for row in rows if row["kind"] == "model" and (value := mean_of(row, name)) is not None
    }
    better, decimals = column["better"], column["decimals"]
    if len(models) < 2 or better is None or (better == "truth" and target is None):
        return set()

    def badness(value: float) -> float:
        if better == "truth" and target is not None:
            value = abs(value - target)
        return round(-value if better == "higher" else value, decimals)

    least = min(map(badness, models.values()))
    return {model for model, value in models.items() if badness(value) == least}


def mean_of(row: Record, column: str) -> float | None:
    """Return the value of a row, the mean of its runs, if it has one."""
    value = row["values"].get(column)
    return value["mean"] if value else None


def format_value(value: Record, column: Record) -> str:
    """Write a mean, with its standard deviation if there is one, at the decimals of its column."""
    mean = format_number(value["mean"], column["decimals"])
    return mean if value.get("sd") is None else f"{mean} ± {format_number(value['sd'], column['decimals'])}"


def _value_cell(value: Record | None, column: Record, note: int | None, best: bool) -> Cell:
    if value is None:
        return Cell(_DASH, note=note)
    ends = [format_number(end, column["decimals"]) for end in value.get("interval") or ()]
    return Cell(
        format_value(value, column), best, tip=f"95 % interval over images: {' to '.join(ends)}" if ends else ""
    )


def flops_unit(record: Record) -> tuple[str, float]:
    """Choose the unit in which a device's FLOP/s read well: CPUs are far from a TFLOP/s."""
    return ("TFLOP/s", 1e12) if max((record.get("peak") or {"": 0.0}).values()) >= 1e12 else ("GFLOP/s", 1e9)


def throughput_table(record: Record) -> Table:
    """Lay out the rows of a throughput result below the seed pipeline that they are compared with."""
    reasons = list(dict.fromkeys(row["reason"] for row in record["rows"] if row.get("reason")))
    unit, flops = flops_unit(record)
    lines = [_throughput_line(row, reasons, flops) for row in record["rows"]]
    if seed := record.get("seed_pipeline"):
        first = {**seed, "preset": "seed pipeline", "mode": "train", "ratio_to_seed": 1.0}
        lines.insert(0, _throughput_line(first, reasons, flops, ranked=False))
    tips = {
        "ms a step": "Median, and in brackets the 10th and the 90th percentile.",
        "MFU": "Share of the device's measured peak of matrix products.",
        "compile s": "The first step of a compiled network, compilation included.",
        "× seed": "Images a second relative to the seed project's pipeline, measured in the same run.",
    }
    headings = ("preset", "mode", "batch", "precision", "compile", "images/s", "× seed", "ms a step", unit, "MFU",
                "peak memory", "compile s", "width", "parameters")  # fmt: skip
    return Table(record["device"], [Cell(name, tip=tips.get(name, "")) for name in headings], lines, reasons)


def _throughput_line(row: Record, reasons: list[str], flops: float, ranked: bool = True) -> Line:
    def number(key: str, decimals: int, unit: float = 1.0, suffix: str = "") -> str:
        value = row.get(key)
        return _DASH if value is None else format_number(value / unit, decimals) + suffix

    step = row.get("step_ms")
    times = "{} ({}–{})".format(*(format_number(step[key], 1) for key in ("median", "p10", "p90"))) if step else _DASH
    precision = {"no": "fp32", None: _DASH}.get(row.get("precision"), row.get("precision"))
    note = reasons.index(row["reason"]) + 1 if row.get("reason") else None
    return Line(
        Cell(row["preset"]),
        [
            Cell(row["mode"]),
            Cell(number("batch_size", 0)),
            Cell(f"{precision}, TF32 {row['tf32']}" if row.get("tf32") else str(precision)),
            Cell("on" if row.get("compile") else "off"),
            Cell(number("images_per_second", 0)),
            Cell(number("ratio_to_seed", 2)),
            Cell(times),
            Cell(number("achieved_flops", 1, flops)),
            Cell(number("mfu", 1, 0.01, " %")),
            Cell(number("peak_memory_bytes", 2, 2**30, " GiB"), note=note),
            Cell(number("compile_seconds", 1)),
            Cell(number("width", 0)),
            Cell(number("parameters", 1, 1e6, " M")),
        ],
        ranked,
    )


def table_html(table: Table) -> str:
    """Write a table as HTML in a container that scrolls where it is too wide."""

    def cell(c: Cell, element: str = "td") -> str:
        mean, plus_minus, sd = c.text.partition(" ± ")
        text = escape(mean) + (f' <span class="sd">± {escape(sd)}</span>' if plus_minus else "")
        text = f"<strong>{text}</strong>" if c.best else text
        tip = f' title="{escape(c.tip)}"' if c.tip else ""
        return f"<{element}{tip}>{text}{f'<sup>{c.note}</sup>' if c.note else ''}</{element.split()[0]}>"

    body, group = [], ""
    for line in table.lines:
        if line.group != group:
            group = line.group
            body.append(f'<tr class="group"><th colspan="{len(table.headings)}"><span>{escape(group)}</span></th></tr>')
        cells = cell(line.name, 'th scope="row"') + "".join(map(cell, line.cells))
        body.append(f"<tr{'' if line.ranked else ' class=apart'}>{cells}</tr>")
    head = "".join(cell(heading, 'th scope="col"') for heading in table.headings)
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    parts = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    return f'<div class="scroll" tabindex="0">{parts}</div>' + (f'<ol class="notes">{notes}</ol>' if notes else "")


def table_markdown(table: Table) -> str:
    """Write a table as Markdown, what is set apart in italics."""

    def cell(c: Cell, mark: str = "") -> str:
        mark = "**" if c.best else mark
        text = f"{mark}{escape_markdown(c.text)}{mark}" if c.text else ""
        return text + (f"<sup>{c.note}</sup>" if c.note else "")

    rows = [
        [cell(heading) for heading in table.headings],
        ["---", *["---:"] * (len(table.headings) - 1)],
        *([cell(line.name, "" if line.ranked else "*"), *map(cell, line.cells)] for line in table.lines),
    ]
    notes = [f"<sup>{number}</sup> {escape_markdown(note)}" for number, note in enumerate(table.notes, start=1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "".join(f"\n\n{note}" for note in notes)


def escape_markdown(text: str) -> str:
    """Write text that comes from files such that Markdown shows it as it is."""
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", escape(text, quote=False)).replace("\n", " ")


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
