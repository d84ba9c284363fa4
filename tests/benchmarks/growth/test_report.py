"""What is shown of growth: of a record of today, and of the committed one, which varied width and batch, too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.core.record import Record, Result
from benchmarks.growth.report import section, summarize, tables
from colornet.tables import Table
from tests.benchmarks.commands import colors, drawings

COMMITTED = Path(__file__).parents[3] / "benchmarks" / "results" / "cifar10-jpeg-cpu-growth.json"


@pytest.fixture
def record() -> Record:
    return dict(json.loads(COMMITTED.read_text(encoding="utf-8")))


def shown(table: Table) -> list[list[str]]:
    return [[line.name.text, *(cell.text for cell in line.cells)] for line in table.lines]


def test_points_of_the_growing_data_set_are_in_order(record: Record) -> None:
    grown, others = tables(record)
    assert isinstance(grown, Table)
    rows = shown(grown)
    assert [row[0] for row in rows] == ["10,000"] * 3 + ["50,000"] * 3 + ["500,000"] * 3 + ["5,000,000"] * 2
    assert [row[1] for row in rows] == ["resident", "mapped", "streamed"] * 3 + ["mapped, cold", "streamed, cold"]
    assert rows[-1][2:] == ["16", "64", "532", "100.2 %", "77,127", "0.33", "0.0", "901"]
    assert isinstance(others, Table)
    assert [(row[2], row[3]) for row in shown(others)] == [
        ("16", "16"), ("16", "32"), ("8", "64"), ("32", "64"), ("64", "64"), ("16", "128"), ("16", "256"),
        ("16", "512"),
    ]  # fmt: skip


def test_a_record_of_one_network_has_one_table(record: Record) -> None:
    points = [p for p in record["points"] if (p["width"], p["batch_size"]) == (16, 64)]
    assert tables(record | {"points": points}) == tables(record)[:1]


def test_file_is_described(record: Record) -> None:
    assert "15.36 GB, written in 57.3 s, opened and compared with their fingerprint in 12.4 s." in summarize(record)
    assert "15.36 GB, opened and" in summarize(record | {"write_seconds": None})


def test_every_place_is_drawn(record: Record) -> None:
    found = drawings(section(Result(COMMITTED, record, {}), colors()).blocks)
    (drawing,) = found.values()
    for word in ("resident", "mapped", "streamed", "5,000,000"):
        assert word in drawing
