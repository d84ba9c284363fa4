"""The errors that are meant for the person at the keyboard, and how a command line ends on them."""

from __future__ import annotations

import errno
import io
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "DivergedError",
    "InputError",
    "LostProcessError",
    "PreemptedError",
    "exiting_on_errors",
    "out_of_memory",
    "printable",
]

_PATIENCE = 3  # seconds
_TEMPORARY_FAILURE = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_UNUSABLE_PATH = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR}


class InputError(Exception):
    """What the user gave cannot be used.

    The message is one sentence that names the thing, says what is wrong with it and what to do. Command lines print it
    without a traceback and exit with code 2.
    """


class DivergedError(Exception):
    """A loss stopped being a finite number; the message names the step and the last good checkpoint.

    Command lines print it without a traceback and exit with code 1: the input was fine, the run was not.
    """


class LostProcessError(Exception):
    """Another process of the run has ended, so this one cannot go on; the message says from where a restart would.

    Every process that is left prints it, since the lost one may have been the first, and exits with code 1.
    """


class PreemptedError(Exception):
    """A signal asked the run to stop; it wrote a checkpoint and can go on later. Command lines exit with code 75."""


@contextmanager
def exiting_on_errors(*, quiet: bool) -> Iterator[None]:
    """Turn these errors, those of paths, disk and memory, and Ctrl-C into a sentence on stderr and an exit code.

    2: the input, or a disk or memory that takes no more; 1: a run that diverged or lost a process; 75: preempted; 130:
    Ctrl-C. `quiet` is for all processes but the first: they come to the same end, without words and a little later,
    since a launcher kills the others as soon as one of them exits.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # in a file or pipe, Windows' code page knows no Δ
            stream.reconfigure(errors="backslashreplace")
    try:
        with _leaving_full_disks_to_the_main_thread():
            yield
        return
    except SystemExit:  # of the parser of options, which has spoken
        if quiet:
            time.sleep(_PATIENCE)
        raise
    except InputError as error:
        message, code = f"error: {error}", 2
    except DivergedError as error:
        message, code = f"error: {error}", 1
    except LostProcessError as error:
        message, code, quiet = f"error: {error}", 1, False
    except PreemptedError as error:
        message, code = str(error), _TEMPORARY_FAILURE
    except OSError as error:
        if error.errno not in _FULL_DISK | _UNUSABLE_PATH:
            raise
        verb = "written" if error.errno in _FULL_DISK else "used"
        message, code = f"error: {error.filename or 'A file'} cannot be {verb}: {error.strerror}.", 2
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        reason = (str(error).splitlines() or ["nothing is left"])[0]
        message, code = f"error: Memory is not enough ({reason}): choose smaller images, batches or networks.", 2
        quiet = False  # one device may be full, and the others not
    except KeyboardInterrupt:
        print(file=sys.stderr)  # ends the line on which the terminal shows ^C
        message, code = "Interrupted.", 130
    if quiet:
        time.sleep(_PATIENCE)
    else:
        print(printable(message), file=sys.stderr, flush=True)
    sys.exit(code)


@contextmanager
def _leaving_full_disks_to_the_main_thread() -> Iterator[None]:
    """Print no traceback where TensorBoard's thread finds the disk full: its next call raises the same error again."""
    before = threading.excepthook

    def speak(arguments: threading.ExceptHookArgs) -> None:
        if not (isinstance(arguments.exc_value, OSError) and arguments.exc_value.errno in _FULL_DISK):
            before(arguments)

    threading.excepthook = speak
    try:
        yield
    finally:
        threading.excepthook = before


def out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that memory is full; torch's have no type that is common to all devices."""
    reason = (str(error).splitlines() or [""])[0]
    return isinstance(error, MemoryError) or "out of memory" in reason or "can't allocate memory" in reason


def printable(text: str) -> str:
    """Escape what a terminal would not show but obey: line ends, control sequences, broken characters of file names."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
