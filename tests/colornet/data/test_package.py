"""What the package offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import colornet.data


def test_check_does_not_import_torch() -> None:
    code = "import sys, colornet.data; colornet.data.check_dataset('sample'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_package_offers_what_it_names() -> None:
    for name in colornet.data.__all__:
        assert getattr(colornet.data, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        colornet.data.nothing  # noqa: B018
