"""The table of a comparison by `colornet evaluate`, from its scores or from the JSON that holds them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from colornet.tables import Column, Table, format_values, table_of

E = "e_cifar10_v2_dev"
"""Key of e: `fd_cifar10_v2_dev` as a share of the gray images', by the evaluator that is used in development."""

READING = (
    "↑: higher is better, ↓: lower is better; CF and sepia: nearer to the truth is better.\n"
    "e: distance of the colorings from the truth as a share of the gray images' (development evaluator): 0 is real, "
    "1 is gray.\n"
    "CF: colorfulness. Sepia: orange to yellow pixels, as a share of the colored ones."
)

COLUMNS = (
    Column("e", E, functools.partial(format_values, decimals=3), better="lower"),
    Column("CF", "cf", functools.partial(format_values, decimals=1)),
    Column("ΔCF", "delta_cf", functools.partial(format_values, decimals=1)),
    Column("W1(CF)", "w1_cf", functools.partial(format_values, decimals=1), better="lower"),
    Column(
        "sepia of colored %", "sepia_of_colored", lambda values: format_values([100 * value for value in values], 1)
    ),
    Column("PSNR", "psnr", functools.partial(format_values, decimals=2), better="higher"),
    Column("PSNR pooled", "psnr_pooled", functools.partial(format_values, decimals=2), better="higher"),
    Column("SSIM", "ssim", functools.partial(format_values, decimals=4), better="higher"),
    Column("L1", "l1", functools.partial(format_values, decimals=4), better="lower"),
    Column("ΔE00", "ciede2000", functools.partial(format_values, decimals=2), better="lower"),
)
_OF_TRUTH = ("cf", "sepia_of_colored")  # scores that the truth has, too


def add_e(rows: Mapping[str, dict[str, float]]) -> None:
    """Add e to the scores of every row, where they hold the distance and the row "gray" is at one from the truth."""
    floor = rows["gray"].get("fd_cifar10_v2_dev", 0.0)
    for row in rows.values():
        if floor > 0 and "fd_cifar10_v2_dev" in row:
            row[E] = row["fd_cifar10_v2_dev"] / floor


def comparison_table(rows: Mapping[str, Sequence[Mapping[str, float | None]]]) -> Table:
    """Lay out scores by the name of their row, of each of its seeds: their mean, with the deviation of several.

    The row "gray" is needed, the truth comes last. Columns of which no row has a value, as earlier versions did not
    measure all of them, are left out.
    """
    lines: list[dict[str, Any]] = [
        {"name": name} | {str(c.value): _values(seeds, str(c.value)) for c in COLUMNS} for name, seeds in rows.items()
    ]
    lines.append({"name": "truth"} | {key: _values(rows["gray"][:1], f"{key}_truth") for key in _OF_TRUTH})
    table = table_of("Comparison", (Column("", "name"), *COLUMNS), lines, ranked=lambda line: line["name"] != "truth")
    return table.without_empty_columns()


def _values(seeds: Sequence[Mapping[str, float | None]], key: str) -> list[float] | None:
    """Return the value of every seed, or None if one has none."""
    found = [value for seed in seeds if (value := seed.get(key)) is not None]
    return found if len(found) == len(seeds) else None
