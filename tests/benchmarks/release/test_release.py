"""From finished runs to released models, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from benchmarks.__main__ import main
from benchmarks.release.package import TOLERANCE
from colornet import train
from colornet.errors import InputError
from colornet.inference.colorizer import Colorizer
from colornet.runs import pretrained as released
from colornet.runs.saved_config import load_config
from tests.images import photos


@pytest.fixture(scope="module")
def work(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release ae and cgan into runs/weights, as launch/release_weights.sh does; 54 images for training, 2 steps."""
    work = tmp_path_factory.mktemp("release")
    data, runs = shutil.copytree(folder, work / "cifar10-jpeg"), work / "runs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLORNET_DATA", str(work / "cache"))
        for preset in ("ae", "cgan"):
            size = ["--data", str(data), "--width", "8", "--discriminator-width", "8", "--blocks", "1"]
            how = ["--batch-size", "27", "--epochs", "1", "--mixed-precision", "no", "--cpu"]
            # What a run notes as its command.
            patch.setattr(sys, "argv", ["train", preset, *size, *how, "--run-dir", str(runs / preset)])
            train.main(sys.argv[1:])
        main(["quality", *(str(runs / name) for name in ("ae", "cgan")), "--out", str(runs / "quality"), "--cpu"])
        for name in ("ae", "cgan"):
            out = ["--quality", str(runs / "quality/quality.json"), "--out", str(runs / "weights" / name)]
            main(["release", str(runs / name), "--name", name, "--data", str(data), *out])
    return work


@pytest.fixture
def weights(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a copy of the released models where names are looked up."""
    copy = shutil.copytree(work / "runs/weights", tmp_path / "weights")
    monkeypatch.setattr(released, "WEIGHTS", copy)
    return copy


def test_a_released_model_says_what_it_is(work: Path) -> None:
    for name in ("ae", "cgan"):
        model = work / "runs/weights" / name
        assert {path.name for path in model.iterdir()} == {
            "README.md", "config.json", "model.safetensors", "provenance.json", "release.json",
        }  # fmt: skip
        for path in model.iterdir():
            assert str(work).encode() not in path.read_bytes(), path
            assert path.stat().st_mode & 0o444 == 0o444, path
        config, record = load_config(model), json.loads((model / "release.json").read_text())
        assert (config.data, config.run_dir, config.cache_dir) == ("cifar10-jpeg", name, None)
        assert record["images_seen"] == 54
        assert record["bytes"] == (model / "model.safetensors").stat().st_size
        assert {"command", "commit", "date", "versions"} <= record.keys()
        assert {tensor.dtype for tensor in load_file(model / "model.safetensors").values()} == {torch.float16}

        rows = json.loads((work / "runs/quality/quality.json").read_text())["rows"]
        (row,) = (row for row in rows if row["name"] == name)
        card = (model / "README.md").read_text()
        (start,) = json.loads((model / "provenance.json").read_text())
        for words in (
            f'Colorizer.load("{name}")',
            "a JPEG re-encoding of CIFAR-10",
            "54 images; the network was shown 54, counting repetitions.",
            f"| CIEDE2000 | {row['values']['ciede2000']['members'][0]:.2f} |",
            f"| mean \\|ΔCF\\| | {row['values']['delta_cf_image']['members'][0]:.1f} |",
            "21 test images",
            "guesses, not evidence",
            record["sha256"],
            f"- step 0: `{start['command']}`, commit {start['commit'] or 'unknown'}",
        ):
            assert words in card
    assert " cgan --data cifar10-jpeg --width 8" in card


def test_images_before_a_warm_start_are_counted(work: Path, tmp_path: Path) -> None:
    run = tmp_path / "warm"
    data = str(work / "cifar10-jpeg")
    size = ["--data", data, "--width", "8", "--blocks", "1", "--batch-size", "27", "--epochs", "1"]
    how = ["--mixed-precision", "no", "--cpu"]
    train.main(["ae", *size, *how, "--run-dir", str(run), "--init-from", str(work / "runs/ae")])
    out = tmp_path / "released"
    main(["release", str(run), "--name", "ae", "--data", str(work / "cifar10-jpeg"), "--out", str(out)])
    assert load_config(out).init_from == "ae"
    assert json.loads((out / "release.json").read_text())["images_seen"] == 108
    card = (out / "README.md").read_text()
    assert "was shown 108, counting repetitions, 54 of them as `ae`, with whose weights it began" in card


def test_a_released_model_colors_as_its_run_does(work: Path, weights: Path) -> None:
    images = photos()
    for name in ("ae", "cgan"):
        run = Colorizer.load(work / "runs" / name, "cpu")
        difference = Colorizer.load(name, "cpu").colorize(images).int() - run.colorize(images).int()
        assert difference.abs().max() <= TOLERANCE


def test_weights_that_are_not_those_described_are_refused(weights: Path) -> None:
    path = weights / "ae/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"is not the file that release\.json describes: install colornet again\."):
        Colorizer.load("ae")
    (weights / "ae/release.json").write_text("[]")
    with pytest.raises(InputError, match=r"release\.json is damaged"):
        Colorizer.load("ae")
    (weights / "ae/release.json").unlink()  # as a run is
    Colorizer.load("ae")


def refused(capsys: pytest.CaptureFixture[str], out: Path, *arguments: object) -> str:
    before = sorted(out.parent.iterdir())
    with pytest.raises(SystemExit) as caught:
        main(["release", *map(str, arguments), "--name", "ae", "--out", str(out)])
    assert caught.value.code == 2
    assert sorted(out.parent.iterdir()) == before
    return capsys.readouterr().err


def test_what_cannot_be_released(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = work / "runs/ae", tmp_path / "out/ae"
    out.parent.mkdir()
    quality = work / "runs/quality/quality.json"

    unfinished = shutil.copytree(run, tmp_path / "unfinished")
    config = dataclasses.replace(load_config(run), epochs=3)
    (unfinished / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    assert "is at step 2 of 6: finish it first, with --resume auto." in refused(capsys, out, unfinished)

    assert "has no provenance.json" in refused(
        capsys, out, shutil.copytree(run, tmp_path / "bare", ignore=shutil.ignore_patterns("prov*"))
    )
    assert "are not those that" in refused(capsys, out, run, "--data", "sample")
    assert "There is no file" in refused(capsys, out, run, "--quality", tmp_path / "none.json")
    assert "is not a quality.json" in refused(capsys, out, run, "--quality", run / "config.json")
    other = shutil.copytree(run, tmp_path / "other")
    starts = json.loads((run / "provenance.json").read_text())
    (other / "provenance.json").write_text(json.dumps([{**starts[0], "date": "another day"}]))
    assert "as it is now: measure it again" in refused(capsys, out, other, "--quality", quality)

    out.mkdir()
    (out / "mine").write_text("mine")
    assert "exists already" in refused(capsys, out, run)
    assert [path.name for path in out.iterdir()] == ["mine"]


def test_weights_that_half_precision_cannot_hold_are_refused(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(work / "runs/ae", tmp_path / "run")
    with safe_open(run / "model.safetensors", "pt") as file:
        metadata = file.metadata()
    state = load_file(run / "model.safetensors")
    large = {name: value * 1e8 if name.startswith("head") else value for name, value in state.items()}
    save_file(large, run / "model.safetensors", {"step": metadata["step"]})
    (tmp_path / "out").mkdir()
    assert "At half precision" in refused(capsys, tmp_path / "out/ae", run)
