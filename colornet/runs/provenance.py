"""The origin of results: which command, code, libraries and machine made a file, and when."""

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

from colornet import __version__


def provenance(device: torch.device) -> dict[str, Any]:
    """Return which command, code, libraries and machine are used, for a file of results."""
    on_gpu = device.type == "cuda"
    module = sys.modules["__main__"].__spec__  # None of a script
    program = ["python", "-m", module.name.removesuffix(".__main__")] if module else [Path(sys.argv[0]).name]
    return {
        "command": shlex.join([*program, *sys.argv[1:]]),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name(device) if on_gpu else f"{device.type}, {torch.get_num_threads()} threads",
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {
            "python": platform.python_version(),
            "colornet": __version__,
            **{name: version(name) for name in ("torch", "torchvision", "accelerate")},
        },
    }


def _commit() -> str | None:
    """Name the commit of this package's checkout, followed by `+` if files differ; None if it is unknown."""
    if named := os.environ.get("COLORNET_COMMIT"):  # of code that was copied without its repository
        return named
    folder = Path(__file__).parent

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # fails for a copy inside another checkout
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None
