"""The exceptions whose messages are meant for the person at the keyboard."""

__all__ = ["DivergedError", "InputError"]


class InputError(Exception):
    """What the user gave cannot be used.

    The message is one sentence that names the thing, says what is wrong with it and what to do. Command lines print it
    without a traceback and exit with code 2.
    """


class DivergedError(Exception):
    """A loss stopped being a finite number; the message names the step and the last good checkpoint.

    Command lines print it without a traceback and exit with code 1: the input was fine, the run was not.
    """
