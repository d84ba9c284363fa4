"""The log of a process: what it says, how it ends, and where it stands when it hangs."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from colornet.training.watchdog import process_log


def hang_here(seconds: float) -> None:
    time.sleep(seconds)


def test_it_holds_what_was_logged_and_the_error_that_ended_it(tmp_path: Path) -> None:
    logger = logging.getLogger("colornet.training.trainer")
    before = list(logging.getLogger("colornet").handlers)

    def fail() -> None:
        logger.info("step %d", 5)
        raise ValueError(7)

    with pytest.raises(ValueError, match="7"), process_log(tmp_path / "logs", 3, 0):
        fail()
    logger.info("afterwards")
    text = (tmp_path / "logs" / "rank-3.log").read_text()
    assert "INFO step 5" in text
    assert "Ended by ValueError" in text
    assert "raise ValueError(7)" in text
    assert "afterwards" not in text
    assert logging.getLogger("colornet").handlers == before


def test_a_restart_adds_to_it(tmp_path: Path) -> None:
    for words in ("first start", "second start"):
        with process_log(tmp_path, 0, 0):
            logging.getLogger("colornet").info(words)
    assert (tmp_path / "rank-0.log").read_text().count(" start") == 2


@pytest.mark.parametrize("rank", [0, 1])
def test_a_hang_shows_where_it_stands(tmp_path: Path, rank: int, capsys: pytest.CaptureFixture[str]) -> None:
    with process_log(tmp_path, rank, 0.2):
        hang_here(0.7)
    text = (tmp_path / f"rank-{rank}.log").read_text()
    assert text.count("No step for 0.2 s.") >= 2
    assert "in hang_here" in text
    assert ("No step was finished for 0.2 s" in capsys.readouterr().err) == (rank == 0)


def test_signs_of_life_keep_it_quiet(tmp_path: Path) -> None:
    with process_log(tmp_path, 1, 0.5) as heartbeat:
        for _ in range(20):
            hang_here(0.05)
            heartbeat()
    time.sleep(0.6)
    assert (tmp_path / "rank-1.log").read_text() == ""


ENDING = """
import ctypes, sys
from pathlib import Path
from colornet.training.watchdog import process_log

with process_log(Path(sys.argv[1]), 0, 0.2, ends=True) as heartbeat:
    for _ in range(20):
        ctypes.CDLL(None).usleep(20_000)
        heartbeat()
    getattr(ctypes, sys.argv[2])(None).sleep(100)
"""


@pytest.mark.parametrize("library", ["CDLL", "PyDLL"])  # the second keeps the interpreter's lock while it sleeps
def test_a_process_that_hangs_can_be_ended_whatever_it_does(library: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDING, str(tmp_path), library]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert ("No step was finished for 0.2 s" in result.stderr) == (library == "CDLL")
    assert 'File "<string>"' in (tmp_path / "rank-0.log").read_text()
