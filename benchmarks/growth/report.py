"""What `growth` shows: speed and memory by the number of training images and where they are."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.core import plots
from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Figures, Section, measured_on
from colornet.tables import Column, format_digits, format_number, format_percent, format_precision, table_of

REQUIRED = {
    "growth": (
        ("options", "precision", "data", "file_bytes", "write_seconds", "open_seconds", "points", "commit", "date",
         "device"),
        {"points": ("width", "batch_size", "images", "source", "cold", "images_per_second", "rounds",
                    "share_of_resident", "input_images_per_second", "epoch_start_seconds", "host_bytes",
                    "peak_memory_bytes")},
    )
}  # fmt: skip

_MARKERS = {"resident": "o", "mapped": "s", "streamed": "^"}
_MIB = 2**20
_COLUMNS = (
    Column("images", "images", 0),
    Column("where", lambda point: point["source"] + (", cold" if point["cold"] else ""), words=True),
    Column("width", "width", 0),
    Column("batch", "batch_size", 0),
    Column("images/s", "images_per_second", format_digits),
    Column("vs. resident", "share_of_resident", partial(format_percent, decimals=1),
           tip="Images/s over those of resident images in the same round, as many of them or the most there were."),
    Column("loader only", "input_images_per_second", format_digits,
           tip="Images/s of the loader with nothing to train beside it."),
    Column("first batch, s", "epoch_start_seconds", 2, tip="Seconds until the first batch."),
    Column("memory MiB", "host_bytes", 1, _MIB,
           "What the loader and its images add to the process, without mapped pages."),
    Column("peak MiB", "peak_memory_bytes", format_digits, _MIB,
           "Of a process, or of the GPU's allocator, that makes two steps on random images."),
)  # fmt: skip


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `growth`: its plot and its tables."""
    record = result.record
    caption = "Training speed over the number of images"
    figure = plots.panel_figure(caption, partial(_draw, record), result.path, wide=True)
    title = f"Growth of the data set on {record['device']}"
    return Section(title, summarize(record), result.path, [Figures([figure], "wide"), *tables(record)])


def summarize(record: Record) -> str:
    """Say what was trained on how many images, and how long their file took."""
    options, written = record["options"], record["write_seconds"]
    return (
        f"{options['preset']} at width {options['width']} in {format_precision(record['precision'])}, batch "
        f"{options['batch_size']}, on images of {record['data']['name']} repeated with noise: "
        f"{format_number(record['file_bytes'], 2, 1e9)} GB, "
        + ("" if written is None else f"written in {format_number(written, 1)} s, ")
        + f"opened and compared with their fingerprint in {format_number(record['open_seconds'], 1)} s. "
        + measured_on(record)
    )


def tables(record: Record) -> list[Block]:
    """Lay out the growing data set and, of records made before `throughput` compared them, other widths and batches."""
    grown = _grown(record)
    found: list[Block] = [table_of("Number of training images", _COLUMNS, grown)]
    if others := [point for point in record["points"] if point not in grown]:
        others.sort(key=lambda point: (point["batch_size"], point["width"]))
        found.append(table_of("Other widths and batch sizes", _COLUMNS, others))
    return found


def _grown(record: Record) -> list[Record]:
    """List the points of the growing data set, by size and place."""
    size = record["options"]["width"], record["options"]["batch_size"]
    points = [point for point in record["points"] if (point["width"], point["batch_size"]) == size]
    return sorted(points, key=lambda point: (point["images"], [*_MARKERS].index(point["source"])))


def draw(record: Record, path: Path) -> Path:
    """Draw images/s over the number of images to a PNG file; return its path."""
    options = record["options"]
    title = f"{options['preset']}, width {options['width']}, batch {options['batch_size']}"
    return plots.write_panels({title: partial(_draw, record)}, path)


def _draw(record: Record, axes: Axes) -> None:
    """Draw the medians by place, with a line from the slowest to the fastest round."""
    for number, (source, marker) in enumerate(_MARKERS.items()):
        chosen = [point for point in _grown(record) if point["source"] == source]
        if not chosen:
            continue
        color = plots.PALETTE[number]
        shift = 1.06 ** (number - 1)  # beside, not above each other
        x = [point["images"] * shift for point in chosen]
        speeds = [point["images_per_second"] for point in chosen]
        rounds = [point["rounds"] for point in chosen]
        axes.vlines(x, [*map(min, rounds)], [*map(max, rounds)], color=color, linewidth=1, alpha=0.6)
        axes.plot(x, speeds, color=color, linewidth=1.3, marker=marker, label=source)
        cold = [(at, speed) for at, speed, point in zip(x, speeds, chosen, strict=True) if point["cold"]]
        if cold:
            axes.plot(*zip(*cold, strict=True), marker, color="white", markeredgecolor=color)
    axes.set(xscale="log", xlabel="training images (hollow: cold file)", ylabel="training images/s")
    sizes = sorted({point["images"] for point in _grown(record)})
    axes.set_xticks(sizes, [format_number(size, 0) for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.grid(axis="y")
    axes.legend(frameon=False, loc="lower left", labelcolor=plots.INK)
