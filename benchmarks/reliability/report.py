"""What `kills` and `machines` show: how disturbed trainings ended, compared with an undisturbed one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Section, Verdicts, listed, measured_on
from benchmarks.reliability.machines_options import Event
from colornet.tables import DASH, Column, table_of

_ORIGIN = ("preset", "runs", "commit", "date", "device")
REQUIRED: Mapping[str, Any] = {
    "reliability": (_ORIGIN, {}),
    "machines": ((*_ORIGIN, "machines", "processes", "tcp_retries", "steps"), {}),
}


def _seconds(run: Record) -> float | None:
    seconds = run["starts"][0]["seconds"] if run["starts"] else [None]
    return None if None in seconds else max(seconds)


def _exit_codes(run: Record) -> str:
    codes = run["starts"][0]["codes"] if run["starts"] else [None]
    return ", ".join(DASH if code is None else str(code) for code in codes)


_EQUAL = {True: "equal", False: "different"}
_NO_KILLS = dict.fromkeys(("step", "evaluation", "checkpoint", "between"), 0)
_KILLS = (
    Column("processes", "processes"),
    Column("kills", "kills", 0),
    Column("in a step", "step", 0),
    Column("in an evaluation", "evaluation", 0),
    Column("in a checkpoint", "checkpoint", 0),
    Column("in between", "between", 0),
    Column("trainings", "runs", 0),
    Column("identical", "bit_identical", 0),
)
_MACHINES = (
    Column("launcher", "launcher"),
    Column("event", "event", words=True),
    Column("machines", "machines", 0),
    Column("tcp_retries2", "tcp_retries", 0),
    Column("seconds", _seconds, 0),
    Column("exit codes", _exit_codes, words=True),
    Column("starts", lambda run: len(run["starts"]), 0),
    Column("weights", "bit_identical", _EQUAL.__getitem__, words=True),
    Column("scores", "same_scores", _EQUAL.__getitem__, words=True),
)


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
        return all(run["runs"] == run["bit_identical"] and not run.get("failure") for run in runs)
    return all(run["bit_identical"] and run.get("same_scores", True) for run in runs)


def tables(record: Record) -> list[Block]:
    """Lay out a row for each number of processes, or for each launcher and event, with the errors that users saw."""
    runs = record["runs"].values()
    failures = [f"Failed: {run['failure']}" for run in runs if run.get("failure")]
    if record["kind"] == "reliability":
        table = table_of("", _KILLS, [_NO_KILLS | run["killed_during"] | run for run in runs])
        return [table, Verdicts(failures)] if failures else [table]
    starts = [start for run in runs for start in run["starts"]]
    errors = dict.fromkeys([*failures, *(line for start in starts for lines in start["errors"] for line in lines)])
    rows = sorted(runs, key=lambda run: (run["launcher"], get_args(Event).index(run["event"])))
    table = table_of("", _MACHINES, [record | run for run in rows])
    return [table, Verdicts([*errors])] if errors else [table]
