"""Run a command line: parse its options, and turn errors into one sentence on stderr and an exit code."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import errno
import io
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar, cast

import tyro

from colornet.errors import DivergedError, InputError, LostProcessError, PreemptedError, out_of_memory, printable
from colornet.files import expanded

_Options = TypeVar("_Options")

_PATIENCE = 3  # seconds
_CLOSED_PIPE = 128 + 13  # what a shell reports of a program that SIGPIPE ended
_TEMPORARY_FAILURE = 75  # EX_TEMPFAIL of sysexits.h: the same command may succeed later
_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_UNUSABLE_PATH = {errno.ENAMETOOLONG, errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR}


def run_command(
    options: type[_Options],
    work: Callable[[_Options], None],
    arguments: Sequence[str] | None,
    *,
    prog: str,
    description: str | None,
    quiet: bool = False,
) -> None:
    """Parse the command line into a dataclass of options and do the work, which imports torch only after its checks."""
    with exiting_on_errors(quiet=quiet):
        work(parse(options, arguments, prog=prog, description=description, quiet=quiet))


def choose_command(
    parser: argparse.ArgumentParser, commands: Mapping[str, str], arguments: Sequence[str] | None, noun: str = "command"
) -> tuple[str, list[str]]:
    """Return the command that a command line names first and what follows it; mistakes exit with code 2.

    `commands` has what is said of each, and `noun` is what they are called; a mistyped one is answered with its near
    miss.
    """
    added = parser.add_subparsers(dest="command", required=True, metavar=noun.upper())
    for name, help_text in commands.items():
        added.add_parser(name, help=help_text, add_help=False)
    words = sys.argv[1:] if arguments is None else [*arguments]
    if words and not words[0].startswith("-") and words[0] not in commands:
        near = difflib.get_close_matches(words[0], commands, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(commands)}."
        parser.error(f"there is no {noun} {printable(words[0], 100)!r}: {advice}")
    chosen, rest = parser.parse_known_args(words)
    return chosen.command, rest


def parse(
    options: type[_Options], arguments: Sequence[str] | None, *, prog: str, description: str | None, quiet: bool
) -> _Options:
    """Parse a command line into a dataclass of options; mistakes exit with code 2."""
    parsed = tyro.cli(options, args=arguments, prog=prog, description=description, console_outputs=not quiet)
    return expand_home(parsed)


def expand_home(options: _Options) -> _Options:
    """Put the home folder in place of `~` in every option, as shells do not within `--option=~/folder`."""
    values = {field.name: getattr(options, field.name) for field in dataclasses.fields(cast(Any, options))}
    return dataclasses.replace(cast(Any, options), **{name: _expand(value) for name, value in values.items()})


def _expand(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_expand, value))
    if isinstance(value, (str, Path)) and str(value).startswith("~"):
        return type(value)(expanded(value))
    return value


@contextmanager
def exiting_on_errors(*, quiet: bool) -> Iterator[None]:
    """Turn the errors of `colornet.errors`, those of paths, disk and memory, and Ctrl-C into a sentence on stderr.

    The exit codes are 2 for the input and for a full disk or memory, 1 for a run that diverged or lost a process, 75
    for a preempted one, 130 for Ctrl-C, and 141 without a message where nobody reads the output any more, as in
    `… | head`. `quiet` is for all processes but the first: they exit alike, without a message and a little later, since
    a launcher kills the others as soon as one of them exits.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # in a file or pipe, Windows' code page has no Δ
            stream.reconfigure(errors="backslashreplace")
    try:
        with _silent_event_writer():
            yield
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a closed pipe is expected
        return
    except SystemExit:  # of the option parser, which has printed its message
        if quiet:
            time.sleep(_PATIENCE)
        raise
    except (InputError, DivergedError, LostProcessError) as error:
        message, code = f"error: {error}", 2 if isinstance(error, InputError) else 1
        quiet = quiet and not isinstance(error, LostProcessError)  # the lost one may be the only one that speaks
    except PreemptedError as error:
        message, code = str(error), _TEMPORARY_FAILURE
    except BrokenPipeError:
        if not _discard_unread_output():
            raise
        sys.exit(_CLOSED_PIPE)
    except OSError as error:
        if error.errno not in _FULL_DISK | _UNUSABLE_PATH:
            raise
        verb = "written" if error.errno in _FULL_DISK else "used"
        what = error.filename or "A file, or what is printed,"
        message, code = f"error: {what} cannot be {verb}: {error.strerror}.", 2
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        reason = str(error).partition("\n")[0] or "nothing is left"
        message, code = f"error: Memory is not enough ({reason}): choose smaller images, batches or networks.", 2
        quiet = False  # one device may be full, and the others not
    except KeyboardInterrupt:
        print(file=sys.stderr)  # ends the line on which the terminal shows ^C
        message, code = "Interrupted.", 130
    if quiet:
        time.sleep(_PATIENCE)
    else:
        with suppress(OSError):  # of a pipe or terminal that is closed: the exit code still tells
            print(printable(message), file=sys.stderr, flush=True)
    _discard_unread_output()
    sys.exit(code)


def _discard_unread_output() -> bool:
    """Send what is printed from now on nowhere where nobody reads it any more; return whether that is so of a stream.

    Otherwise the interpreter would fail once more when it exits, as it writes what is left.
    """
    unread = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and _is_unread(stream)]
    for stream in unread:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(unread)


def _is_unread(stream: TextIO) -> bool:
    """Tell whether a stream is a pipe whose reader has gone, or a terminal that is closed."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), select.POLLOUT)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except (OSError, ValueError, AttributeError):  # not a file, closed, or a system without poll
        return False


@contextmanager
def _silent_event_writer() -> Iterator[None]:
    """Print no traceback if TensorBoard's thread cannot write: its next call raises the same error again."""
    before = threading.excepthook

    def hook(arguments: threading.ExceptHookArgs) -> None:
        if not (isinstance(arguments.exc_value, OSError) and type(arguments.thread).__name__ == "_AsyncWriterThread"):
            before(arguments)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
