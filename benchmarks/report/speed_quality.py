"""The section that sets the quality of models against the speed of their training."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping

from benchmarks.core import plots
from benchmarks.core.colors import Colors, aliases
from benchmarks.core.record import Record, first_key
from benchmarks.core.sections import Figure, Figures, Note, Section
from benchmarks.report.read import Results

_QUALITY = "fd_cifar10_"  # how the key begins
_READING = "Each model at the fastest training row of its preset: further down and to the right is better."


def speed_quality_section(results: Results, colors: Colors) -> Section | None:
    """Draw each quality result against the speeds measured on each device, where both are known."""
    devices: dict[str, dict[str, float]] = {}
    for result in results["throughput"]:
        speeds = devices.setdefault(result.record["device"], {})
        for row in result.record["rows"]:
            if row["mode"] == "train" and row["images_per_second"] is not None:
                preset = row["preset"].casefold()
                speeds[preset] = max(row["images_per_second"], speeds.get(preset, 0.0))
    figures = []
    for result, (device, speeds) in itertools.product(results["quality"], devices.items()):
        if points := list(_points(result.record, speeds, colors)):
            columns = result.record["columns"]
            label = columns[first_key(columns, _QUALITY)]["label"]
            title = f"{label} on {result.record['data']['name']}, speed on {device}"
            drawing = plots.scatter(points, "images/s of training", label, f"{title}: {result.path}")
            figures.append(Figure(title, [drawing]))
    return Section("Speed against quality", blocks=[Note(_READING), Figures(figures, "wide")]) if figures else None


def _points(quality: Record, speeds: Mapping[str, float], colors: Colors) -> Iterator[plots.Point]:
    for row in quality["rows"]:
        value = (row["values"].get(first_key(row["values"], _QUALITY)) or {}).get("mean")
        speed = next((speeds[alias] for alias in sorted(aliases(row)) if alias in speeds), None)
        if row["kind"] == "model" and value is not None and speed is not None:
            yield plots.Point(row["name"], speed, value, colors(row["name"]))
