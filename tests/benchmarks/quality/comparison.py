"""A comparison of small runs, which the tests of several modules look at, and the command that makes one."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import main


@dataclasses.dataclass
class Comparison:
    """What a comparison wrote and printed, and the runs that it compared."""

    out: Path
    record: dict[str, Any]
    printed: str
    runs: list[Path]
    cache: Path

    @property
    def rows(self) -> dict[str, Any]:
        return {row["name"]: row for row in self.record["rows"]}


def compare(*arguments: object) -> str:
    """Run the command; return what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        main(["quality", *map(str, arguments)])
    return stdout.getvalue()


def refused(*arguments: object) -> None:
    """Run the command, which must end with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        compare(*arguments)
    assert caught.value.code == 2


def read_rows(out: Path) -> dict[str, Any]:
    """Return the rows of a comparison by name."""
    return {row["name"]: row for row in json.loads((out / "quality.json").read_text())["rows"]}
