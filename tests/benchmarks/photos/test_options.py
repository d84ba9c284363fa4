"""Mistakes in the options of `photos` are found before anything is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.photos.options import PhotosOptions, check
from colornet.errors import InputError
from tests.colornet.inference.test_colorizer import save_run


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"sizes": (500,)}, r"^--sizes is 500: it must be from 16 to 300\.$"),
        ({"scales": ()}, "--scales is empty"),
        ({"megapixels": (0.0,)}, r"--megapixels is 0: it must be from 0\.1"),
        ({"images": 1}, "--images is 1: it must be at least 2"),
        ({"models": ()}, "No model is named"),
        ({"models": ("nowhere",)}, "neither a released one"),
        ({"models": ("ae", "ae")}, "the same name"),
        ({"data": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes_are_found_before_anything_is_measured(
    options: dict[str, object], sentence: str, tmp_path: Path, folder: Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        check(PhotosOptions(out=tmp_path / "photos.json", **{"data": str(folder), **options}))  # type: ignore[arg-type]


def test_models_of_rgb_are_refused(tmp_path: Path, folder: Path) -> None:
    run = save_run(tmp_path / "rgb", color_space="rgb")
    with pytest.raises(InputError, match="predicts RGB"):
        check(PhotosOptions(out=tmp_path / "photos.json", models=(str(run),), data=str(folder)))
