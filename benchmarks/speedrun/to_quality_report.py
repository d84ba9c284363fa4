"""What `speedrun --to-quality` shows: how long recipes train until their colorings are as good as asked for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from benchmarks.core import plots
from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Figures, Legend, Note, Section, listed, measured_on
from colornet.tables import Column, Table, decimals_for, format_digits, format_number, table_of

_TERA = 1e12
_READING = (
    "e of the validation images, by the development evaluator, over the seconds of training: 0 is real, 1 is gray. A "
    "line a run, a point an evaluation; the large dot is the first at or below the target. Dotted: the floors, which "
    "need no training."
)


def section(result: Result, colors: Colors) -> Section:
    """Show a record: the outcome in words, the curves of all runs, a row for each recipe and for each run."""
    record = result.record
    legend = Legend({name: colors(name) for name in record["recipes"]})
    figures = [
        plots.panel_figure(caption, partial(_draw_curves, record, colors, key, label), result.path, wide=True)
        for key, label, caption in (
            ("seconds", "seconds of training", "e over seconds of training"),
            ("images", "images seen", "e over images seen"),
        )
    ]
    title = f"Time to e {record['target']['e']:g} on {record['data']['name']}"
    blocks = [Note(_READING), legend, Figures(figures, "wide"), *tables(record)]
    return Section(title, summarize(record), result.path, blocks)


def summarize(record: Record) -> str:
    """Say how fast each recipe reached the target, on which data and device."""
    target, data = record["target"], record["data"]
    outcomes = []
    for name, recipe in record["recipes"].items():
        seconds, share = recipe["median"]["seconds"], f"{recipe['reached']} of {recipe['seeds']} seeds reached it"
        time = "no median time" if seconds is None else f"{format_digits(seconds)} s"
        outcomes.append(f"{name}: {time} ({share})")
    return (
        f"Training from scratch until e is at most {target['e']:g}, median over seeds. {'; '.join(outcomes)}. e of the "
        f"{target['images']:,} {target['split']} images of {data['name']}, {data['image_size']} × {data['image_size']} "
        f"pixels, after training on {data['training_images']:,} others. {measured_on(record)}"
    )


def tables(record: Record) -> list[Block]:
    """Lay out the recipes below the floors, then every run."""
    floors = listed([f"{name} (e {floor['e']:.3f})" for name, floor in record["floors"].items()])
    reading = (
        f"Floors, without any training: {floors}. Seconds are those of training alone, without evaluation and "
        "compilation; the median counts a seed that misses the target as infinitely slow."
    )
    commands = [f"{name}: {recipe['command']}" for name, recipe in record["recipes"].items()]
    return [Note(reading), recipes_table(record), Note(f"{'; '.join(commands)}."), runs_table(record)]


def recipes_table(record: Record) -> Table:
    """Lay out the recipes; their speed is compared with that of the first."""
    recipes = record["recipes"]
    first_name, first = next(iter(recipes.items()))
    rows = [{"name": name, "untrained_e": floor["e"], "floor": True} for name, floor in record["floors"].items()]
    for name, recipe in recipes.items():
        medians, slowest = recipe["median"], first["median"]["seconds"]
        runs = [run["seconds"] for run in record["runs"] if run["recipe"] == name and run["reached"]]
        rows.append(
            {
                **recipe,
                **medians,
                "name": name,
                "reached": f"{recipe['reached']} of {recipe['seeds']}",
                "ratio": slowest / medians["seconds"] if slowest and medians["seconds"] else None,
                "fastest": min(runs, default=None),
                "slowest": max(runs, default=None),
            }
        )
    seconds = [row["fastest"] for row in rows if row.get("fastest")]
    decimals = decimals_for(min(seconds, default=1.0))
    columns = (
        Column("", "name"),
        Column("seeds", "reached", tip="How many of the seeds reached the target."),
        Column("seconds", "seconds", decimals, tip="Median over all seeds."),
        Column("fastest", "fastest", decimals, tip="Of the seeds that reached the target."),
        Column("slowest", "slowest", decimals, tip="Of the seeds that reached the target."),
        Column(f"× {first_name}", "ratio", 2, tip="Median seconds of the first recipe over those of this."),
        Column("images", "images", 0, tip="Training images seen by then, median."),
        Column("TFLOP", "flops", format_digits, _TERA, tip="Computed by then, median."),
        Column("processes", "processes"),
        Column("threads", "threads", tip="Of each process, on a CPU."),
        Column("e, untrained", "untrained_e", 3, tip="Before the first step."),
    )
    return table_of("Recipes", columns, rows, ranked=lambda row: "floor" not in row)


def runs_table(record: Record) -> Table:
    """Lay out all runs, recipe by recipe."""
    rows = [
        {**run, "name": f"{name}, seed {run['seed']}", "e": run["curve"][-1]["e"] if run["curve"] else None}
        for name in record["recipes"]
        for run in sorted(record["runs"], key=lambda run: run["seed"])
        if run["recipe"] == name
    ]
    decimals = decimals_for(min((run["seconds"] for run in rows if run["seconds"]), default=1.0))
    columns = (
        Column("", "name"),
        Column("seconds", lambda run: run["seconds"] if run["reached"] else None, decimals, note="reason",
               tip="Of training alone, until e is at or below the target."),
        Column("e", "e", 3, tip="Of the last evaluation."),
        Column("images", "images", 0),
        Column("TFLOP", "flops", format_digits, _TERA),
        Column("CPU s", "cpu_seconds", decimals, tip="Processor time, all threads of all processes."),
        Column("compile s", "compile_seconds", 1, tip="A step before the clock starts, which compiles networks."),
        Column("evaluation s", "evaluation_seconds", 1, tip="All evaluations, which are in no other number."),
    )  # fmt: skip
    return table_of("Every run", columns, rows)


def draw(record: Record, path: Path) -> Path:
    """Draw e over the seconds of training to a PNG file; return its path."""
    colors = Colors(others=record["recipes"])

    def panel(axes: Axes) -> None:
        _draw_curves(record, colors, "seconds", "seconds of training", axes)
        axes.set_ylabel(f"e of {record['target']['images']:,} validation images")
        lines = [axes.plot([], [], color=colors(name), label=name)[0] for name in record["recipes"]]
        axes.legend(handles=lines, frameon=False, labelcolor=plots.INK)

    return plots.write_panels({f"{record['data']['name']}, {record['device']}": panel}, path)


def _draw_curves(record: Record, colors: Colors, key: str, label: str, axes: Axes) -> None:
    """Draw e of all runs; a large dot is where one first is at or below the target."""
    target = record["target"]["e"]
    for run in record["runs"]:
        color = colors(run["recipe"])
        x, y = (np.array([point[name] for point in run["curve"]]) for name in (key, "e"))
        axes.plot(x, y, color=color, linewidth=1.3, alpha=0.85, marker="o", markersize=2.5)
        first = np.flatnonzero(y <= target)[:1]
        axes.plot(x[first], y[first], "o", color=color, markersize=7, zorder=3)
    marks = {"target": target} | {name: floor["e"] for name, floor in record["floors"].items()}
    for name, value in marks.items():
        axes.axhline(value, color=plots.INK, linewidth=1, linestyle=(0, (4, 2) if name == "target" else (1, 2)))
        axes.annotate(f"{name} {format_number(value, 3)}", (1, value), (-4, -2), va="top", ha="right",
                      xycoords=("axes fraction", "data"), textcoords="offset points")  # fmt: skip
    axes.set(xlabel=label, ylim=(0, 1.1 * max(marks.values())))
    axes.margins(0.03, 0)
    axes.grid()
