"""The tables of a quality result as the terminal shows them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from benchmarks.core.record import Result
from benchmarks.core.sections import blocks_text
from benchmarks.quality.columns import COLUMNS
from benchmarks.quality.report.section import section, tables
from benchmarks.quality.report.tables import quality_tables
from colornet.tables import Table
from tests.benchmarks.commands import colors
from tests.benchmarks.report.records import quality_record


def test_footnotes_are_numbered_and_shared() -> None:
    record = quality_record()
    _, distances, _, closeness = quality_tables(record)
    assert distances.notes == ["The weights of Inception were not found."]
    assert closeness.notes == ["The weights of AlexNet were not found."]
    text = distances.to_text().splitlines()
    assert [cell.strip() for cell in text[0].strip("|").split("|")] == ["", "FD v2", "FID [1]", "KID [1]"]
    assert [cell.strip() for cell in text[2].strip("|").split("|")][-2:] == ["– [1]", "– [1]"]
    assert len({len(line) for line in text[:-1]}) == 1
    assert text[-1] == "[1] The weights of Inception were not found."


def test_the_first_table_has_the_headline_columns_and_no_other_repeats_them() -> None:
    """Of a record of today, of which gray tells something or not, and of an older one."""
    record = quality_record()
    assert headings(quality_tables(record)[0]) == ["", "e v2", "accuracy", "ΔE00", "PSNR"]
    columns = {name: {**asdict(column), "reason": None} for name, column in COLUMNS.items()}
    values = {name: {"mean": 1.0, "sd": None} for name in COLUMNS}
    record |= {"columns": columns, "rows": [{"name": "real", "kind": "truth", "values": values}]}
    expected = ["", "e", "W1(CF)", "Acc. share %", "Prec. v2", "Recall v2", "ΔE00", "PSNR"]
    first, *others = quality_tables(record)
    assert headings(first) == expected
    assert not set(expected[1:]) & {heading for table in others for heading in headings(table)}
    assert "|ΔCF|" not in blocks_text(tables(record))  # in the JSON only
    values["accuracy_share"] = None  # type: ignore[assignment]
    assert headings(quality_tables(record)[0])[3] == "Acc. %"


def headings(table: Table) -> list[str]:
    return [cell.text for cell in table.headings]


def test_a_table_without_empty_columns_has_no_footnotes() -> None:
    record = quality_record()
    record["columns"] = {name: column | {"reason": None} for name, column in record["columns"].items()}
    assert not any(table.notes for table in quality_tables(record))


def test_data_set_on_which_a_sanity_check_wins_cannot_rank() -> None:
    record = quality_record()
    assert "cannot rank" not in blocks_text(tables(record))
    (check,) = (row for row in record["rows"] if row["kind"] == "sanity_check")
    check["values"]["e_cifar10_v2"]["mean"] = 0.2
    words = "cifar10-jpeg cannot rank colorizers: by e v2, the sanity-check baseline “sanity check, gradient” (0.200)"
    assert words in blocks_text(tables(record))
    assert words in section(Result(Path("quality.json"), record, {}), colors()).to_markdown()
