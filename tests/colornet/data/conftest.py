"""What tests of data sets share: a folder of images, a cache, and no network."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from typing import Any
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
    """Reach no other machine, and learn it at once."""
    urlopen = urllib.request.urlopen

    def unless_remote(request: urllib.request.Request, **options: Any) -> Any:
        if request.host.startswith("127.0.0.1:"):
            return urlopen(request, **options)
        raise URLError("Name or service not known")

    monkeypatch.setattr("urllib.request.urlopen", unless_remote)
    monkeypatch.setattr("colornet.data.download.PAUSE", 0.0)
