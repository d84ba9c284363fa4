"""What killed and disturbed trainings show, of the committed results."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.core.record import Record
from benchmarks.core.sections import Verdicts
from benchmarks.reliability import kills
from benchmarks.reliability.kills_options import KillsOptions
from benchmarks.reliability.report import passed, summarize, tables
from colornet.tables import Table

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"


def committed(name: str) -> Record:
    return dict(json.loads((RESULTS / f"reliability-{name}.json").read_text(encoding="utf-8")))


def rows(record: Record) -> list[dict[str, str]]:
    (table,) = (block for block in tables(record) if isinstance(block, Table))
    headings = [heading.text for heading in table.headings]
    return [dict(zip(headings, [line.name.text, *(c.text for c in line.cells)], strict=True)) for line in table.lines]


def test_kills_are_counted_by_what_they_interrupted() -> None:
    record = committed("kills")
    for run, row in zip(record["runs"].values(), rows(record), strict=True):
        counted = [int(row[phase]) for phase in ("in a step", "in an evaluation", "in a checkpoint", "in between")]
        assert sum(counted) == int(row["kills"]) == run["kills"] == 20
        assert row["identical"] == row["trainings"] == str(run["runs"])
    assert "60 kills of trainings of cgan on 1, 2 and 3 processes: 17 of 17" in summarize(record)


def test_machines_show_how_the_first_start_ended_and_what_was_said() -> None:
    record = committed("machines-2")
    shown = {(row["launcher"], row["event"]): row for row in rows(record)}
    expected = {"seconds": "37", "exit codes": "1, 1", "starts": "2", "weights": "equal", "scores": "–"}
    assert shown["accelerate", "cut"].items() >= expected.items()
    assert shown["torchrun", "none"]["scores"] == "equal"
    (verdicts,) = (block for block in tables(record) if isinstance(block, Verdicts))
    assert [text.partition(",")[0] for text in verdicts.texts] == [
        "error: Process 0 stops at step 5", "error: Process 1 stops at step 5",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "run", "changes"),
    [
        ("kills", "2", {"bit_identical": 1}),
        ("machines-2", "torchrun-flap", {"bit_identical": False}),
        ("machines-2", "torchrun-none", {"same_scores": False}),
    ],
)
def test_one_training_that_ended_otherwise_is_a_failure(name: str, run: str, changes: dict[str, Any]) -> None:
    record = committed(name)
    assert passed(record)
    failed = copy.deepcopy(record)
    failed["runs"][run] |= changes
    assert not passed(failed)


def test_a_machine_that_never_ended_has_no_time() -> None:
    record = committed("machines-2")
    record["runs"]["torchrun-cut"]["starts"][0] |= {"codes": [1, None], "seconds": [35.0, None]}
    (row,) = (row for row in rows(record) if (row["launcher"], row["event"]) == ("torchrun", "cut"))
    assert (row["seconds"], row["exit codes"]) == ("–", "1, –")


def test_failed_training_is_kept_in_the_record_and_shown(tmp_path: Path) -> None:
    """A training that ends with an error where nothing disturbs it: a real one, whose options cannot be used."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kills, "SMALL", "--width none")
        row = kills._kill_and_resume(KillsOptions(), 1, 1, tmp_path)
    assert row["failure"] == "1 process: the training that nothing disturbs ended with exit codes [2]."
    record = committed("kills")
    record["runs"]["1"] |= row
    assert not passed(record)
    (verdicts,) = (block for block in tables(record) if isinstance(block, Verdicts))
    assert verdicts.texts == [f"Failed: {row['failure']}"]


def test_machine_whose_training_never_started_is_shown() -> None:
    record = committed("machines-2")
    record["runs"]["torchrun-cut"] |= {"starts": [], "failure": "It did not start.", "bit_identical": False}
    (row,) = (row for row in rows(record) if (row["launcher"], row["event"]) == ("torchrun", "cut"))
    assert (row["seconds"], row["exit codes"], row["weights"]) == ("–", "–", "different")
    assert not passed(record)
