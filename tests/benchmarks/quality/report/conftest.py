"""A page of one result of quality, which the tests of its parts look at."""

from __future__ import annotations

import pytest

from tests.benchmarks.report.records import make, quality_record, write_quality


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = write_quality(tmp_path_factory.mktemp("quality"), quality_record())
    return make(root, tmp_path_factory.mktemp("out"))
