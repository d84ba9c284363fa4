"""Results that can be traced: which command, code, libraries, machine and day made a file of numbers."""

from __future__ import annotations

import datetime
import json
import math
import os
import platform
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from colornet.files import replacing

__all__ = ["finite_or_none", "images_before", "provenance", "read_provenance", "write_json"]


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


def read_provenance(run_dir: Path) -> list[dict[str, Any]] | None:
    """Read what a run says of its own origin, a record a start; None where only its model was passed on."""
    path = run_dir / "provenance.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def images_before(run_dir: Path) -> int:
    """Count the images that the weights of a run had seen before its first step: those of its warm start, or none."""
    starts = read_provenance(run_dir) or []
    return next((int(start["init_from"]["images"]) for start in starts if "init_from" in start), 0)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, atomically; a number that JSON cannot hold is an error."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def finite_or_none(value: float) -> float | None:
    """Replace infinity and NaN, which JSON does not know, by None."""
    return value if math.isfinite(value) else None


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
