"""Tables of documents: chosen, joined and written where the comments ask for them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.report.documents import regenerated
from colornet.errors import InputError
from tests.benchmarks.report.records import ORIGIN, Record, quality_record


def kills_record(processes: int) -> Record:
    run = {"processes": processes, "kills": 7, "killed_during": {"step": 7}, "runs": 2, "bit_identical": 2}
    return {"kind": "reliability", **ORIGIN, "preset": "ae", "runs": {str(processes): run}}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write results of kills on 1 and 2 processes, of quality, and of `colornet evaluate`."""
    folder = tmp_path_factory.mktemp("results")
    quality = quality_record()
    for row in quality["rows"]:
        row["runs"] = {}
    points = [{"images": 8 * epoch, "fd_cifar10_v2_dev": 1 / epoch, "cf": 20.0, "psnr": 25.0} for epoch in (1, 2, 4)]
    quality["rows"][4]["runs"] = {"ae-0": {"config": {"epochs": 4}, "validation": points}}
    scores = dict.fromkeys(("psnr", "psnr_pooled", "ssim", "l1", "ciede2000", "cf", "delta_cf", "delta_cf_image"), 1.0)
    rows = {name: scores | {"cf_truth": 30.0, "psnr": psnr} for name, psnr in (("gray", 20.0), ("ae-0", 24.0))}
    records = {"kills-1": kills_record(1), "kills-2": kills_record(2), "quality": quality}
    records["comparison"] = {**ORIGIN, "rows": rows | {"ae-1": scores | {"psnr": 26.0}}}
    for name, record in records.items():
        (folder / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def table(request: str, results: Path) -> list[list[str]]:
    """Return the cells of the table that a document gets, its rule left out."""
    text = regenerated(f"before\n\n<!-- table: {request} -->\nold\n<!-- end -->\n\nafter\n", results)
    found = re.fullmatch(r"before\n\n<!-- table: .*? -->\n(.*)\n<!-- end -->\n\nafter\n", text, re.DOTALL)
    assert found is not None
    assert regenerated(text, results) == text
    heading, _, *rows = (line for line in found[1].splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in (heading, *rows)]


def test_a_result_with_one_table_needs_its_name_alone(results: Path) -> None:
    assert [row[:2] for row in table("kills-1", results)] == [["processes", "kills"], ["1", "7"]]


def test_rows_of_several_results_are_joined(results: Path) -> None:
    assert table("kills-*\ncolumns: trainings; kills", results) == [
        ["processes", "trainings", "kills"], ["1", "2", "7"], ["2", "2", "7"],
    ]  # fmt: skip


def test_columns_come_from_whichever_table_has_them_and_nothing_is_best_of_a_choice(results: Path) -> None:
    assert table("quality\ncolumns: PSNR; e v2\nrows: gray; cgan", results) == [
        ["", "PSNR", "e v2"], ["cgan", "24.01 ± 0.48", "0.215 ± 0.004"], ["*gray*", "25.49", "1.000"],
    ]  # fmt: skip
    (bold,) = (row for row in table("quality\ncolumns: PSNR; e v2", results) if row[0] == "cgan")
    assert bold == ["cgan", "24.01 ± 0.48", "**0.215 ± 0.004**"]


def test_footnotes_of_the_columns_are_kept_and_renumbered(results: Path) -> None:
    request = "<!-- table: quality\ncolumns: LPIPS; FID\nrows: ae -->\n<!-- end -->"
    lines = regenerated(request, results).splitlines()[3:]  # below the comment
    assert lines[0] == "|  | LPIPS<sup>1</sup> | FID<sup>2</sup> |"
    assert lines[2] == "| ae | –<sup>1</sup> | –<sup>2</sup> |"
    assert lines[4] == "<sup>1</sup> The weights of AlexNet were not found."
    assert lines[6] == "<sup>2</sup> The weights of Inception were not found."


def test_validation_of_the_models_is_shown_by_epoch(results: Path) -> None:
    assert table("quality\ntitle: Validation over epochs\nrows: 1; 4", results) == [
        ["epochs", "FD dev, ae", "CF, ae", "PSNR, ae"],
        ["1", "1.000", "20.0", "25.00"],
        ["4", "0.250", "20.0", "25.00"],
    ]


def test_a_comparison_does_not_join_other_configurations(results: Path, tmp_path: Path) -> None:
    record = json.loads((results / "comparison.json").read_text())
    record["runs"] = {f"ae-{seed}": {"config": {"seed": seed, "run_dir": str(seed), "epochs": 4}} for seed in (0, 1)}
    (tmp_path / "same.json").write_text(json.dumps(record))
    assert table("same\ncolumns: PSNR", tmp_path) == table("comparison\ncolumns: PSNR", results)
    record["runs"]["ae-1"]["config"]["epochs"] = 2
    (tmp_path / "other.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="ae-1 differs in more than its seed"):
        table("other\ncolumns: PSNR", tmp_path)


def test_a_comparison_joins_the_seeds_of_a_model(results: Path) -> None:
    """Of an earlier version, which measured less: what it did not is no column. Columns are named without arrows."""
    assert table("comparison", results)[0] == [
        "", "CF", "ΔCF", "PSNR ↑", "PSNR pooled ↑", "SSIM ↑", "L1 ↓", "ΔE00 ↓",
    ]  # fmt: skip
    assert table("comparison\ncolumns: PSNR", results) == [
        ["", "PSNR ↑"], ["gray", "20.00"], ["ae", "25.00 ± 1.41"], ["*truth*", "–"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ("", "a table names no result"),
        ("nothing", "there is no result nothing in"),
        ("quality", "tables titled '': name one, or columns"),
        ("quality\ntitle: Other", "0 tables titled 'Other'"),
        ("quality\ncolumns: e v3", "has no column 'e v3'"),
        ("kills-1\nrows: 3", "has no row '3'"),
        ("kills-1\nrow: 3", "unknown key 'row'"),
        ("*i*\ncolumns: CF", "has no column 'CF'"),
    ],
)
def test_what_cannot_be_found_is_named(request_: str, words: str, results: Path) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        regenerated(f"<!-- table: {request_} -->\n<!-- end -->", results)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"kind": "growth"}', "other.json is incomplete, make it again or remove it: it lacks"),
        ('{"name": "cifar10-v2"}', "other.json is no result"),
        ("[1]", "other.json is no result"),
    ],
)
def test_what_is_no_result_is_named(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(InputError, match=re.escape(words)):
        regenerated("<!-- table: other -->\n<!-- end -->", tmp_path)


def test_a_page_that_is_no_text_is_named(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.md").write_bytes(b"\xff\xfe")
    with pytest.raises(SystemExit, match="2"):
        main(["tables", str(tmp_path / "page.md"), "--results", str(results)])
    assert f"error: {tmp_path / 'page.md'}: 'utf-8' codec" in capsys.readouterr().err


def test_a_table_must_end(results: Path) -> None:
    with pytest.raises(InputError, match="has no end"):
        regenerated("<!-- table: kills-1 -->\n| a |\n", results)


def test_command_writes_or_names_what_is_outdated(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- table: kills-1 -->\n<!-- end -->\n", encoding="utf-8")
    arguments = ["tables", str(page), "--results", str(results)]
    with pytest.raises(SystemExit, match="1"):
        main([*arguments, "--check"])
    assert f"`python -m benchmarks tables`: {page}" in capsys.readouterr().out
    assert page.read_text(encoding="utf-8").count("\n") == 2
    main(arguments)
    assert f"Written: {page}" in capsys.readouterr().out
    main([*arguments, "--check"])
    assert "up to date" in capsys.readouterr().out
    page.write_text("<!-- table: kill -->\n<!-- end -->\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert f"error: {page}: there is no result kill in" in capsys.readouterr().err
