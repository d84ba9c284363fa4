"""Reading files that anyone may have written, and showing what they say."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from colornet.errors import printable
from colornet.files import read_bytes, read_json, remove_leftovers, replacing, write_text


@given(text=st.text(st.characters(exclude_categories=[]), max_size=200), limit=st.integers(1, 80))
def test_printable_text_is_one_line_of_at_most_a_limit(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    if text.isprintable() and len(text) <= limit:
        assert shown == text


def test_printable_keeps_both_ends_of_a_long_text() -> None:
    assert printable("begin" + "x" * 10**6 + "end\x1b", 15) == r"beginxx…end\x1b"
    assert printable("0123456789", 5) == "01…89"


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        read_bytes(path, 4)
    with path.open("wb") as file:
        file.truncate(2**40)  # takes no space
    with pytest.raises(OSError, match=r"more than 1,000 bytes"):
        read_bytes(path, 1000)
    with pytest.raises(OSError, match=r"file"):
        read_bytes(path / "none", 4)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither pipes in folders nor device files")
def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    (tmp_path / "zeros").symlink_to("/dev/zero")
    for path in (tmp_path / "pipe", tmp_path / "link", tmp_path / "zeros", tmp_path):
        with pytest.raises(OSError, match="not a regular file"):
            read_bytes(path, 100)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"9" * 10_000, b"\xef\xbb\xbf{}x"])
def test_any_bytes_are_json_or_a_value_error(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"."):
        read_json(tmp_path / "a.json", 1 << 20)


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".json")
    write_text(path, "{}")
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_no_start_removes_the_file_of_a_living_process(tmp_path: Path) -> None:
    """It may see a file that is not locked yet."""
    done = threading.Event()

    def remove() -> None:
        while not done.is_set():
            remove_leftovers(tmp_path)

    thread = threading.Thread(target=remove)
    thread.start()
    try:
        for _ in range(1000):
            with suppress(InterruptedError), replacing(tmp_path / "a.txt") as temporary:
                assert temporary.exists()
                raise InterruptedError  # before the file is synced, which takes milliseconds
    finally:
        done.set()
        thread.join()
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_writer_is_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        (tmp_path / "none").read_text()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_are_removed_unless_their_process_lives(tmp_path: Path) -> None:
    (tmp_path / ".part-0badcaff.png").touch()  # killed before it wrote anything, a moment ago
    (tmp_path / ".part-0badcafe.npy").write_bytes(b"new")
    (tmp_path / ".model.safetensors.part-0badcafe.safetensors").write_bytes(b"of an earlier version")
    (tmp_path / ".hidden").write_bytes(b"of the user")
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole", encoding="utf-8")
        remove_leftovers(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {temporary.name, ".hidden"}
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "whole"
