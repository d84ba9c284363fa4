"""Export a model to one ONNX file that needs no colornet: `colornet export runs/cgan --out cgan.onnx`.

The graph maps the gray condition (N, 1, H, W) to the color (N, C, H, W), in float32, for any N, H and W; the last two
must be multiples of what training halves them by. That of a model with a noise input takes noise, too.
What is written is read again and compared with PyTorch. It runs in onnxruntime and in `colornet colorize --model
FILE.onnx`. It is an extra: `pip install ".[export]"` in a checkout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from colornet.command import run_command
from colornet.errors import InputError, printable
from colornet.files import check_writable
from colornet.inference.onnx_model import require
from colornet.runs.pretrained import find_model


@dataclass(frozen=True)
class ExportConfig:
    """Which model is exported, and where to."""

    model: Annotated[str, tyro.conf.Positional]  # released model (cgan or ae), folder of a run, or hf:OWNER/NAME
    out: Path  # file to write, NAME.onnx
    force: bool = False  # overwrite --out


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and export; mistakes of the user end in one sentence and exit code 2."""
    run_command(ExportConfig, export, arguments, prog="colornet export", description=__doc__)


def export(config: ExportConfig) -> None:
    """Check the options, write the file and say how far its colors are from PyTorch's."""
    run = check(config)
    from colornet.inference.exporter import TOLERANCE, export_onnx

    difference = export_onnx(run, config.model, config.out)
    found = f"its colors differ from PyTorch's by at most {difference:.1e} (allowed: {TOLERANCE:.0e})"
    print(printable(f"{config.out} is written. Read again, {found}."))


def check(config: ExportConfig) -> Path:
    """Raise InputError for options that cannot be used, without importing torch; return the run's folder."""
    out = config.out
    if out.suffix != ".onnx":
        raise InputError(f"--out is {out}: it must end in .onnx.")
    if out.is_dir() or (out.parent.exists() and not out.parent.is_dir()):
        raise InputError(f"--out {out} cannot be a file there: choose another name.")
    if out.exists() and not config.force:
        raise InputError(f"--out {out} exists already: choose another name, or overwrite it with --force.")
    check_writable("--out", out, out.parent)
    run = find_model(config.model)
    require("onnx", "onnxscript", "onnxruntime")
    return run


if __name__ == "__main__":
    main()
