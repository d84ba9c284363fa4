"""Whether fast steps agree with plain ones: on a CPU, all variants but compiled ones, which system tests compare."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.agreement.measure import difference
from benchmarks.agreement.report import passed, summarize
from benchmarks.core.record import Record
from colornet.training import whole_step
from tests.benchmarks.commands import refused, run_command

TINY = ["--presets", "ae", "cgan", "--image-size", "16", "--width", "8", "--blocks", "1", "--batch-size", "8", "--cpu"]


@pytest.fixture(scope="module")
def record(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    out = tmp_path_factory.mktemp("agreement") / "record.json"
    return run_command(out, "agreement", *TINY, "--variants", "bf16", "fp32 whole step", "--data", str(folder))


def test_every_variant_agrees_but_for_its_rounding(record: Record) -> None:
    assert [(row["preset"], row["variant"]) for row in record["rows"]] == [
        (preset, variant) for preset in ("ae", "cgan") for variant in ("bf16", "fp32 whole step")
    ]
    for row in record["rows"]:
        first, *_ = row["differences"]
        assert (first["largest"] > 1e-4) == (row["variant"] == "bf16")
        assert len(row["differences"]) == 3
    assert passed(record)
    assert summarize(record).startswith("All 4 variants agree")


def test_a_step_that_does_something_else_fails(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images that are not copied into the memory of the recorded step."""
    fill = whole_step.WholeStep.fill

    def forgetful(self: whole_step.WholeStep, microbatches: list[torch.Tensor], *rest: object) -> None:
        fill(self, [torch.zeros_like(part) for part in microbatches], *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(whole_step.WholeStep, "fill", forgetful)
    options = [*TINY[:1], "ae", *TINY[3:], "--variants", "fp32 whole step", "--steps", "1", "--data", str(folder)]
    with pytest.raises(SystemExit, match="1"):
        run_command(tmp_path / "record.json", "agreement", *options)
    assert "ae, fp32 whole step: differs from plain fp32 steps" in capsys.readouterr().out


def test_what_is_not_a_number_is_far_away() -> None:
    assert difference({"loss/a": float("nan")}, {"loss/a": 1.0}) == {"largest": 1e9, "of": "loss/a"}
    assert difference({"loss/a": 1.0, "loss/b": 2.2}, {"loss/a": 1.0, "loss/b": 2.0})["of"] == "loss/b"


def test_bad_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--presets is 'ea'" in refused(capsys, "agreement", "--presets", "ea")
    assert "--steps is 0" in refused(capsys, "agreement", "--steps", "0")
