"""Records in which something is missing or of another kind: a sentence that names the file, never a traceback."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from benchmarks.report.documents import regenerated
from benchmarks.report.page import make_sections, page_title
from benchmarks.report.read import SECTIONS, read_results
from colornet.errors import InputError
from tests.benchmarks.ablation.records import ablation_record
from tests.benchmarks.report.records import Record, quality_record, throughput_record

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results"
VALUES: tuple[Any, ...] = (None, "x", "1", -1, 0, [], {}, True, 1e299, 1e308, [1], {"a": 1}, [[]], [{}], float("nan"))
TRIES = 15  # of each kind


def committed() -> dict[str, Record]:
    """Return one committed record of each kind, a small one."""
    found: dict[str, Record] = {}
    for path in sorted(RESULTS.glob("*.json"), key=lambda path: path.stat().st_size, reverse=True):
        record = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(record, dict) and record.get("kind") in SECTIONS:
            found[record["kind"]] = record
    found["quality"]["rows"] = found["quality"]["rows"][:2] + found["quality"]["rows"][-2:]
    return found


COMMITTED = committed()


def places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """List where values are, of lists the first two."""
    keys = value if isinstance(value, dict) else range(min(2, len(value))) if isinstance(value, list) else ()
    for key in keys:
        yield (*above, key)
        yield from places(value[key], (*above, key))


def damaged(record: Record, rng: random.Random) -> Record:
    """Remove or replace a value, the further up the more often."""
    changed = copy.deepcopy(record)
    place = rng.choice([*places({key: value for key, value in record.items() if key != "kind"})])
    *above, last = place[: rng.randint(1, len(place))]
    inner: Any = changed
    for key in above:
        inner = inner[key]
    if rng.random() < 0.3:
        del inner[last]
    else:
        inner[last] = rng.choice(VALUES)
    return changed


@pytest.mark.parametrize("kind", sorted(COMMITTED))
def test_tables_of_a_damaged_record(kind: str, tmp_path: Path) -> None:
    rng = random.Random(0)
    refusals = 0
    for _ in range(TRIES):
        (tmp_path / "x.json").write_text(json.dumps(damaged(COMMITTED[kind], rng)))
        try:
            regenerated("<!-- table: x\ncolumns: nothing -->\n<!-- end -->", tmp_path)
        except InputError as error:
            refusals += "x.json" in str(error)
    assert refusals


@pytest.mark.parametrize("make", [quality_record, throughput_record, ablation_record])
def test_page_of_a_damaged_record(make: Any, tmp_path: Path) -> None:
    """What joins results of several kinds, and names the page, must not stumble either."""
    rng = random.Random(0)
    for _ in range(3):
        (tmp_path / "x.json").write_text(json.dumps(damaged(make(), rng)))
        with suppress(InputError):
            results, runs = read_results([tmp_path])
            make_sections(results, runs)
            page_title(results)
