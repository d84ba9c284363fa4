"""What `scaling` shows: a table of the points, what the model says of more processes, and a plot of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from colornet.files import replacing

__all__ = ["draw", "format_tables"]


def format_tables(record: dict[str, Any]) -> str:
    """Lay out a record as text: the points, then what the model says."""
    lines = [
        "| preset | processes | images each | bucket MiB | images/s | step ms | compute | communication | input "
        "| weak | strong |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for point in record["points"]:
        seconds = point["seconds"]
        parts = [seconds.get("compute", seconds["step"]), seconds.get("communication", 0.0), seconds["input"]]
        shares = [_percent(point[f"{name}_efficiency"]) for name in ("weak", "strong")]
        lines.append(
            f"| {point['preset']} | {point['processes']} | {point['images']} | {point['bucket_mb']:g} "
            f"| {point['images_per_second']:,.0f} | {1000 * seconds['step']:,.1f} | "
            + " | ".join(f"{1000 * part:,.1f}" for part in parts)
            + f" | {shares[0]} | {shares[1]} |"
        )
    link = record["link"]
    if link is None:
        return "\n".join(
            [*lines, "", "No prediction: give two processes or more, or --link-bandwidth and --link-latency."]
        )
    lines += [
        "",
        f"Link: {1e6 * link['latency']:,.0f} µs a message, {link['bandwidth'] / 1e9:,.2f} GB/s"
        + (f" ({' and '.join(link['assumed'])} assumed)" if link["assumed"] else " (measured)"),
    ]
    for model in record["models"]:
        compute = model["compute"]
        lines += [
            "",
            f"{model['preset']}: a step on one process takes {1000 * compute['fixed']:,.2f} ms + "
            f"{1e6 * compute['per_image']:,.1f} µs an image, and sums {model['gradient_bytes'] / 1e6:,.1f} MB of "
            "gradients.",
            f"Images a process from which 90 % efficiency is predicted ({', '.join(model['hidden_share'])}):",
            *(
                f"  {row['processes']:>4} processes: "
                + ", ".join("none" if row[name] is None else f"{row[name]:,}" for name in model["hidden_share"])
                for row in model["images_for_90_percent"]
            ),
        ]
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def draw(record: dict[str, Any], path: Path) -> Path:
    """Draw the measured efficiencies and the predicted ones over the processes, weak beside strong; return `path`."""
    models = record["models"]
    figure = Figure(figsize=(10, 3.6 * len(models)), layout="constrained")
    rows = figure.subplots(len(models), 2, squeeze=False, sharey=True)
    for row, model in zip(rows, models, strict=True):
        for axes, name in zip(row, ("weak", "strong"), strict=True):
            _draw_axes(axes, record, model, name)
        row[0].set_ylabel("efficiency")
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)
    return path


def _draw_axes(axes: Axes, record: dict[str, Any], model: dict[str, Any], name: str) -> None:
    """Draw the weak or strong scaling of a preset: a band from nothing hidden to all, points where measured."""
    counts = sorted({p["processes"] for p in model["predictions"]})
    for index, images in enumerate(sorted({p["images"] for p in model["predictions"]})):
        color = f"C{index}"
        predicted = [p for p in model["predictions"] if p["images"] == images]
        ends = {end: [p[name][end] for p in predicted] for end in model["hidden_share"]}
        label = f"{images} images " + ("a process" if name == "weak" else "in all")
        axes.fill_between(counts, ends["low"], ends["high"], color=color, alpha=0.2, linewidth=0, label=label)
        if "here" in ends:
            axes.plot(counts, ends["here"], color=color, linewidth=1)
        measured = [
            (p["processes"], p[f"{name}_efficiency"])
            for p in record["points"]
            if p["preset"] == model["preset"]
            and p["images"] * (1 if name == "weak" else p["processes"]) == images
            and p[f"{name}_efficiency"] is not None
        ]
        axes.plot([count for count, _ in measured], [value for _, value in measured], "o", color=color)
    axes.axhline(0.9, color="gray", linewidth=0.8, linestyle=":")
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.set(
        title=f"{model['preset']}, {name} scaling", xlabel="processes", ylim=(0, 1.15)
    )  # noise puts points above 1
    axes.legend(fontsize="small", loc="lower left")
