"""What `validate` and `ceiling` show: how evaluators rank altered images, and how much of its colors gray tells."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from benchmarks.core.colors import Colors
from benchmarks.core.plots import INK, PALETTE, STYLE, blank, svg
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Figure, Figures, Legend, Note, PageOnly, Section, measured_on
from benchmarks.core.tables import Table, format_number, format_percent, headings, line_of
from colornet.files import replacing

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
    "Fréchet distance of the altered images to the images as they are. A good evaluator's distance grows with every "
    "step of a sweep and is larger for the sanity-check baselines than for honest colorings."
)
_SHARES = "Fréchet distance as a share of the gray image's; dotted: the gray image."


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `validate` or `ceiling`."""
    record, blocks = result.record, tables(result.record)
    if record["kind"] == "ceiling":
        title = "What gray tells of colorfulness"
    else:
        title = "Validation of the evaluators"
        figures = [Figure(sweep, [_sweep_svg(record, sweep, f"{sweep} in {result.path}")]) for sweep in _sweeps(record)]
        blocks.append(PageOnly([Note(_SHARES), Legend(_colors(record)), Figures(figures, "wide")]))
    return Section(title, summarize(record), result.path, blocks)


def summarize(record: Record) -> str:
    """Say what was measured, and where."""
    data = record["data"]
    if record["kind"] == "ceiling":
        return (
            f"A network of {record['parameters']:,} parameters ({record['precision']}), trained on the lightness of "
            f"{data['training_images']:,} images of {data['name']}, predicts their colorfulness and class. Its mean "
            f"|ΔCF| is an upper bound of the least that a deterministic colorizer can have. {measured_on(record)}"
        )
    return (
        f"{len(record['evaluators'])} evaluators on {data['images']:,} {data['split']} images of {data['name']}. "
        f"{measured_on(record)}"
    )


def tables(record: Record) -> list[Block]:
    """Lay out the errors of the network of `ceiling`, or the evaluators and their distances to every set."""
    if record["kind"] == "ceiling":
        return [_ceiling_table(record)]
    return [_evaluator_table(record), Note(_READING), _distance_table(record)]


def draw(record: Record, path: Path) -> Path | None:
    """Draw the sweeps of `validate` beside each other into a PNG; nothing of `ceiling`."""
    if record["kind"] == "ceiling":
        return None
    with mpl.rc_context(STYLE):
        drawing = Drawing(figsize=(13, 3.4), layout="constrained")
        sweeps = _sweeps(record)
        for axes, sweep in zip(drawing.subplots(1, len(sweeps), sharey=True), sweeps, strict=True):
            _draw_sweep(axes, record, sweep)
            axes.set_title(sweep)
        drawing.axes[0].set_ylabel("FD / FD of gray")
        drawing.axes[0].legend(frameon=False)
        with replacing(path) as temporary:
            drawing.savefig(temporary, format="png", dpi=120)
    return path


def _ceiling_table(record: Record) -> Table:
    keys = ("delta_cf_image", "delta_cf_image_median")
    lines = [
        line_of(part, *(format_number(errors[key], 2) for key in keys), format_percent(errors["accuracy"], 1))
        for part, errors in record["splits"].items()
    ]
    return Table("", headings(["images", "|ΔCF|", "|ΔCF| of one number for all", "classes"]), lines)


def _evaluator_table(record: Record) -> Table:
    lines = []
    for name, found in record["evaluators"].items():
        accuracy = (format_percent(found["card"]["accuracy"][part], 1) for part in ("validation", "test"))
        grows = ("yes" if sweep["monotone"] else "no" for sweep in found["sweeps"].values())
        lines.append(line_of(name, *accuracy, *grows))
    titles = ["", "validation accuracy", "test accuracy", *(f"grows with {sweep}" for sweep in _sweeps(record))]
    return Table("Evaluators", headings(titles), lines)


def _distance_table(record: Record) -> Table:
    found = record["evaluators"].values()
    lines = []
    for sweep in _sweeps(record):
        columns = [one["sweeps"][sweep] for one in found]
        for amount, *distances in zip(columns[0]["amounts"], *(column["fd"] for column in columns), strict=True):
            texts = (format_number(distance, 3) for distance in distances)
            lines.append(line_of(f"{sweep} {amount:g}", *texts, group=f"{sweep}: {_AXES[sweep]}"))
    for name in next(iter(found))["rows"]:
        texts = (format_number(one["rows"][name], 3) for one in found)
        lines.append(line_of(name, *texts, group="reference rows and runs"))
    return Table("Fréchet distances", headings(["images", *record["evaluators"]]), lines)


def _sweeps(record: Record) -> list[str]:
    return [*next(iter(record["evaluators"].values()))["sweeps"]]


def _colors(record: Record) -> dict[str, str]:
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(record["evaluators"])}


@mpl.rc_context(STYLE)
def _sweep_svg(record: Record, sweep: str, label: str) -> str:
    drawing, axes = blank(530, 260)
    _draw_sweep(axes, record, sweep)
    return svg(drawing, label)


def _draw_sweep(axes: Axes, record: Record, sweep: str) -> None:
    """Draw the distances of a sweep as shares of the gray image's against the amount, a line an evaluator."""
    for name, color in _colors(record).items():
        found = record["evaluators"][name]
        amounts, distances = found["sweeps"][sweep]["amounts"], found["sweeps"][sweep]["fd"]
        shares = [distance / found["rows"]["gray"] for distance in distances]
        axes.plot(amounts, shares, color=color, marker="o", markersize=4, label=name)
        if amounts[0] > amounts[-1] and not axes.xaxis_inverted():
            axes.invert_xaxis()
    axes.axhline(1, color=INK, linewidth=1, linestyle=":")
    axes.set_xlabel(_AXES[sweep])
