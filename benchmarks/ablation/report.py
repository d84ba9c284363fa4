"""What `ablation` shows: the variants of every question, in a table and drawn by e."""

from __future__ import annotations

import operator
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

from benchmarks.core.colors import Colors
from benchmarks.core.plots import INK, NEUTRAL, PALETTE, STYLE, blank, shortened, svg, write_panels
from benchmarks.core.ranking import ranking_verdicts
from benchmarks.core.record import Record, Result, first_key
from benchmarks.core.sections import Block, Figure, Figures, Heading, Note, PageOnly, Section, Verdicts, measured_on
from colornet.tables import DASH, Cell, Column, decimals_for, format_number, format_values, table_of

REQUIRED: Mapping[str, Any] = {
    "ablation": (("data", "questions", "floors", "variants", "runs", "failures", "commit", "date", "device"), {})
}

_WIDTH = 350  # of plots that the page shows three in a row
_READING = (
    "e of each variant, lower is better: 0 is real, 1 is gray. A dot is a run, a line the mean of the runs. Gray: a "
    "baseline for the variants below it, and a band from its lowest to its highest seed, or a dashed line if it has "
    "one seed. A difference within the spread of seeds is not significant."
)


def _digits(millions: float) -> str:
    """Show millions of parameters with two decimals, or as many as tell them from none, which is a dash."""
    return format_number(millions, max(2, decimals_for(millions, 1))) if millions else DASH


def _score(heading: str, key: str, decimals: int, unit: float = 1.0, tip: str = "") -> Column:
    """Return a column of the score whose key begins so, over the seeds of a variant; a dash where one lacks it."""

    def values(row: Record) -> list[float] | None:
        found = [scores.get(first_key(scores, key)) for scores in row["scores"]]
        return [value / unit for value in found] if found and None not in found else None

    return Column(heading, values, partial(format_values, decimals=decimals), tip=tip)


_COLUMNS = (
    Column("variant", "name"),
    _score("e", "e", 3, tip="FD dev as a share of the gray images'."),
    _score("FD dev", "fd_cifar10_", 3),
    _score("Acc. %", "accuracy_cifar10_", 1, 0.01),
    _score("CF", "cf", 1),
    _score("ΔCF", "delta_cf", 1),
    _score("W1(CF)", "w1_cf", 1, tip="Distance between the distributions of colorfulness."),
    _score("PSNR", "psnr", 2),
    _score("ΔE00", "ciede2000", 2),
    Column("images, k", "images", 1, 1e3, "Training images seen, thousands, those of a warm start included."),
    Column("G params, M", "generator", _digits, 1e6, "Parameters of the generator, millions."),
    Column("D params, M", "discriminator", _digits, 1e6, "Parameters of the discriminator, millions."),
    Column("MFLOP/image", "flops", 0, 1e6),
    Column("train s", "seconds", 0, tip="Seconds of training steps."),
)


def section(result: Result, colors: Colors) -> Section:
    """Show an ablation: a plot for every question, then the numbers."""
    record = result.record
    figures = [
        Figure(question, [draw_question(record, names, f"e by variant, {question}, {result.path}")])
        for question, names in answered(record).items()
    ]
    drawn = [PageOnly([Note(_READING), Figures(figures)])] if figures else []
    blocks = [*drawn, Heading("All variants"), *tables(record)]
    return Section(f"Ablation on {record['data']['name']}", summarize(record), result.path, blocks)


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


def tables(record: Record) -> list[Block]:
    """Lay out the variants of every question, then the rows that need no model."""
    rows = [_row(record, name, question) for question, names in _tried(record).items() for name in names]
    rows += [_row(record, name, "no model") for name in record["floors"]]
    ranked, group = (operator.itemgetter(key) for key in ("ranked", "question"))
    table = table_of("", _COLUMNS, rows, groups="question", ranked=ranked, group=group)
    verdicts = _verdicts(record)
    notes: list[Block] = [Note(record["notes"])] if record.get("notes") else []
    return [*notes, *([Verdicts(verdicts)] if verdicts else []), table]


