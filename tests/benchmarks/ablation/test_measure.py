"""The measurement of an ablation: its trainings, what is read of them and what they cost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main

SMALL_PLAN: dict[str, Any] = {
    "variants": {
        "half": {"preset": "ae", "factors": {"epochs": 0.5}},
        "cgan": {"preset": "cgan"},
        "warm": {"preset": "cgan", "factors": {"epochs": 0.5}, "init_from": "half"},
        "broken": {"preset": "ae", "options": {"lr": 1e18}},
    },
    "questions": {"Warm start": ["cgan", "warm"], "Rate": ["cgan", "broken"], "Other": ["cgan"]},
}


@pytest.fixture(scope="module")
def study(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("ablation")
    (root / "plan.json").write_text(json.dumps(SMALL_PLAN))
    arguments = ["ablation", "--data", str(folder), "--out", str(root / "out"), "--plan", str(root / "plan.json")]
    arguments += ["--epochs", "2", "--width", "8", "--multipliers", "1", "2", "--blocks", "1", "--image-size", "16"]
    arguments += ["--discriminator-width", "8", "--batch-size", "8", "--warmup-steps", "2", "--cpu", "--jobs", "2"]
    arguments += ["--mixed-precision", "no"]
    main(arguments)
    return root / "out", arguments


def test_every_row_has_its_values_costs_and_origin(study: tuple[Path, list[str]]) -> None:
    out, _ = study
    record = json.loads((out / "ablation.json").read_text())
    assert {"command", "commit", "versions", "device", "data", "date"} <= record.keys()
    assert record["runs"].keys() == {"half-0", "cgan-0", "warm-0"}
    assert record["failures"].keys() == {"broken-0"}
    assert "not finite" in record["failures"]["broken-0"]
    images = {name: (run["images_seen"], run["images_seen_itself"]) for name, run in record["runs"].items()}
    assert images == {"half-0": (48, 48), "cgan-0": (96, 96), "warm-0": (96, 48)}
    warm, half, cgan = (record["runs"][f"{name}-0"] for name in ("warm", "half", "cgan"))
    assert half["training_flops"] < warm["training_flops"] < cgan["training_flops"]
    assert warm["training_flops"] == pytest.approx(half["training_flops"] + cgan["training_flops"] / 2)
    assert warm["training_seconds"] > warm["seconds"] > 0
    assert record["floors"]["gray"]["e"] == 1
    assert {"sanity check, gradient", "data set's mean ab"} < record["floors"].keys()
    *_, trained, logged = map(json.loads, (out / "runs/cgan-0/metrics.jsonl").read_text().splitlines())
    assert cgan["values"]["fd_cifar10_v2_dev"] == logged["validation/fd_cifar10_v2_dev"]
    assert cgan["values"]["e"] == logged["validation/fd_cifar10_v2_dev"] / record["floors"]["gray"]["fd_cifar10_v2_dev"]
    assert cgan["curve"] == {"images": [96], "loss/reconstruction": [trained["loss/reconstruction"]]}
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert str(out) not in json.dumps([run["config"] for run in record["runs"].values()])


def test_images_may_move_but_not_change(
    study: tuple[Path, list[str]], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, arguments = study
    moved = shutil.copytree(folder, tmp_path / folder.name)
    arguments = [*arguments, "--no-train", "--data", str(moved)]  # the last one counts
    main(arguments)
    before = (out / "ablation.json").read_bytes()
    next(path for path in sorted(moved.rglob("*.png"))).unlink()
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "was trained on other images than those of --data" in capsys.readouterr().err
    assert (out / "ablation.json").read_bytes() == before


def test_finished_runs_are_read_and_not_trained_again(
    study: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    out, arguments = study
    main([*arguments, "--no-train"])
    shown = (out / "ablation.md").read_text().splitlines()
    assert "broken (failed)" in capsys.readouterr().out
    main([*arguments, "--only", "warm"])
    # The first line has the time of the measurement.
    assert (out / "ablation.md").read_text().splitlines()[1:] == shown[1:]
    names = [line.split("|")[2].strip(" *") for line in shown if line.startswith("|")]
    assert [name for name in names if name in ("cgan", "warm", "broken (failed)")] == [
        "cgan", "warm", "cgan", "broken (failed)",
    ]  # fmt: skip
    for run in ("cgan-0", "warm-0", "half-0"):
        assert len(json.loads((out / "runs" / run / "provenance.json").read_text())) == 1
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--width", "16"])
    assert "holds a run with another configuration (--width was 8 and is 16)" in capsys.readouterr().err


def test_a_signal_stops_the_trainings_with_a_checkpoint(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "out/runs/ae-0"
    command = [sys.executable, "-m", "benchmarks", "ablation", "--data", str(folder), "--out", str(tmp_path / "out")]
    command += ["--only", "ae", "--epochs", "100000", "--width", "8", "--blocks", "1", "--image-size", "16", "--cpu"]
    with subprocess.Popen([*command, "--batch-size", "8"], stderr=subprocess.PIPE) as process:
        for _ in range(600):
            if (run / "metrics.jsonl").is_file() and (run / "metrics.jsonl").read_text():
                break
            time.sleep(0.1)
        process.terminate()
        assert process.wait(60) == 130
    assert (run / "preempted").is_file()
