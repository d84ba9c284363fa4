"""The errors whose messages are meant for the user: command lines print them without a traceback."""

from __future__ import annotations


class InputError(Exception):
    """What the user gave cannot be used; the message is a sentence: what, why, and what to do. Exit code 2."""


class DivergedError(Exception):
    """A loss stopped being a finite number; the message names the step and the last good checkpoint. Exit code 1."""


class LostProcessError(Exception):
    """Another process of the run has ended, so this one cannot continue. Exit code 1."""


class PreemptedError(Exception):
    """A signal asked the run to stop; it wrote a checkpoint and can be resumed. Exit code 75."""


def out_of_memory(error: Exception) -> bool:
    """Tell whether an error means that memory is full; torch's errors have no type that all devices share."""
    reason, _, _ = str(error).partition("\n")
    return isinstance(error, MemoryError) or "out of memory" in reason or "can't allocate memory" in reason


def printable(text: str, limit: int = 2000) -> str:
    """Make text from outside safe to print or render: one line of at most `limit` characters.

    What a terminal would interpret is escaped (line ends, control sequences, changes of the writing direction, broken
    characters of file names), and the middle of a longer text is replaced by "…". Everything that names a file or
    quotes its content passes through here before it is shown.
    """
    escaped = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in _shortened(text, limit)
    )
    return _shortened(escaped, limit)


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"
