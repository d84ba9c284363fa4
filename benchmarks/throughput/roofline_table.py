"""The roofline in words: what each group of layers would take at best, and what the step makes of it."""

from __future__ import annotations

from typing import Any

__all__ = ["format_rooflines"]


def format_rooflines(record: dict[str, Any]) -> str:
    """Lay out the rooflines of a record: a table of groups for each row, of layers for each preset's largest batch."""
    largest = {row["preset"]: row["batch_size"] for row in sorted(record["rooflines"], key=lambda r: r["batch_size"])}
    shown: set[str] = set()
    parts = []
    for row in record["rooflines"]:
        parts.append(_groups(row, record["bandwidth"]))
        if row["preset"] not in shown and row["batch_size"] == largest[row["preset"]]:
            shown.add(row["preset"])
            parts.append(_layers(row))
    return "\n\n".join(parts)


def _groups(row: dict[str, Any], bandwidth: float) -> str:
    precision = "fp32" if row["precision"] == "no" else row["precision"]
    compiled = ", compiled" if row["compile"] else ""
    lines = [
        f"Roofline of {row['preset']}, batch {row['batch_size']}, {precision}{compiled}: arithmetic at "
        f"{_number(row['peak'], 1e9)} GFLOP/s, copies at {_number(bandwidth, 1e9)} GB/s",
        f"{'':30}{'GFLOP':>12}{'GB':>12}{'ms':>12}{'share':>9}",
    ]
    for name, group in row["groups"].items():
        share = group["seconds"] / row["seconds"]
        lines.append(f"{name:30}{_columns(group)}{share:>9.1%}")
    total = {key: sum(group[key] for group in row["groups"].values()) for key in ("flops", "bytes", "seconds")}
    lines.append(f"{'together':30}{_columns(total)}{1:>9.1%}")
    lines.append(f"bound {_number(row['images_per_second'])} images/s; {_measured(row)}")
    return "\n".join(lines)


def _measured(row: dict[str, Any]) -> str:
    if row["measured_images_per_second"] is None:
        return "the step was not measured"
    return (
        f"measured {_number(row['measured_images_per_second'])}, {row['share_of_bound']:.1%} of the bound; "
        f"the input side by itself takes {_number(row['input_seconds'], 1e-3)} ms, {row['input_share']:.1%} of the step"
    )


def _layers(row: dict[str, Any]) -> str:
    lines = [
        f"Its layers, forward and backward ({row['preset']}, batch {row['batch_size']})",
        f"{'':30}{'':24}{'GFLOP':>12}{'GB':>12}{'ms':>12}",
    ]
    lines += [f"{layer['layer']:30}{layer['kind']:24}{_columns(layer)}" for layer in row["layers"]]
    return "\n".join(lines)


def _columns(counts: dict[str, Any]) -> str:
    units = {"flops": 1e9, "bytes": 1e9, "seconds": 1e-3}
    return "".join(f"{_number(counts[key], unit):>12}" for key, unit in units.items())


def _number(value: float, unit: float = 1) -> str:
    value /= unit
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
