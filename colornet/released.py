"""The trained colourizers that come with the package, found before torch is imported."""

from __future__ import annotations

import os
from pathlib import Path

from colornet.errors import InputError

__all__ = ["RELEASED", "find_model"]

RELEASED = ("ae", "cgan")  # a run folder of that name is meant by ./cgan

WEIGHTS = Path(__file__).parent / "weights"  # holds NAME/config.json and NAME/model.safetensors of each


def find_model(model: str | os.PathLike[str]) -> Path:
    """Return the folder of a released model, given by its name, or the run folder that `model` is a path of.

    Raises InputError for a name whose weights this installation lacks, and for what is no folder.
    """
    if model in RELEASED:
        folder = WEIGHTS / model
        if not (folder / "model.safetensors").is_file():
            there = [name for name in RELEASED if (WEIGHTS / name / "model.safetensors").is_file()]
            raise InputError(
                f"Model {model!r} does not come with this installation of colornet (it has: "
                f"{', '.join(there) or 'none'}): train one with `colornet train {model}` and give its run folder."
            )
        return folder
    folder = Path(model).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"Model '{os.fspath(model)}' is neither a released one ({', '.join(RELEASED)}) nor a run folder: "
            "give one of the two."
        )
    return folder
