"""What is shown of a speedrun to a quality: recipes, floors and every run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.core.record import Record, Result
from benchmarks.core.sections import blocks_text
from benchmarks.report.read import check_record
from benchmarks.speedrun.report import section, summarize, tables
from benchmarks.speedrun.to_quality_report import draw
from tests.benchmarks.commands import cells, colors, drawings, table


def test_recipes_are_shown_below_what_needs_no_training(race: tuple[Path, Record]) -> None:
    _, record = race
    found = cells(table(tables(record), "Recipes"))
    assert [*found] == ["gray", "data set's mean ab", "plain", "adversarial", "still"]
    assert (found["gray"]["e, untrained"], found["gray"]["seconds"]) == ("1.000", "–")
    assert [found[name]["seeds"] for name in ("plain", "adversarial", "still")] == ["2 of 2", "2 of 2", "0 of 2"]
    medians = {name: record["recipes"][name]["median"]["seconds"] for name in ("plain", "adversarial")}
    assert found["plain"]["× plain"] == "1.00"
    assert found["adversarial"]["× plain"] == f"{medians['plain'] / medians['adversarial']:.2f}"
    assert (found["still"]["× plain"], found["still"]["seconds"]) == ("–", "–")


def test_every_run_has_its_row_or_its_reason(race: tuple[Path, Record]) -> None:
    _, record = race
    found = table(tables(record), "Every run")
    assert [line.name.text for line in found.lines] == [
        f"{name}, seed {seed}" for name in ("plain", "adversarial", "still") for seed in (0, 1)
    ]
    assert found.lines[-1].cells[0].note
    assert {run["reason"] for run in record["runs"] if not run["reached"]} == {*found.notes}
    assert f"plain: {record['recipes']['plain']['command']}" in blocks_text(tables(record))


def test_the_section_says_and_draws_what_came_out(race: tuple[Path, Record]) -> None:
    path, record = race
    check_record(path, record)
    shown = section(Result(Path("race.json"), record, {}), colors())
    assert shown.title == f"Time to e 0.5 on {record['data']['name']}"
    assert "still: no median time (0 of 2 seeds reached it)" in summarize(record)
    found = drawings(shown.blocks)
    assert [*found] == ["e over seconds of training", "e over images seen"]
    for drawing in found.values():
        assert "target 0.500" in drawing
        assert "gray 1.000" in drawing


def test_the_plot_is_written_beside_the_record(race: tuple[Path, Record], tmp_path: Path) -> None:
    path, record = race
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert draw(record, tmp_path / "again.png").is_file()
