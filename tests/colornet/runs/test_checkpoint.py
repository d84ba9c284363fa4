"""Checkpoints: whole or not there, and never code."""

from __future__ import annotations

import json
import logging
import os
import resource
from pathlib import Path

import pytest
import torch

from colornet.errors import InputError
from colornet.runs.checkpoint import State, find_checkpoint, list_checkpoints, load_checkpoint, save_checkpoint


def state(value: float) -> State:
    return State({"step": 1, "data": "", "scaler": None}, {"networks/generator/weight": torch.full((3,), value)})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 7, state(2.0), keep=2)
    loaded = load_checkpoint(path)
    assert loaded.tensors.keys() == state(2.0).tensors.keys()
    assert torch.equal(loaded.tensors["networks/generator/weight"], torch.full((3,), 2.0))
    assert loaded.values == state(2.0).values


def test_equal_states_make_equal_files(tmp_path: Path) -> None:
    """Whatever the order of their parts, and how tensors lie in memory."""
    image = torch.rand(2, 3, 4, 5)
    parts = {"a": image, "b": torch.tensor(3), "c": torch.rand(3).half(), "d": torch.zeros(()).expand(2, 2)}
    others = {name: parts[name].clone() for name in reversed(parts)} | {
        "a": image.to(memory_format=torch.channels_last)
    }
    for name, tensors in (("first", parts), ("second", others)):
        save_checkpoint(tmp_path / name, 1, State({"step": 1}, tensors), keep=1)
    first, second = (
        {f.name: f.read_bytes() for f in (tmp_path / n / "step-00000001").iterdir()} for n in ("first", "second")
    )
    assert first == second


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (5, 90, 100, 1000):
        save_checkpoint(tmp_path, step, state(step), keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00001000", "step-00000100"]
    assert find_checkpoint(tmp_path) == tmp_path / "step-00001000"


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "no manifest", "manifest is text", "no state", "a pipe"])
def test_damaged_checkpoint_is_skipped(
    damage: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = save_checkpoint(tmp_path, 1, state(1.0), keep=3)
    bad = save_checkpoint(tmp_path, 2, state(2.0), keep=3)
    file, manifest = bad / name, bad / "manifest.json"
    if damage == "truncated":
        os.truncate(file, file.stat().st_size - 10)
    elif damage == "flipped":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif damage == "no manifest":
        manifest.unlink()
    elif damage == "manifest is text":
        manifest.write_text("[1, 2")
    else:
        file.unlink()
        if damage == "a pipe":  # to open it would wait for somebody who writes
            os.mkfifo(file)
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path) == good
    assert "step-00000002 is damaged" in caplog.text


def test_a_newer_format_is_no_damage(tmp_path: Path) -> None:
    """To skip it would resume from an older checkpoint, or say that all is lost."""
    save_checkpoint(tmp_path, 1, state(1.0), keep=3)
    manifest = save_checkpoint(tmp_path, 2, state(2.0), keep=3) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 2', '"format": 3'))
    with pytest.raises(InputError, match=r"step-00000002 was written by a newer colornet .*: update colornet"):
        find_checkpoint(tmp_path)


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    for step in (1, 2):
        (save_checkpoint(tmp_path, step, state(1.0), keep=3) / "state.json").write_bytes(b"")
    with pytest.raises(InputError, match=r"All 2 checkpoints in .* are damaged"):
        find_checkpoint(tmp_path)


def test_a_crash_while_writing_leaves_the_older_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = save_checkpoint(tmp_path, 1, state(1.0), keep=1)

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", crash)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(tmp_path, 2, state(2.0), keep=1)
    assert find_checkpoint(tmp_path) == older
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_full_disk_is_an_os_error_and_leaves_the_older_one(tmp_path: Path) -> None:
    """As a limit on the size of a file, which stops root, too."""
    older = save_checkpoint(tmp_path, 1, state(1.0), keep=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(tmp_path, 2, State({}, {"weight": torch.zeros(100_000)}), keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert find_checkpoint(tmp_path) == older
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-00000123.tmp").mkdir()
    (tmp_path / ".step-00000123.tmp" / "state.json").write_bytes(b"half")
    save_checkpoint(tmp_path, 124, state(1.0), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000124"]


@pytest.mark.parametrize("file", ["manifest.json", "state.safetensors", "state.json"])
def test_files_that_are_too_large_are_not_read(file: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A sparse file takes no space on the disk; to read it would take minutes or all memory."""
    good = save_checkpoint(tmp_path, 1, state(1.0), keep=3)
    bad = save_checkpoint(tmp_path, 2, state(2.0), keep=3)
    os.truncate(bad / file, 2**40)
    if file != "manifest.json":
        manifest = json.loads((bad / "manifest.json").read_text())
        manifest["files"][file]["bytes"] = 2**40
        (bad / "manifest.json").write_text(json.dumps(manifest))
    assert find_checkpoint(tmp_path, 10**6) == good
    assert f"{file} cannot be read: it has more than" in caplog.text


def test_a_checkpoint_under_another_name_is_damaged(tmp_path: Path) -> None:
    good = save_checkpoint(tmp_path, 1, state(1.0), keep=3)
    save_checkpoint(tmp_path, 2, state(2.0), keep=3).rename(tmp_path / "step-00000009")
    assert find_checkpoint(tmp_path) == good


def test_an_old_checkpoint_that_cannot_be_removed_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    older = save_checkpoint(tmp_path / "kept", 1, state(1.0), keep=1)
    (tmp_path / "step-00000001").symlink_to(older)  # rmtree refuses links, of root, too
    new = save_checkpoint(tmp_path, 2, state(2.0), keep=1)
    assert find_checkpoint(tmp_path) == new
    assert "step-00000001 cannot be removed: " in caplog.text


def test_only_older_checkpoints_are_removed(tmp_path: Path) -> None:
    """Not what is no checkpoint; and a newer one, damaged, must not crowd out the one just written."""
    notes = tmp_path / "step-by-step"
    notes.mkdir(parents=True)
    (save_checkpoint(tmp_path, 9, state(1.0), keep=1) / "state.json").write_bytes(b"")
    new = save_checkpoint(tmp_path, 5, state(2.0), keep=1)
    assert find_checkpoint(tmp_path) == new
    assert notes.is_dir()
