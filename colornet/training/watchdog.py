"""The log file of each process of a run, with the stacks of all threads where a step hangs."""

from __future__ import annotations

import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_INTERVAL = 1.0  # seconds between two restarts of the timers: steps may be much shorter
_GRACE = 5.0  # seconds from the report of a hang to the end of the process

_logger = logging.getLogger("colornet")


@contextmanager
def process_log(folder: Path, rank: int, patience: float, *, ends: bool = False) -> Iterator[Callable[[], None]]:
    """Write what colornet logs, and the error that ends it, to `folder`/rank-N.log; yield a heartbeat.

    Call the heartbeat after each step. If it is not called for `patience` seconds (0: no limit), the stacks of all
    threads are written to the log, again after each further `patience` seconds, and the first process prints a note on
    stderr. By default that is all: a hang raises no error, and one inside native code that keeps the interpreter's lock
    is not reported. With `ends`, the process ends with exit code 1 a few seconds after its first report, or instead of
    it, whatever it is doing: a launcher can then restart all of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(folder / f"rank-{rank}.log", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = _logger.level
    _logger.addHandler(handler)
    _logger.setLevel(logging.INFO)
    watchdog = _Watchdog(folder, patience, handler, prints=rank == 0, ends=ends)
    try:
        watchdog.heartbeat()
        yield watchdog.heartbeat
    except BaseException as error:
        _logger.info("Ended by %s", type(error).__name__, exc_info=error)
        raise
    finally:
        watchdog.stop()
        _logger.setLevel(level)
        _logger.removeHandler(handler)
        handler.close()


class _LogFile(logging.FileHandler):
    """Skips what a full disk refuses, where logging would print a traceback: the run itself reports a full disk."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802, logging's name
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # closing tries again to write what is left
            super().close()


class _Watchdog:
    """Reports where the process stands unless `heartbeat` is called again in time."""

    def __init__(
        self, folder: Path, patience: float, handler: logging.FileHandler, *, prints: bool, ends: bool
    ) -> None:
        self.folder, self.patience, self.handler, self.prints, self.ends = folder, patience, handler, prints, ends
        self.last_beat = -_INTERVAL
        self.timer: threading.Timer | None = None
        self.generation = 0
        self.reported = False
        self.lock = threading.Lock()

    def heartbeat(self) -> None:
        now = time.monotonic()
        if not self.patience or now - self.last_beat < min(_INTERVAL, self.patience / 4):
            return
        self.stop()
        self.last_beat, self.reported = now, False
        self._wait()
        if self.ends and self.handler.stream is not None:
            # A thread that does not need the interpreter's lock; what it writes may be wrong, but the process ends.
            grace = min(_GRACE, self.patience)
            faulthandler.dump_traceback_later(self.patience + grace, exit=True, file=self.handler.stream)

    def stop(self) -> None:
        with self.lock:
            self.generation += 1  # a report that is being written starts no further timer
            if self.timer is not None:
                self.timer.cancel()
        if self.ends:
            faulthandler.cancel_dump_traceback_later()

    def _wait(self) -> None:
        self.timer = threading.Timer(self.patience, self._report, (self.generation,))
        self.timer.daemon = True
        self.timer.start()

    def _report(self, generation: int) -> None:
        with self.lock:
            if generation != self.generation or self.handler.stream is None:
                return
            # Not dump_traceback_later: it reads the stacks without the interpreter's lock, while other threads change
            # them, and may crash a process that is only slow.
            with suppress(OSError):  # a full disk is for the run itself to report
                print(f"No step for {self.patience:g} s.", file=self.handler.stream, flush=True)
                faulthandler.dump_traceback(file=self.handler.stream)
            if self.prints and not self.reported:
                where = f"No step was finished for {self.patience:g} s: where each process stands is in {self.folder}."
                print(where, file=sys.stderr, flush=True)
            self.reported = True
            self._wait()
