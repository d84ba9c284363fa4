"""What tests of data sets share: a folder of images, a cache, and no network."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest

from tests.colornet.data.files import noise, write_images


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 30 images."""
    write_images(tmp_path / "photos", noise(30))
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
