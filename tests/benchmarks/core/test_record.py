"""What records begin with, and older ones, which are read under the names of today."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from benchmarks.core.record import modernized, start_record


def test_names_of_older_records_become_those_of_today() -> None:
    older = {"rows": [{"name": "grey", "nazeri_2": 0.5}], "bootstrap": {"nazeri_5": [0.1]}, "command": "nazeri_2 grey"}
    assert modernized(older) == {
        "rows": [{"name": "gray", "accuracy_at_2": 0.5}],
        "bootstrap": {"accuracy_at_5": [0.1]},
        "command": "nazeri_2 grey",  # a fact about its origin
    }


def test_a_data_set_keeps_its_name() -> None:
    assert modernized({"data": {"name": "grey-photos"}}) == {"data": {"name": "grey-photos"}}


def test_a_record_holds_no_folder_of_the_machine() -> None:
    @dataclasses.dataclass(frozen=True)
    class Options:
        plan: Path = Path("/somewhere/else/plan.json")
        out: Path = Path("results/flow")

    record = start_record("ablation", torch.device("cpu"), Options())
    assert record["options"] == {"plan": "plan.json", "out": "results/flow"}
