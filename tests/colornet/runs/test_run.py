"""What is read from a run folder: complete, in progress, damaged, shared, or of an earlier version."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from colornet.errors import InputError
from colornet.runs.checkpoint import list_checkpoints
from colornet.runs.run import Run
from colornet.training.build import compose_trainer
from tests.conftest import small


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a cGAN of 18 steps, 6 an epoch, whose weights had seen 100 images before."""
    path = tmp_path_factory.mktemp("runs") / "cgan"
    compose_trainer(small("cgan", folder, path)).fit()
    starts = json.loads((path / "provenance.json").read_text())
    starts[0]["init_from"] = {"images": 100}
    (path / "provenance.json").write_text(json.dumps(starts))
    return path


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "copy")


def test_everything_of_a_finished_run(trained: Path, folder: Path) -> None:
    run = Run(trained)
    assert run.config == small("cgan", folder, trained)
    assert (run.step, run.images_before, run.images_seen) == (18, 100, 18 * 8 + 100)
    assert [record["step"] for record in run.validations] == [6, 12, 18]
    assert [point["images"] for point in run.validation_curve] == [148, 196, 244]
    assert run.validation_curve[-1]["psnr"] == run.validations[-1]["validation/psnr"]
    assert run.sha256 == hashlib.sha256((trained / "model.safetensors").read_bytes()).hexdigest()
    assert run.approach == "conditional GAN"


def test_an_incomplete_last_line_is_skipped_and_other_damage_is_named(copy: Path) -> None:
    path = copy / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[-1][:20]]))
    assert Run(copy).records == list(map(json.loads, lines))
    path.write_text("\n".join([lines[0], lines[1][:20], *lines[2:]]))
    with pytest.raises(InputError, match=r"metrics\.jsonl is damaged in line 2: remove the line\."):
        _ = Run(copy).records
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes())
    with pytest.raises(InputError, match=r"metrics\.jsonl is damaged in line 1: remove the line\."):
        _ = Run(copy).records


def test_a_run_with_a_damaged_line_of_its_log_is_resumed(copy: Path, folder: Path) -> None:
    path = copy / "metrics.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], lines[1][:20], *lines[2:]]) + "\n")
    shutil.rmtree(list_checkpoints(copy / "checkpoints")[0])  # something is left to train
    compose_trainer(small("cgan", folder, copy, resume="auto")).fit()
    steps = [json.loads(line)["step"] for line in lines]
    assert [record["step"] for record in Run(copy).records] == [steps[0], *steps[2:]]


STARTS = [
    b"{oops", b"\xff\xfe", b'{"step": 0}', b"[0]", b"[" * 100_000, b'[{"step": "one"}]', b'[{"versions": 3}]',
    b'[{"command": ["rm"]}]', b'[{"init_from": {}}]', b'[{"init_from": {"images": null}}]', b'[{"approach": {}}]',
]  # fmt: skip


@pytest.mark.parametrize("content", STARTS)
def test_a_damaged_origin_is_named(content: bytes, copy: Path) -> None:
    (copy / "provenance.json").write_bytes(content)
    with pytest.raises(InputError, match=r"provenance\.json is damaged: restore it"):
        _ = Run(copy).images_seen


def test_the_step_of_damaged_weights_is_not_known(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"model\.safetensors cannot be loaded: .* --resume auto"):
        _ = Run(copy).step
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"has no model\.safetensors yet"):
        _ = Run(copy).step


def test_a_model_that_was_shared_has_no_logs(copy: Path) -> None:
    for path in copy.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    run = Run(copy)
    assert (run.starts, run.records, run.validation_curve) == (None, [], [])
    assert (run.step, run.images_seen) == (18, 18 * 8)
    assert run.load_generator().noise_channels == 0


