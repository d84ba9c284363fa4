"""Train on a folder of photographs at 64 pixels and color others with the run: `python launch/own_photos.py`.

The folder is made of pieces of the five photographs of scikit-image, of many sizes and two formats: the left three
fifths of each for training, the right two fifths for the test. The commands are those of docs/own-data.md. OUT
holds `photos`, `cgan`, `comparison`, `colored` and `own-data.jpg`: gray, the released cgan, this one, the truth.
Options after `--` go to the training.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from colornet import Colorizer
from colornet.data.sample import sample_photos

TRAINED = 0.6  # share of a photograph's width that is trained on
PIECES = {"train": 48, "test": 8}  # of each photograph
OPTIONS = "--image-size 64 --width 32 --blocks 1 --discriminator-width 32 --epochs 40 --eval-every 10"
HEIGHT = 256  # of a row of the picture, pixels
SHOWN = ("astronaut", "coffee", "motorcycle")


def main() -> None:
    """Make the folder, train, evaluate, color and draw."""
    parser = argparse.ArgumentParser(prog="python launch/own_photos.py", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/own-data"), help="new folder for everything")
    parser.add_argument("options", nargs="*", help="for python -m colornet.train cgan, after --")
    given = parser.parse_args()
    out = given.out
    if out.exists():
        parser.error(f"--out {out} exists already: choose another folder or remove it.")
    parts = make_folder(out / "photos")
    (out / "right").mkdir()
    for name, (_, right) in parts.items():
        right.save(out / "right" / f"{name}.png")
    run = str(out / "cgan")
    colornet("train", "cgan", "--data", str(out / "photos"), "--run-dir", run, *OPTIONS.split(), *given.options)
    colornet("evaluate", run, "--out", str(out / "comparison"))
    colornet("colorize", str(out / "right"), "--out", str(out / "colored"), "--model", run, "--compare")
    rows = [parts[name][1] for name in SHOWN]
    draw(rows, [Colorizer.load("cgan"), Colorizer.load(run)]).save(out / "own-data.jpg", quality=85)
    print(f"\nThe picture is {out / 'own-data.jpg'}: gray, the released cgan, this one, the truth.")


def make_folder(folder: Path) -> dict[str, tuple[Image.Image, Image.Image]]:
    """Write pieces, of at least 64 pixels, as JPEG and PNG; return the two parts of each photograph."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, photo in sample_photos().items():
        middle = round(TRAINED * photo.width)
        parts[name] = (photo.crop((0, 0, middle, photo.height)), photo.crop((middle, 0, *photo.size)))
        for part, image in zip(PIECES, parts[name], strict=True):
            (folder / part).mkdir(parents=True, exist_ok=True)
            for index in range(PIECES[part]):
                width, height = (int(rng.integers(64, side + 1)) for side in image.size)
                x, y = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
                piece = image.crop((x, y, x + width, y + height))
                piece.save(folder / part / f"{name}-{index:02d}{('.png', '.jpg')[index % 2]}")
    return parts


def colornet(*arguments: str) -> None:
    """Run a command of colornet; end with its exit code if that is not 0."""
    print(f"\n$ colornet {' '.join(arguments)}", flush=True)
    if code := subprocess.call([sys.executable, "-m", "colornet", *arguments]):
        sys.exit(code)


def draw(photos: list[Image.Image], models: list[Colorizer]) -> Image.Image:
    """Draw each photograph in a row: gray, colored by each model, the original."""
    rows = []
    for photo in photos:
        gray = models[0].colorize(photo, saturation=0)
        versions = [gray, *(model.colorize(gray) for model in models), photo]
        size = round(photo.width * HEIGHT / photo.height), HEIGHT
        rows.append(np.hstack([np.asarray(version.resize(size, Image.Resampling.BICUBIC)) for version in versions]))
    widest = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, widest - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return Image.fromarray(np.vstack(padded))


if __name__ == "__main__":
    main()
