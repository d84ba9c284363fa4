"""Older records are read under the names of today."""

from __future__ import annotations

from benchmarks.core.record import modernized


def test_names_of_older_records_become_those_of_today() -> None:
    older = {"rows": [{"name": "grey", "nazeri_2": 0.5}], "bootstrap": {"nazeri_5": [0.1]}, "command": "nazeri_2 grey"}
    assert modernized(older) == {
        "rows": [{"name": "gray", "accuracy_at_2": 0.5}],
        "bootstrap": {"accuracy_at_5": [0.1]},
        "command": "nazeri_2 grey",  # a fact about its origin
    }


def test_a_data_set_keeps_its_name() -> None:
    assert modernized({"data": {"name": "grey-photos"}}) == {"data": {"name": "grey-photos"}}
