"""What several files of system tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.server import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start a server of processes, in the folder of the project, where they find `benchmarks` and `tests`."""
    with serving(tmp_path_factory.getbasetemp() / "cache") as started:
        yield started
