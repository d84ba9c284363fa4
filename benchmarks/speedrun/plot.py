"""The plot of a race: the error of both sides over the seconds of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from colornet.files import replacing

__all__ = ["draw"]

_SEED, _OURS = "#d55e00", "#0072b2"  # Okabe & Ito's, told apart by color-blind readers


def draw(record: dict[str, Any], path: Path) -> Path:
    """Draw the curves of a record, a point an evaluation, on logarithmic axes, as PNG; return `path`."""
    figure = Figure(figsize=(7.5, 4), layout="constrained")
    axes = figure.subplots()
    seed, target = record["notebook_pipeline"], record["target"]
    sides = [(f"ours, seed {run['seed']}", run["curve"], _OURS) for run in record["runs"]]
    for name, curve, color in [("notebook pipeline", seed["curve"], _SEED), *sides]:
        seconds, errors = ([point[key] for point in curve] for key in ("seconds", "mse"))
        axes.plot(seconds, errors, color=color, linewidth=1, marker="o", markersize=4, label=name)
    axes.axhline(target["mse"], color="gray", linewidth=0.8, linestyle="--", label=f"target, {target['mse']:.5f}")
    handles, labels = axes.get_legend_handles_labels()
    shown = {label.partition(", seed")[0]: handle for handle, label in zip(handles, labels, strict=True)}
    axes.legend(shown.values(), shown.keys(), fontsize="small")
    axes.grid(which="both", color="0.9", linewidth=0.5)
    images = f"{target['images']:,} {target['split']} images"
    axes.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel=f"MSE of {images}")
    axes.set_title(f"{record['data']['name']}, {record['device']}", fontsize="medium")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{value:,g}")
        axis.set_minor_formatter(lambda value, _: f"{value:,g}" if f"{value:.6e}"[0] in "235" else "")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path
