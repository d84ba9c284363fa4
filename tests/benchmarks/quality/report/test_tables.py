"""The tables of a quality result as the terminal shows them."""

from __future__ import annotations

from benchmarks.quality.report.tables import quality_tables
from tests.benchmarks.report.records import quality_record


def test_footnotes_are_numbered_and_shared() -> None:
    record = quality_record()
    distances, _, closeness = quality_tables(record)
    assert distances.notes == ["The weights of Inception were not found."]
    assert closeness.notes == ["The weights of AlexNet were not found."]
    text = distances.to_text().splitlines()
    assert [cell.strip() for cell in text[0].strip("|").split("|")] == ["", "FD v2", "e v2", "FID [1]", "KID [1]"]
    assert [cell.strip() for cell in text[2].strip("|").split("|")][-2:] == ["– [1]", "– [1]"]
    assert len({len(line) for line in text[:-1]}) == 1
    assert text[-1] == "[1] The weights of Inception were not found."


def test_a_table_without_empty_columns_has_no_footnotes() -> None:
    record = quality_record()
    record["columns"] = {name: column | {"reason": None} for name, column in record["columns"].items()}
    assert not any(table.notes for table in quality_tables(record))
