"""What `kills` and `machines` show: how disturbed trainings ended, beside one that was not disturbed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Section, Verdicts, listed, measured_on
from benchmarks.core.tables import DASH, Table, format_number, headings, line_of

_ORIGIN = ("preset", "runs", "commit", "date", "device")
REQUIRED: Mapping[str, Any] = {
    "reliability": (_ORIGIN, {}),
    "machines": ((*_ORIGIN, "machines", "processes", "tcp_retries", "steps"), {}),
}
_PHASES = {
    "step": "during a step",
    "evaluation": "an evaluation",
    "checkpoint": "a checkpoint",
    "between": "in between",
}


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `kills` or of `machines`."""
    record = result.record
    title = "Killed trainings" if record["kind"] == "reliability" else f"Training on {record['machines']} machines"
    return Section(title, summarize(record), result.path, tables(record))


def summarize(record: Record) -> str:
    """Say what was done to how many trainings, and how many ended with the weights of an undisturbed one."""
    runs = record["runs"].values()
    if record["kind"] == "reliability":
        total, equal = (sum(run[key] for run in runs) for key in ("runs", "bit_identical"))
        processes = listed([str(run["processes"]) for run in runs])
        what = f"{sum(run['kills'] for run in runs)} kills of trainings of {record['preset']} on {processes} processes"
    else:
        total, equal = len(runs), sum(run["bit_identical"] for run in runs)
        processes = f"{record['processes']} process{'es' * (record['processes'] > 1)} each"
        where = f"{record['machines']} machines, network namespaces of one, {processes}"
        what = f"{record['steps']} steps of {record['preset']} on {where}"
    ends = f"{equal} of {total} trainings ended with exactly the weights of one that was not disturbed"
    return f"{what}: {ends}. {measured_on(record)}"


def passed(record: Record) -> bool:
    """Tell whether all trainings ended as if nothing had happened to them."""
    runs = record["runs"].values()
    if record["kind"] == "reliability":
        return all(run["runs"] == run["bit_identical"] for run in runs)
    return all(run["bit_identical"] and run.get("same_scores", True) for run in runs)


def tables(record: Record) -> list[Block]:
    """Lay out a row for each number of processes, or for each launcher and event, with the errors that users saw."""
    if record["kind"] == "reliability":
        return [_kills_table(record)]
    starts = [start for run in record["runs"].values() for start in run["starts"]]
    errors = dict.fromkeys(line for start in starts for lines in start["errors"] for line in lines)
    return [_machines_table(record), *([Verdicts([*errors])] if errors else [])]


def _kills_table(record: Record) -> Table:
    lines = []
    for run in record["runs"].values():
        phases = (run["killed_during"].get(phase, 0) for phase in _PHASES)
        counts = (run["kills"], *phases, run["runs"], run["bit_identical"])
        lines.append(line_of(str(run["processes"]), *(format_number(count, 0) for count in counts)))
    titles = ("processes", "kills", *_PHASES.values(), "trainings", "identical")
    return Table("", headings(titles), lines)


def _machines_table(record: Record) -> Table:
    lines = []
    for run in record["runs"].values():
        first = run["starts"][0]
        seconds = None if None in first["seconds"] else max(first["seconds"])
        scores = {True: "equal", False: "different", None: DASH}[run.get("same_scores")]
        texts = (
            run["event"],
            format_number(record["machines"], 0),
            format_number(record["tcp_retries"], 0),
            format_number(seconds, 0),
            ", ".join(DASH if code is None else str(code) for code in first["codes"]),
            format_number(len(run["starts"]), 0),
            "equal" if run["bit_identical"] else "different",
            scores,
        )
        lines.append(line_of(run["launcher"], *texts))
    titles = ("launcher", "event", "machines", "tcp_retries2", "seconds", "exit codes", "starts", "weights", "scores")
    return Table("", headings(titles), lines, words=frozenset({"event", "exit codes", "weights", "scores"}))
