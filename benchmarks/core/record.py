"""Records of results: what they are, and how older ones are read."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["modernized"]

# What older records say otherwise. Facts about their making stay as they are: the command of that day, its commit.
_RENAMED = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\bseed-(ae|cgan)\b", r"notebook-\1"),
        (r"\bseed_(pipeline|width|steps|epochs|passes|images_per_second)\b", r"notebook_\1"),
        (r"\bratio_to_seed\b", "ratio_to_notebook"),
        (r"([Ss])eed pipeline", "notebook pipeline"),
        (r"seed project's", "original notebooks'"),
        (r"([Cc])olour", r"\1olor"),
        (r"([Gg])rey", r"\1ray"),
    )
]
_KEPT = ("command", "commit", "date", "device", "machine", "versions")


def modernized(value: Any) -> Any:
    """Return a value of a record under the names of today: presets, rows and keys that were called otherwise."""
    if isinstance(value, dict):
        return {modernized(key): found if key in _KEPT else modernized(found) for key, found in value.items()}
    if isinstance(value, list):
        return [modernized(entry) for entry in value]
    if isinstance(value, str):
        for pattern, replacement in _RENAMED:
            value = pattern.sub(replacement, value)
    return value
