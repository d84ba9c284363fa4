"""Who wins, by how much and over how many seeds: the sentences at the beginning of a quality result."""

from __future__ import annotations

from benchmarks.core.record import Record, first_key
from benchmarks.core.sections import Block, Verdicts
from benchmarks.quality.report.tables import mean_of
from colornet.tables import format_mean, format_number

_BEST = {
    "lower": "Lowest {label}",
    "higher": "Highest {label}",
    "truth": "{label} nearest to the real images' {target}",
}


def verdict_blocks(record: Record) -> list[Block]:
    """Name the best model by colors, their strength and fidelity, and how far ahead of the next it is.

    The strength is judged by the distribution of colorfulness, since one gradient for all images can have the right
    mean. Older records have the mean only. Empty without models.
    """
    columns = record["columns"]
    judged = (first_key(columns, "e_cifar10_"), "w1_cf" if "w1_cf" in columns else "cf", "psnr")
    texts = [text for name in judged if (text := _verdict(record, name))]
    return [Verdicts(texts)] if texts else []


def _verdict(record: Record, name: str) -> str:
    """Compare the two best models of a column; empty where no model has a value, or there is nothing to aim at."""
    column = record["columns"].get(name)
    target = next((mean_of(row, name) for row in record["rows"] if row["kind"] == "truth"), None)
    found = [
        (mean, row) for row in record["rows"] if row["kind"] == "model" and (mean := mean_of(row, name)) is not None
    ]
    if not column or not found or column["better"] not in _BEST or (column["better"] == "truth" and target is None):
        return ""
    decimals, better = column["decimals"], column["better"]

    def badness(mean: float) -> float:
        return abs(mean - (target or 0.0)) if better == "truth" else -mean if better == "higher" else mean

    found.sort(key=lambda pair: badness(pair[0]))
    title = _BEST[better].format(label=column["label"], target=format_number(target, decimals))
    shown = [f"{row['name']}, {format_mean(row['values'][name], decimals)} ({_runs(row)})" for _, row in found[:2]]
    if len(found) == 1:
        return f"{title}: {shown[0]}, the only model."
    lead = badness(found[1][0]) - badness(found[0][0])
    deviations = [row["values"][name].get("sd") for _, row in found[:2]]
    known = [sd for sd in deviations if sd is not None]
    if not known:
        caution = ". The spread over seeds is unknown"
    elif lead <= sum(known):
        caution = ", within the spread of the seeds"
    else:
        caution = ", more than the standard deviations over seeds"
        caution += "" if len(known) == 2 else ", of which one is unknown"
    return f"{title}: {shown[0]}, ahead of {shown[1]} by {format_number(lead, decimals)}{caution}."


def _runs(row: Record) -> str:
    count = max(1, len(row.get("members") or ()))
    return f"{count} seeds" if count > 1 else "1 run"
