"""The two files of a report; `written`, which makes them, belongs to the tests of each folder."""

from __future__ import annotations

import pytest


@pytest.fixture
def page(written: tuple[str, str]) -> str:
    return written[0]


@pytest.fixture
def markdown(written: tuple[str, str]) -> str:
    return written[1]
