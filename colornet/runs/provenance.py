"""Results that can be traced: which command, code, libraries, machine and day made a file of numbers."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

__all__ = ["provenance"]


def provenance(device: torch.device) -> dict[str, Any]:
    """Say which command, code, libraries and machine are at work, for a file of results."""
    on_gpu = device.type == "cuda"
    return {
        "command": shlex.join([*_program(), *sys.argv[1:]]),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name(device) if on_gpu else f"{device.type}, {torch.get_num_threads()} threads",
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("colornet", "torch", "torchvision", "accelerate")},
        },
    }


def _program() -> list[str]:
    """Name what was started: a module that python ran, or the file of a script."""
    specification = sys.modules["__main__"].__spec__
    if specification is None:
        return [Path(sys.argv[0]).name]
    return ["python", "-m", specification.name.removesuffix(".__main__")]


def _commit() -> str | None:
    """Name the commit of the checkout that this package runs from, with `+` after it if files differ.

    Where the code travels without its repository, $COLORNET_COMMIT says it; None if nothing does.
    """
    if named := os.environ.get("COLORNET_COMMIT"):
        return named
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # not a copy that is installed inside another checkout
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
