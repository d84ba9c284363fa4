"""What gray tells of the images: from which file, for which images, and files that are something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality.ceiling import COMMITTED, accuracy_told, read_ceiling
from benchmarks.quality.options import QualityOptions, check
from colornet.errors import InputError


def written(path: Path, **changes: Any) -> Path:
    record = {"kind": "ceiling", "data": {"fingerprint": "abc"}, "splits": {"test": {"accuracy": 0.75}}}
    path.write_text(json.dumps(record | changes), encoding="utf-8")
    return path


def test_the_committed_ceiling_is_found_by_the_images() -> None:
    committed = read_ceiling(COMMITTED / "cifar10-jpeg-cpu-ceiling.json")
    found = accuracy_told(None, committed["data"]["fingerprint"], "test")
    assert found == {"accuracy": pytest.approx(86.35), "file": "cifar10-jpeg-cpu-ceiling.json"}
    assert accuracy_told(None, "other images", "test") is None


def test_a_given_ceiling_must_be_of_the_images(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.json")
    assert accuracy_told(path, "abc", "test") == {"accuracy": 75.0, "file": "mine.json"}
    for fingerprint, split in (("abc", "validation"), ("abd", "test")):
        with pytest.raises(InputError, match=r"mine\.json was measured on other images"):
            accuracy_told(path, fingerprint, split)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "growth"}, "is no result of"),
        ({"splits": {"test": {}}}, "is damaged, make it again: .* lacks accuracy"),
    ],
)
def test_another_file_is_refused_before_anything_is_measured(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        check(QualityOptions(data="sample", images=(tmp_path,), ceiling=written(tmp_path / "mine.json", **changes)))
