"""What `ablation` shows: the variants of every question beside each other, in a table and drawn by e."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from benchmarks.core.colors import Colors
from benchmarks.core.plots import INK, NEUTRAL, PALETTE, STYLE, blank, shortened, svg
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Figure, Figures, Heading, Note, PageOnly, Section, measured_on
from benchmarks.core.tables import DASH, Line, Table, format_number, format_values, headings, line_of
from colornet.files import replacing

REQUIRED: Mapping[str, Any] = {
    "ablation": (("data", "questions", "floors", "variants", "runs", "failures", "commit", "date", "device"), {})
}

_WIDTH = 350  # of plots that the page shows three in a row
_COLUMNS = 3  # of panels in the PNG
_LOSS = "loss/reconstruction"
_READING = (
    "e of each variant, lower is better: 0 is real, 1 is gray. A dot is a run, a line the mean of the runs. Gray: a "
    "baseline, to which the variants below it compare, and a band from its lowest to its highest seed, or a dashed "
    "line where it has one seed. A difference that is no larger than the spread of seeds says nothing."
)


class _Value(NamedTuple):
    heading: str
    key: str
    unit: float
    decimals: int


_VALUES = (
    _Value("e", "e", 1, 3),
    _Value("FD dev", "fd_cifar10_dev", 1, 3),
    _Value("Acc. %", "accuracy_cifar10_dev", 0.01, 1),
    _Value("CF", "cf", 1, 1),
    _Value("ΔCF", "delta_cf", 1, 1),
    _Value("|ΔCF|", "delta_cf_image", 1, 1),
    _Value("PSNR", "psnr", 1, 2),
    _Value("ΔE00", "ciede2000", 1, 2),
)
_COSTS = ("images, k", "G, M", "D, M", "MFLOP/image", "s")
_TIPS = {
    "e": "fd_cifar10_dev as a share of the gray images'.",
    "images, k": "Training images seen, thousands, those of a warm start included.",
    "G, M": "Parameters of the generator, millions.",
    "D, M": "Parameters of the discriminator, millions.",
    "s": "Seconds of training steps.",
}


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
    """Lay out the rows that need no model, then the variants of every question."""
    titles = ["variant", *(value.heading for value in _VALUES), *_COSTS]
    lines = [_line(record, name, "no model") for name in record["floors"]]
    lines += [_line(record, name, question) for question, names in _tried(record).items() for name in names]
    table = Table("", headings(titles, _TIPS), lines, groups="question")
    return [Note(record["notes"]), table] if record.get("notes") else [table]


def _tried(record: Record) -> dict[str, list[str]]:
    """Return the questions that can be answered with the variants that were tried: trained, or failed.

    A question is left out if nothing of it was tried but baselines that it shares with others, unless it is about them.
    """
    first = Counter(names[0] for names in record["questions"].values())  # a question names its own baseline first
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


def _line(record: Record, name: str, question: str) -> Line:
    """Lay out a variant or a row that needs no model; a failed variant has no numbers."""
    if name in record["floors"]:
        texts = [*_scores([record["floors"][name]]), *[DASH] * len(_COSTS)]
    elif name in record["variants"]:
        variant = record["variants"][name]
        runs = [record["runs"][run] for run in variant["runs"]]
        texts = [*_scores([run["values"] for run in runs]), *_costs(variant["parameters"], runs)]
    else:
        name, texts = f"{name} (failed)", [DASH] * (len(_VALUES) + len(_COSTS))
    return line_of(name, *texts, ranked=name in record["variants"], group=question)


def _scores(members: Sequence[Record]) -> list[str]:
    """Format each value of the seeds of a variant; a dash where one of them lacks it."""
    return [
        format_values([member[key] / unit for member in members], decimals)
        if all(member.get(key) is not None for member in members)
        else DASH
        for _, key, unit, decimals in _VALUES
    ]


def _costs(parameters: Record, runs: Sequence[Record]) -> list[str]:
    images = runs[0]["images_seen"]
    return [
        format_number(images, 1, 1e3),
        *(format_number(parameters.get(network), 2, 1e6) for network in ("generator", "discriminator")),
        format_number(runs[0]["training_flops"] / images, 0, 1e6),
        format_number(statistics.mean(run["training_seconds"] for run in runs), 0),
    ]


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
    questions = answered(record) or {"All variants": list(record["variants"])}
    columns = min(len(questions), _COLUMNS)
    rows = -(-len(questions) // columns)
    figure = Canvas(figsize=(1 + 4 * columns, 0.6 + 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for (question, names), axes in zip(questions.items(), panels, strict=False):
        for number, name in enumerate(names):
            for index, run in enumerate(record["variants"][name]["runs"]):
                curve = record["runs"][run]["curve"]
                thousands = [images / 1e3 for images in curve["images"]]
                label = name if index == 0 else "_"  # which a legend leaves out
                axes.plot(thousands, curve[_LOSS], color=f"C{number % 10}", linewidth=1, alpha=0.8, label=label)
        axes.set_title(question, fontsize="medium")
        axes.legend(fontsize="x-small")
        axes.grid(color="0.9", linewidth=0.5)
    for axes in panels:  # those left over
        axes.set_axis_off()
    figure.supxlabel("thousand images", fontsize="medium")
    figure.supylabel("reconstruction loss, mean since the last point", fontsize="medium")
    path = path.with_name("curves.png")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path
