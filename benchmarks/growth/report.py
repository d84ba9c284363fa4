"""What `growth` shows: a table of the points and a plot with a panel for each thing that grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from colornet.files import replacing

__all__ = ["draw", "format_tables"]

_MARKERS = {"resident": "o", "mapped": "s", "streamed": "^"}


def format_tables(record: dict[str, Any]) -> str:
    """Lay out a record as tables in Markdown: width and batch, then the sizes of the data set."""
    options = record["options"]
    base = [p for p in record["points"] if p["source"] == "resident" and p["images"] == options["images"]]
    lines = ["| width | batch | images/s | peak memory, MiB |", "| ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {p['width']} | {p['batch_size']} | {_digits(p['images_per_second'])} "
        f"| {_digits(p['peak_memory_bytes'], 2**20)} |"
        for p in sorted(base, key=lambda p: (p["batch_size"], p["width"]))
    ]
    lines += [
        "",
        "| images | where | images/s | of resident | loader alone, images/s | epoch begins in, s | memory, MiB |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for p in sized(record):
        share = "–" if p["share_of_resident"] is None else f"{p['share_of_resident']:.1%}"
        lines.append(
            f"| {p['images']:,} | {_place(p)} | {_digits(p['images_per_second'])} | {share} "
            f"| {_digits(p['input_images_per_second'])} | {p['epoch_start_seconds']:.2f} "
            f"| {_digits(p['host_bytes'], 2**20)} |"
        )
    written = record["write_seconds"]
    lines += [
        "",
        f"{record['file_bytes'] / 1e9:,.2f} GB of images: "
        + ("" if written is None else f"written in {written:,.1f} s, ")
        + f"opened and compared with their fingerprint in {record['open_seconds']:,.1f} s.",
    ]
    return "\n".join(lines)


def sized(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the points of the growing data set, by size and place."""
    options = record["options"]
    points = [p for p in record["points"] if (p["width"], p["batch_size"]) == (options["width"], options["batch_size"])]
    return sorted(points, key=lambda p: (p["images"], list(_MARKERS).index(p["source"])))


def _place(point: dict[str, Any]) -> str:
    return f"{point['source']}, cold" if point["cold"] else str(point["source"])


def _digits(value: float | None, unit: float = 1) -> str:
    if value is None:
        return "–"
    value /= unit
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def draw(record: dict[str, Any], path: Path) -> Path:
    """Draw images/s over width, batch and number of images; return `path`."""
    options = record["options"]
    base = [p for p in record["points"] if p["source"] == "resident" and p["images"] == options["images"]]
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, 3)
    preset, width, batch_size = options["preset"], options["width"], options["batch_size"]
    images = f"{options['images']:,} images"
    wide = sorted((p for p in base if p["batch_size"] == batch_size), key=lambda p: p["width"])
    full = sorted((p for p in base if p["width"] == width), key=lambda p: p["batch_size"])
    _draw_growth(panels[0], wide, "width", f"batch {batch_size}, {images}")
    _draw_growth(panels[1], full, "batch_size", f"width {width}, {images}")
    _draw_sizes(panels[2], sized(record), f"width {width}, batch {batch_size}")
    panels[0].set_ylabel(f"training images/s, {preset}")
    panels[2].sharey(panels[1])
    panels[1].set_ylim(bottom=0)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)
    return path


def _draw_growth(axes: Axes, points: list[dict[str, Any]], name: str, title: str) -> None:
    """Draw the medians over what grows, with a line from the slowest to the fastest round."""
    values = [p[name] for p in points]
    _draw_rounds(axes, values, points, "C0", "o")
    axes.plot(values, [p["images_per_second"] for p in points], color="C0", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.set_xticks(values, [str(value) for value in values])
    if name == "width":
        axes.set_yscale("log")
    axes.set(title=title, xlabel={"width": "width, channels", "batch_size": "batch, images"}[name])


def _draw_sizes(axes: Axes, points: list[dict[str, Any]], title: str) -> None:
    for number, (source, marker) in enumerate(_MARKERS.items()):
        chosen = [p for p in points if p["source"] == source]
        if not chosen:
            continue
        shift = 1.06 ** (number - 1)  # beside, not above each other
        values = [p["images"] * shift for p in chosen]
        _draw_rounds(axes, values, chosen, f"C{number}", marker)
        speeds = [p["images_per_second"] for p in chosen]
        axes.plot(values, speeds, color=f"C{number}", linewidth=1, marker=marker, label=source)
        cold = [(value, p["images_per_second"]) for value, p in zip(values, chosen, strict=True) if p["cold"]]
        if cold:
            axes.plot(*zip(*cold, strict=True), marker, color="white", markeredgecolor=f"C{number}")
    axes.set_xscale("log")
    axes.set(title=title, xlabel="training images (hollow: cold file)")
    axes.legend(fontsize="small", loc="lower left")


def _draw_rounds(axes: Axes, values: list[float], points: list[dict[str, Any]], color: str, marker: str) -> None:
    low, high = [min(p["rounds"]) for p in points], [max(p["rounds"]) for p in points]
    axes.vlines(values, low, high, color=color, linewidth=1, alpha=0.6)
    axes.plot(values, [p["images_per_second"] for p in points], marker, color=color)
