"""Objectives by name: those of this package, and classes in files of the user's own."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

from colornet.errors import InputError
from colornet.objectives import Objective


def find_objective(name: str) -> type[Objective]:
    """Return the class that --objective names: NAME of this package, or FILE.py:CLASS, whose file is run.

    Call this for an objective that the user asks to train with, never for one that a run folder names.
    """
    file, _, class_name = name.rpartition(":")
    if not file:
        return built_in_objective(name)
    loader = SourceFileLoader(f"colornet_objective_{Path(file).stem}", file)
    module = sys.modules[loader.name] = ModuleType(loader.name)
    module.__file__ = file
    try:
        loader.exec_module(module)
    except Exception as error:  # whatever the code of a user raises
        reason = f"{type(error).__name__}: {error}"
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        where = f" in line {lines[-1]}" if lines else ""  # a syntax error names its line itself
        raise InputError(f"--objective names {file}, which cannot be run ({reason}{where}): correct it.") from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise InputError(f"--objective names the class {class_name}, which {file} does not define: correct the name.")
    if inspect.isabstract(found) or not callable(getattr(found, "training_step", None)):
        lacking = ", ".join(sorted(getattr(found, "__abstractmethods__", ()))) or "training_step"
        raise InputError(f"--objective names the class {class_name} of {file}, which lacks {lacking}: define it.")
    return found


def built_in_objective(name: str) -> type[Objective]:
    """Return the class of an objective of this package: `Adversarial` of the module `adversarial`."""
    module = importlib.import_module(f"colornet.objectives.{name}")
    return getattr(module, name.title().replace("_", ""))
