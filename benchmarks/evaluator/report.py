"""What `validate` and `ceiling` show: evaluators on altered images, and colorfulness predicted from lightness."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from benchmarks.core.colors import Colors
from benchmarks.core.plots import INK, PALETTE, STYLE, blank, svg
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Figure, Figures, Legend, Note, PageOnly, Section, listed, measured_on
from benchmarks.quality.columns import COLUMNS
from colornet.files import replacing
from colornet.tables import Column, Table, format_percent, table_of

_ORIGIN = ("data", "commit", "date", "device")
REQUIRED: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "evaluator-validation": ((*_ORIGIN, "evaluators"), {}),
    "ceiling": ((*_ORIGIN, "splits", "parameters", "precision"), {}),
}
_AXES = {
    "less chroma": "gain of a*b*",
    "more chroma": "gain of a*b*",
    "hue": "rotation of hue, degrees",
    "swapped": "share of images with another's a*b*",
}
_READING = (
    "Fréchet distance of the altered images to the unchanged images. A good evaluator's distance grows with every step "
    "of a sweep and is larger for the sanity-check baselines than for honest colorings."
)
_SHARES = "Fréchet distance as a share of the gray image's; dotted: the gray image."

_MEASURES_READING = (
    "Whether a measure gets worse with a sweep and never better, or until which step. A sanity check is preferred "
    "where it is not worse than every run. The share of accuracy is a linear function of the accuracy."
)

_PERCENT = functools.partial(format_percent, decimals=1)
_CEILING_COLUMNS = (
    Column("images", "images"),
    Column("|ΔCF|", "delta_cf_image", 2),
    Column("|ΔCF| of a constant", "delta_cf_image_median", 2),
    Column("class accuracy", "accuracy", _PERCENT),
)


@mpl.rc_context(STYLE)
def section(result: Result, colors: Colors) -> Section:
    """Show a record of `validate` or `ceiling`."""
    record, blocks, title = result.record, tables(result.record), "Colorfulness predicted from lightness"
    if record["kind"] != "ceiling":
        title, figures = "Validation of the evaluators", []
        for sweep in _sweeps(record):
            drawing, axes = blank(530, 260)
            _draw_sweep(axes, record, sweep)
            figures.append(Figure(sweep, [svg(drawing, f"{sweep} in {result.path}")]))
        blocks.append(PageOnly([Note(_SHARES), Legend(_colors(record)), Figures(figures, "wide")]))
    return Section(title, summarize(record), result.path, blocks)


def summarize(record: Record) -> str:
    """Describe what was measured, and where."""
    data, measured = record["data"], measured_on(record)
    if record["kind"] == "ceiling":
        return (
            f"A network of {record['parameters']:,} parameters ({record['precision']}), trained on the lightness of "
            f"{data['training_images']:,} images of {data['name']}, predicts their colorfulness and class. Its mean "
            f"|ΔCF| is an upper bound of the least that a deterministic colorizer can have. {measured}"
        )
    images = f"{data['images']:,} {data['split']} images of {data['name']}"
    return f"{len(record['evaluators'])} evaluators on {images}. {measured}"


def tables(record: Record) -> list[Block]:
    """Lay out the errors of the network of `ceiling`, or the evaluators and their distances to every set."""
    if record["kind"] == "ceiling":
        rows = [{"images": part, **errors} for part, errors in record["splits"].items()]
        return [table_of("", _CEILING_COLUMNS, rows)]
    blocks: list[Block] = [_evaluator_table(record), Note(_READING), _distance_table(record)]
    if record.get("measures"):  # older records have none
        blocks += [Note(_MEASURES_READING), _measure_table(record), _value_table(record)]
    return blocks


def _evaluator_table(record: Record) -> Table:
    rows = []
    for name, found in record["evaluators"].items():
        grows = {sweep: "yes" if values["monotone"] else "no" for sweep, values in found["sweeps"].items()}
        rows.append({"name": name, **found["card"]["accuracy"], **grows})
    accuracies = [Column(f"{part} accuracy", part, _PERCENT) for part in ("validation", "test")]
    sweeps = [Column(f"grows with {sweep}", sweep) for sweep in _sweeps(record)]
    return table_of("Evaluators", [Column("", "name"), *accuracies, *sweeps], rows)


def _distance_table(record: Record) -> Table:
    evaluators = record["evaluators"]
    first = next(iter(evaluators.values()))
    rows = [
        {"images": f"{sweep} {amount:g}", "group": f"{sweep}: {_AXES[sweep]}"}
        | {name: found["sweeps"][sweep]["fd"][place] for name, found in evaluators.items()}
        for sweep, values in first["sweeps"].items()
        for place, amount in enumerate(values["amounts"])
    ]
    rows += [
        {"images": row, "group": "reference rows and runs"}
        | {name: found["rows"][row] for name, found in evaluators.items()}
        for row in first["rows"]
    ]
    columns = [Column("images", "images"), *(Column(name, name, 3) for name in evaluators)]
    return table_of("Fréchet distances", columns, rows, group=lambda row: row["group"])


def _measure_table(record: Record) -> Table:
    rows = []
    for name, found in record["measures"].items():
        until = {}
        for sweep, values in found["sweeps"].items():
            some = "no" if values["until"] == values["amounts"][0] else f"until {values['until']:g}"
            until[sweep] = "yes" if values["monotone"] else some
        preferred = [row.removeprefix("sanity check, ") for row in found["preferred"]]
        rows.append({"name": COLUMNS[name].label, **until, "preferred": listed(preferred) or "none"})
    columns = [Column("", "name"), *(Column(f"worse with {sweep}", sweep) for sweep in _sweeps(record))]
    columns.append(Column("sanity checks preferred to a run", "preferred", words=True))
    return table_of("Measures", columns, rows)


def _value_table(record: Record) -> Table:
    rows: dict[str, Record] = {}
    for name, found in record["measures"].items():
        for sweep, values in found["sweeps"].items():
            for amount, value in zip(values["amounts"], values["values"], strict=True):
                row = rows.setdefault(f"{sweep} {amount:g}", {"group": f"{sweep}: {_AXES[sweep]}"})
                row[name] = value
        for place, value in found["rows"].items():
            rows.setdefault(place, {"group": "reference rows and runs"})[name] = value
    ordered = sorted(rows.items(), key=lambda item: item[1]["group"].startswith("reference"))
    columns = [Column(COLUMNS[name].label, name, COLUMNS[name].decimals) for name in record["measures"]]
    lines = [{"images": place, **row} for place, row in ordered]
    return table_of("Measures of every set", [Column("images", "images"), *columns], lines, group=lambda r: r["group"])


def _sweeps(record: Record) -> list[str]:
    return [*next(iter(record["evaluators"].values()))["sweeps"]]


def _colors(record: Record) -> dict[str, str]:
    return dict(zip(record["evaluators"], itertools.cycle(PALETTE), strict=False))


@mpl.rc_context(STYLE)
def draw(record: Record, path: Path) -> Path | None:
    """Draw the sweeps of `validate` beside each other into a PNG; nothing of `ceiling`."""
    if record["kind"] == "ceiling":
        return None
    drawing, sweeps = Drawing(figsize=(13, 3.4), layout="constrained"), _sweeps(record)
    for axes, sweep in zip(drawing.subplots(1, len(sweeps), sharey=True), sweeps, strict=True):
        _draw_sweep(axes, record, sweep)
        axes.set_title(sweep)
    drawing.axes[0].set_ylabel("FD / FD of gray")
    drawing.axes[0].legend(frameon=False)
    with replacing(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=120)
    return path


def _draw_sweep(axes: Axes, record: Record, sweep: str) -> None:
    """Draw the distances of a sweep as shares of the gray image's against the amount, a line an evaluator."""
    for name, color in _colors(record).items():
        found = record["evaluators"][name]
        values = found["sweeps"][sweep]
        shares = [distance / found["rows"]["gray"] for distance in values["fd"]]
        axes.plot(values["amounts"], shares, color=color, marker="o", markersize=4, label=name)
    if values["amounts"][0] > values["amounts"][-1]:
        axes.invert_xaxis()
    axes.axhline(1, color=INK, linewidth=1, linestyle=":")
    axes.set_xlabel(_AXES[sweep])
