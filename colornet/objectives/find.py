"""Objectives by name: those of this package, and classes in files of the user's own."""

from __future__ import annotations

import importlib
import sys
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
    loader.exec_module(module)
    if not hasattr(module, class_name):
        raise InputError(f"--objective names the class {class_name}, which {file} does not define: correct the name.")
    return getattr(module, class_name)


def built_in_objective(name: str) -> type[Objective]:
    """Return the class of an objective of this package: `Adversarial` of the module `adversarial`."""
    module = importlib.import_module(f"colornet.objectives.{name}")
    return getattr(module, name.title().replace("_", ""))
