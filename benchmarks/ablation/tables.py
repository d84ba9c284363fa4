"""The table of an ablation, in Markdown that reads as plain text."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["COSTS", "VALUES", "answered", "format_table", "table_rows"]

# Heading: key of a value, factor, decimals.
VALUES = {
    "e": ("e", 1, 3),
    "FD dev": ("fd_cifar10_dev", 1, 3),
    "Acc. %": ("accuracy_cifar10_dev", 100, 1),
    "CF": ("cf", 1, 1),
    "ΔCF": ("delta_cf", 1, 1),
    "\\|ΔCF\\|": ("delta_cf_image", 1, 1),
    "PSNR": ("psnr", 1, 2),
    "ΔE00": ("ciede2000", 1, 2),
}
COSTS = ("images, k", "G, M", "D, M", "MFLOP/image", "s")


def format_table(record: dict[str, Any]) -> str:
    """Lay out a record of `ablate` as a table in Markdown, grouped by question; mean ± standard deviation of seeds."""
    lines: list[list[str]] = [["question", "variant", *VALUES, *COSTS]]
    for question, rows in table_rows(record):
        lines += [[question if index == 0 else "", *row] for index, row in enumerate(rows)]
    width = len(lines[0])
    lines = [[*line, *["–"] * (width - len(line))] for line in lines]
    rule = ["---"] * 2 + ["---:"] * (width - 2)
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))


def table_rows(record: dict[str, Any]) -> Iterator[tuple[str, list[list[str]]]]:
    """Yield every question with its rows, the name of a variant and its cells; those that need no model come first."""
    for question, names in {"no model": list(record["floors"]), **_asked(record)}.items():
        yield question, [_row(record, name) for name in names]


def _asked(record: dict[str, Any]) -> dict[str, list[str]]:
    """Return the questions that can be answered with the variants that were tried: trained, or failed.

    A question of which only the baselines were tried that others share is none, unless it is about them.
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


def answered(record: dict[str, Any]) -> dict[str, list[str]]:
    """Return the questions that at least two trained variants answer, and these."""
    trained = {
        question: [name for name in names if name in record["variants"]] for question, names in _asked(record).items()
    }
    return {question: names for question, names in trained.items() if len(names) > 1}


def _row(record: dict[str, Any], name: str) -> list[str]:
    """Return the cells of a variant or floor, of a failed variant the name alone."""
    if name in record["floors"]:
        members, costs = [record["floors"][name]], ["–"] * len(COSTS)
    elif name in record["variants"]:
        variant = record["variants"][name]
        runs = [record["runs"][run] for run in variant["runs"]]
        members, costs = [run["values"] for run in runs], _costs(variant, runs)
    else:
        return [f"{name} (failed)"]
    return [name, *(_shown([m.get(key) for m in members], *how) for key, *how in VALUES.values()), *costs]


def _costs(variant: dict[str, Any], runs: Sequence[dict[str, Any]]) -> list[str]:
    parameters, images = variant["parameters"], runs[0]["images_seen"]
    return [
        f"{images / 1e3:,.1f}",
        f"{parameters['generator'] / 1e6:.2f}",
        f"{parameters['discriminator'] / 1e6:.2f}" if "discriminator" in parameters else "–",
        f"{runs[0]['training_flops'] / images / 1e6:,.0f}",
        f"{statistics.mean(run['training_seconds'] for run in runs):,.0f}",
    ]


def _shown(values: Sequence[float | None], factor: float, decimals: int) -> str:
    known = [value * factor for value in values if value is not None]
    if not known or len(known) < len(values):
        return "–"
    mean = f"{round(statistics.mean(known), decimals) + 0.0:,.{decimals}f}".replace("-", "−")
    return mean if len(known) == 1 else f"{mean} ± {statistics.stdev(known):.{decimals}f}"