def _verdicts(record: Record) -> list[str]:
    """Say which variants sanity-check baselines beat."""
    baselines = {name: scores["e"] for name, scores in record["floors"].items() if name.startswith("sanity check")}
    variants = {
        name: statistics.mean(record["runs"][run]["values"]["e"] for run in variant["runs"])
        for name, variant in record["variants"].items()
    }
    return ranking_verdicts(record["data"]["name"], "e", baselines, variants) if baselines else []


def _tried(record: Record) -> dict[str, list[str]]:
    """Return the questions that can be answered with the variants that were tried: trained, or failed.

    A question of which only shared baselines were tried is left out, unless it compares only these.
    """
    first = Counter(names[0] for names in record["questions"].values())  # a question names its baseline first
    shared = {name for name, questions in first.items() if questions > 1}
    known = {*record["variants"], *(run.rpartition("-")[0] for run in record["failures"])}
    tried = {question: [name for name in names if name in known] for question, names in record["questions"].items()}
    return {
        question: names
        for question, names in tried.items()
        if len(names) > 1 and (set(names) - shared or set(record["questions"][question]) <= shared)
    }


def answered(record: Record) -> dict[str, list[str]]:
    """Return the questions that at least two trained variants answer, and these variants."""
    trained = {question: [n for n in names if n in record["variants"]] for question, names in _tried(record).items()}
    return {question: names for question, names in trained.items() if len(names) > 1}


def _row(record: Record, name: str, question: str) -> Record:
    """Collect what the table shows of a variant or of a row that needs no model; a failed variant has no numbers."""
    row: Record = {"name": name, "question": question, "ranked": name in record["variants"], "scores": []}
    if name in record["floors"]:
        return row | {"scores": [record["floors"][name]]}
    if name not in record["variants"]:
        return row | {"name": f"{name} (failed)"}
    variant = record["variants"][name]
    runs = [record["runs"][run] for run in variant["runs"]]
    low, high = (ends(run["images_seen"] for run in runs) for ends in (min, max))
    images = low if low == high else Cell(f"{format_number(low, 1, 1e3)}–{format_number(high, 1, 1e3)}")
    costs = {"images": images, "flops": runs[0]["training_flops"] / runs[0]["images_seen"], **variant["parameters"]}
    costs["seconds"] = statistics.mean(run["training_seconds"] for run in runs)
    return row | costs | {"scores": [run["values"] for run in runs]}


# Plots


@mpl.rc_context(STYLE)
def draw_question(record: Record, names: list[str], label: str) -> str:
    """Draw the e of all runs of some variants, each below its baseline: the first, or a preset without changes."""
    variants = record["variants"]
    values = {name: [record["runs"][run]["values"]["e"] for run in variants[name]["runs"]] for name in names}
    figure, axes = blank(_WIDTH, 52 + 24 * len(names))
    changes = {"options", "factors", "init_from"}
    bases = [place for place, name in enumerate(names) if place == 0 or not changes & variants[name].keys()]
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


def draw(record: Record, path: Path) -> Path:
    """Draw the reconstruction loss of all runs over the images seen: `curves.png` in the folder of `path`, returned.

    A panel is a question, a color a variant and a line a run: the seeds of one variant show how far apart two curves
    can be without a reason. Where the trained variants answer no question, all of them share a panel.
    """
    questions = answered(record) or {"All variants": [*record["variants"]]}
    panels = {question: partial(_draw_curves, record, names) for question, names in questions.items()}
    return write_panels(panels, path.with_name("curves.png"), min(len(panels), 3))


def _draw_curves(record: Record, names: Sequence[str], axes: Axes) -> None:
    for number, name in enumerate(names):
        for index, run in enumerate(record["variants"][name]["runs"]):
            curve = record["runs"][run]["curve"]
            thousands = [images / 1e3 for images in curve["images"]]
            label = name if index == 0 else "_"  # which a legend leaves out
            color = PALETTE[number % len(PALETTE)]
            axes.plot(thousands, curve["loss/reconstruction"], color=color, linewidth=1, alpha=0.8, label=label)
    axes.legend(fontsize="small")
    axes.grid()
    axes.set(xlabel="thousand images", ylabel="reconstruction loss, mean since the last point")
