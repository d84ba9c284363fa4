"""What each process of a run writes for itself: a log file, and in it the stacks of a step that hangs."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["process_log"]

_SELDOM = 1.0  # seconds between two windings of the clock: steps may be much shorter

_logger = logging.getLogger("colornet")


@contextmanager
def process_log(folder: Path, rank: int, patience: float) -> Iterator[Callable[[], None]]:
    """Write what colornet logs, and the error that ends it, to `folder`/rank-N.log; hand out a sign of life.

    The function handed out is to be called after each step. Once it was not for `patience` seconds (0: endless), the
    stacks of all threads are written to the log, again after each further time, and the first process says so on
    stderr. A hang is no error here: a process that waits for a lost one is ended by its launcher or by a time-out.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(folder / f"rank-{rank}.log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = _logger.level
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    clock = _Clock(folder, patience, handler, speaks=rank == 0)
    try:
        clock.wind()
        yield clock.wind
    except BaseException as error:
        _logger.info("Ended by %s", type(error).__name__, exc_info=error)
        raise
    finally:
        clock.stop()
        _logger.setLevel(level)
        _logger.removeHandler(handler)
        handler.close()


class _LogFile(logging.FileHandler):
    """Leaves out what a full disk does not take, where logging would print a traceback: the run itself says it."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # what could not be written is tried once more
            super().close()


class _Clock:
    """Goes off unless it is wound again in time."""

    def __init__(self, folder: Path, patience: float, handler: logging.FileHandler, *, speaks: bool) -> None:
        self.folder, self.patience, self.handler, self.speaks = folder, patience, handler, speaks
        self.wound = -_SELDOM
        self.timer: threading.Timer | None = None

    def wind(self) -> None:
        now = time.monotonic()
        if not self.patience or now - self.wound < min(_SELDOM, self.patience / 4):
            return
        self.stop()
        self.wound = now
        assert self.handler.stream is not None  # it was opened with the handler
        # faulthandler needs no lock of Python's, which what hangs may hold.
        faulthandler.dump_traceback_later(self.patience, repeat=True, file=self.handler.stream)
        if self.speaks:
            self.timer = threading.Timer(self.patience, self.speak)
            self.timer.daemon = True
            self.timer.start()

    def speak(self) -> None:
        where = f"No step was finished for {self.patience:g} s: where each process stands is in {self.folder}."
        print(where, file=sys.stderr, flush=True)

    def stop(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self.timer is not None:
            self.timer.cancel()
