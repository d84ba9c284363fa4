"""Checkpoints: whole or not there, and never code."""

from __future__ import annotations

import logging
import os
import resource
from pathlib import Path

import pytest
import torch

from colornet.errors import InputError
from colornet.runs.checkpoint import find_checkpoint, list_checkpoints, load_checkpoint, save_checkpoint


def state(value: float) -> dict[str, object]:
    return {"step": 1, "networks": {"generator": {"weight": torch.full((3,), value)}}, "scaler": None}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 7, state(2.0), keep=2)
    loaded = load_checkpoint(path)
    assert torch.equal(loaded["networks"]["generator"]["weight"], torch.full((3,), 2.0))
    assert loaded["step"] == 1
    assert loaded["scaler"] is None


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (5, 90, 100, 1000):
        save_checkpoint(tmp_path, step, state(step), keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["step-00001000", "step-00000100"]
    assert find_checkpoint(tmp_path) == tmp_path / "step-00001000"


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert find_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no manifest", "manifest is text", "no state"])
def test_damaged_checkpoint_is_skipped(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    good = save_checkpoint(tmp_path, 1, state(1.0), keep=3)
    bad = save_checkpoint(tmp_path, 2, state(2.0), keep=3)
    file, manifest = bad / "state.pt", bad / "manifest.json"
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
    with caplog.at_level(logging.WARNING):
        assert find_checkpoint(tmp_path) == good
    assert "step-00000002 is damaged" in caplog.text


def test_a_newer_format_is_no_damage(tmp_path: Path) -> None:
    """To skip it would resume from an older checkpoint, or say that all is lost."""
    save_checkpoint(tmp_path, 1, state(1.0), keep=3)
    manifest = save_checkpoint(tmp_path, 2, state(2.0), keep=3) / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(InputError, match=r"step-00000002 was written by a newer colornet .*: update colornet"):
        find_checkpoint(tmp_path)


def test_all_damaged_is_an_error(tmp_path: Path) -> None:
    for step in (1, 2):
        (save_checkpoint(tmp_path, step, state(1.0), keep=3) / "state.pt").write_bytes(b"")
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
    """As a limit on the size of a file, which stops root, too; torch makes a RuntimeError of it."""
    older = save_checkpoint(tmp_path, 1, state(1.0), keep=1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(tmp_path, 2, {"weight": torch.zeros(100_000)}, keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert find_checkpoint(tmp_path) == older
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    (tmp_path / ".step-00000123.tmp").mkdir()
    (tmp_path / ".step-00000123.tmp" / "state.pt").write_bytes(b"half")
    save_checkpoint(tmp_path, 124, state(1.0), keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000124"]
