"""What is seen of long work with and without a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from colornet import bar
from colornet.bar import Bar


def test_lines_now_and_then_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bar, "INTERVAL", 0.0)
    with Bar(total=3, desc="Decoding", unit="images") as shown:
        for _ in range(3):
            shown.update()
    assert list(Bar(range(2), desc="Sets", unit="set")) == [0, 1]
    with Bar(desc="Tries", unit="try") as shown:
        shown.update(5)
    list(Bar(range(3), desc="Hidden", shown=False))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(", ")[0].partition(" in ")[0] for line in lines] == [
        "Decoding: 33 % of 3 images",
        "Decoding: 67 % of 3 images",
        "Sets: 50 % of 2 set",
        "Tries: 5 try",
    ]
    assert all("left" in line for line in lines[:3])


def test_short_work_shows_nothing_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in Bar(range(100), desc="Short"):
        pass
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", terminal)
    for _ in Bar(range(3), desc="Sets", unit="set"):
        pass
    assert "Sets: 100%|" in terminal.getvalue()
    assert terminal.getvalue().count("\n") == 1


def test_a_program_without_a_console_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert list(Bar(range(3), desc="Sets")) == [0, 1, 2]
