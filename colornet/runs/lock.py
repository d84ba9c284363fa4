"""One owner of a run folder at a time: which configurations may use it, and the lock that its owner holds."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from colornet.config import TrainConfig
from colornet.errors import InputError, printable
from colornet.runs.saved_config import differences, load_config

if sys.platform != "win32":
    import fcntl

LOCK = ".lock"
_MOST = 10_000  # characters that are read of it
_TAKEN = {errno.EACCES, errno.EAGAIN}
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}

logger = logging.getLogger(__name__)


def check_run_dir(config: TrainConfig) -> None:
    """Raise `InputError` unless a run with this configuration may be started or resumed in its folder."""
    run_dir = Path(config.run_dir)
    if not run_dir.exists():
        parent = next(folder for folder in run_dir.absolute().parents if folder.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise InputError(f"--run-dir {run_dir} cannot be made in {parent}: choose a folder that you may write to.")
    elif not run_dir.is_dir():
        raise InputError(f"--run-dir {run_dir} is a file: choose a folder.")
    elif any(path.name != LOCK for path in run_dir.iterdir()):
        if config.resume == "never":
            advice = "resume its run with --resume auto, or choose another folder"
            raise InputError(f"--run-dir {run_dir} is not empty: {advice}.")
        saved = load_config(run_dir, resuming=True)
        if changed := "; ".join(differences(saved, config)):
            advice = "use its values to resume it, or choose another --run-dir"
            raise InputError(f"{run_dir} holds a run with another configuration ({changed}): {advice}.")


@contextmanager
def locked(config: TrainConfig) -> Iterator[None]:
    """Own the run folder of a configuration; raise `InputError` if another process does, or if it holds another run.

    The lock is one of POSIX: it belongs to this process and ends with it, however it ends, and holds between machines
    where their file system supports such locks. Where it does not, a warning says so. The folder is made if needed, and
    checked again: what owned it when the options were checked may have ended since.
    """
    run_dir = Path(config.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / LOCK).open("a+", encoding="utf-8") as file:
        if sys.platform != "win32":
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno in _TAKEN:
                    advice = "wait until it ends, stop it, or choose another --run-dir"
                    raise InputError(f"{run_dir} is in use by {_owner(file)}: {advice}.") from None
                if error.errno not in _UNSUPPORTED:
                    raise
                logger.warning(
                    "%s cannot be locked (%s): start no second run in it.", printable(str(run_dir)), error.strerror
                )
        check_run_dir(config)
        file.truncate(0)
        file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}) + "\n")
        file.flush()
        yield


def _owner(file: TextIO) -> str:
    """Name the process that wrote itself into a lock file."""
    file.seek(0)
    try:
        owner = json.loads(file.read(_MOST))
        return f"process {int(owner['pid'])} on {owner['host']}"
    except (ValueError, TypeError, KeyError):
        return "another process"
