"""Draw what the released models make of the photographs that come with scikit-image, as docs/images/photographs.jpg.

    python launch/released_photos.py --out photographs.jpg

From top to bottom: gray, each released model, the photograph itself. Whole photographs are colorized, and their center
squares shown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from colornet import Colorizer
from colornet.data.images import fit_square
from colornet.data.sample import sample_photos
from colornet.runs.pretrained import RELEASED

SIDE, GAP = 120, 4  # of the squares, and between them, pixels
SHOWN = ("chelsea", "astronaut", "coffee", "rocket", "motorcycle")


def main() -> None:
    """Color, and draw the squares."""
    details = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=details)
    parser.add_argument("--out", type=Path, required=True, help="file of the picture; an earlier one is replaced")
    out = parser.parse_args().out
    photos = [sample_photos()[name] for name in SHOWN]
    models = [Colorizer.load(name, "cpu") for name in RELEASED]
    gray = [models[0].colorize(photo, saturation=0) for photo in photos]
    rows = [gray, *([model.colorize(photo) for photo in gray] for model in models), photos]
    step = SIDE + GAP
    picture = Image.new("RGB", (step * len(photos) - GAP, step * len(rows) - GAP), "white")
    for y, row in enumerate(rows):
        for x, photo in enumerate(row):
            picture.paste(fit_square(photo, SIDE), (x * step, y * step))
    picture.save(out, quality=90)


if __name__ == "__main__":
    main()