@pytest.mark.parametrize(
    ("objective", "approach"), [("reconstruction", "autoencoder"), ("adversarial", "conditional GAN")]
)
def test_an_earlier_version_did_not_record_the_approach(objective: str, approach: str, copy: Path) -> None:
    starts = json.loads((copy / "provenance.json").read_text())
    del starts[0]["approach"]
    (copy / "provenance.json").write_text(json.dumps(starts))
    config = dataclasses.replace(Run(copy).config, objective=objective)
    (copy / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    assert Run(copy).approach == approach


def test_logs_are_read_without_torch(trained: Path) -> None:
    program = "import sys; from pathlib import Path; from colornet.runs.run import Run; run = Run(Path(sys.argv[1])); "
    program += "run.config, run.starts, run.records, run.step; print('torch' in sys.modules)"
    command = [sys.executable, "-c", program, str(trained)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


LINES = [
    "", "{", "null", "3", "[" * 100_000, "{}", '{"step": -1}', '{"step": "1"}', '{"step": true}', '{"step": 1e400}',
    '{"step": 9' + "9" * 400 + "}", '{"step": 1, "loss/x": "low"}', '{"step": 1, "loss/x": [1]}',
]  # fmt: skip


@pytest.mark.parametrize("line", LINES)
def test_lines_that_hold_no_record_are_damage(line: str, copy: Path) -> None:
    path = copy / "metrics.jsonl"
    path.write_text(line + "\n" + path.read_text())
    assert Run(copy).lines[0] is None
    with pytest.raises(InputError, match=r"metrics\.jsonl is damaged in line 1: remove the line\."):
        _ = Run(copy).records


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
@pytest.mark.parametrize(
    "name", ["metrics.jsonl", "provenance.json", "config.json", "model.safetensors", "release.json"]
)
@pytest.mark.parametrize("kind", ["a pipe", "a device", "endless"])
def test_side_files_that_are_none_end_in_a_sentence(name: str, kind: str, copy: Path) -> None:
    """To open a pipe would wait for a writer; to read a device or a sparse file, for ever."""
    (copy / name).unlink(missing_ok=True)
    if kind == "a pipe":
        os.mkfifo(copy / name)
    elif kind == "a device":
        (copy / name).symlink_to("/dev/zero")
    else:
        with (copy / name).open("wb") as file:
            file.truncate(2**40)
    run = Run(copy)
    with pytest.raises(InputError, match=r"not a regular file|has more than|holds no config|has no model|damaged"):
        _ = run.config, run.starts, run.records, run.load_generator(), run.step


def test_any_flipped_bit_of_a_model_is_noticed(copy: Path, trained: Path) -> None:
    path = copy / "model.safetensors"
    content, weights = path.read_bytes(), Run(trained).load_generator().state_dict()
    rng = random.Random(0)
    start = 8 + int.from_bytes(content[:8], "little")
    for place in [*rng.sample(range(start, len(content)), 15), *rng.sample(range(start), 25)]:
        changed = bytearray(content)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        try:
            found = Run(copy).load_generator().state_dict()
        except InputError as error:
            assert "model.safetensors cannot be loaded" in str(error)  # noqa: PT017
            continue
        assert place < start  # the name of the hash: it is missing, as in files of earlier versions
        assert all(torch.equal(value, found[name]) for name, value in weights.items())


def test_a_model_says_what_does_not_fit(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    name = min(tensors)
    for changed, words in (
        ({**tensors, name: tensors[name][None]}, f"{name} has the shape"),
        ({**tensors, "more": tensors[name].clone()}, "the network has no 'more'"),
        ({key: value for key, value in tensors.items() if key != name}, f"it has no '{name}'"),
        ({**tensors, name: tensors[name].int()}, f"{name} holds torch.int32"),
    ):
        save_file(changed, copy / "model.safetensors")
        with pytest.raises(InputError, match=f"model.safetensors cannot be loaded: {re.escape(words)}"):
            Run(copy).load_generator()


def test_a_step_that_is_no_number_is_damage(copy: Path) -> None:
    save_file(load_file(copy / "model.safetensors"), copy / "model.safetensors", {"step": "\x1b[2J"})
    with pytest.raises(InputError, match="is damaged: it says that it was saved after step"):
        _ = Run(copy).step
