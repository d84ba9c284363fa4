"""The errors that are meant for the person at the keyboard, and how a command line ends on them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["DivergedError", "InputError", "exiting_on_errors"]

_PATIENCE = 3  # seconds


class InputError(Exception):
    """What the user gave cannot be used.

    The message is one sentence that names the thing, says what is wrong with it and what to do. Command lines print it
    without a traceback and exit with code 2.
    """


class DivergedError(Exception):
    """A loss stopped being a finite number; the message names the step and the last good checkpoint.

    Command lines print it without a traceback and exit with code 1: the input was fine, the run was not.
    """


@contextmanager
def exiting_on_errors(*, quiet: bool) -> Iterator[None]:
    """Turn these errors and Ctrl-C into a sentence on stderr and an exit code: 2, 1 and 130.

    `quiet` is for all processes but the first: they come to the same end, without words and a little later, since a
    launcher kills the others as soon as one of them exits.
    """
    try:
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
    except KeyboardInterrupt:
        message, code = "\nInterrupted.", 130
    if quiet:
        time.sleep(_PATIENCE)
    else:
        print(message, file=sys.stderr, flush=True)
    sys.exit(code)
