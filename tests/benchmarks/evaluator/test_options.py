"""Mistakes in the options of `evaluator`, `validate` and `ceiling` are found before anything is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("evaluator", ["--epochs", "0"], "--epochs is 0: it must be above 0"),
        ("evaluator", ["--cutout", "32"], "--cutout is 32: it must be from 0 to 31"),
        ("evaluator", ["--shift=-1"], "--shift is -1: it must be from 0 to 31"),
        ("evaluator", ["--wrong", "1"], "--batch-size 300 leaves no two images with true colors"),
        ("evaluator", ["--wrong=-0.1"], "--wrong is -0.1: it must be from 0 to 1"),
        ("evaluator", ["--batch-size", "1"], "--batch-size 1 leaves no two images with true colors"),
        ("validate", ["--images", "1"], "--images is 1: it must be at least 4"),
        ("validate", ["--batch-size", "1"], "--batch-size is 1: it must be at least 2"),
        ("validate", ["--runs", "nowhere"], "nowhere is not a run folder"),
        ("validate", ["--evaluators", "v2.json"], "v2.json is not an evaluator"),
        ("ceiling", ["--epochs", "0"], "--epochs is 0: it must be above 0"),
        ("ceiling", ["--batch-size", "1"], "--batch-size is 1: it must be at least 2"),
        ("ceiling", ["--data", "nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_named(
    command: str, options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([command, "--data", "sample", "--out", str(tmp_path / "out.json"), *options])
    assert message in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["validation.json", "validation.md", "validation.png"])
def test_a_validation_is_not_overwritten(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        main(["validate", "--data", "sample", "--out", str(tmp_path)])
    assert f"already holds {name}" in capsys.readouterr().err
