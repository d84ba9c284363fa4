"""Compare runs on the same held-out images: a table, its numbers as JSON, a picture."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from einops import rearrange, repeat
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from colornet.data import Dataset, load_dataset
from colornet.errors import printable
from colornet.evaluation.comparison_table import READING, add_e, comparison_table
from colornet.evaluation.loop import Colorize, colorize_with, gray_floor
from colornet.evaluation.processes import local_first, on_all
from colornet.evaluation.validation import ValidationScore
from colornet.files import finite_or_none, replacing, write_json, write_text
from colornet.models.build import color_space
from colornet.runs.pretrained import run_name
from colornet.runs.provenance import provenance
from colornet.runs.run import Run

PICTURED = 16  # images in the picture
SCALE = 3  # screen pixels per image pixel in it


def compare(
    folders: Sequence[Path],
    data: str,
    split: Literal["test", "validation"],
    accelerator: Accelerator,
    *,
    batch_size: int,
    all_grays: bool,
    cache_dir: Path | None,
    out: Path | None,
) -> None:
    """Score the gray floor and runs that share an image size, print the table and write everything to `out`."""
    runs = {name: Run(folder) for name, folder in zip(_names(folders), folders, strict=True)}
    image_size = next(iter(runs.values())).config.image_size

    def load() -> Dataset:
        with local_first(accelerator):
            progress = accelerator.is_local_main_process
            return load_dataset(data, image_size=image_size, cache_dir=cache_dir, progress=progress)

    dataset = on_all(accelerator, load)
    generators = on_all(accelerator, lambda: {name: run.load_generator() for name, run in runs.items()})
    images = dataset.test if split == "test" else dataset.validation
    candidates: dict[str, Colorize] = {"gray": gray_floor}
    if all_grays:
        candidates["gray, channel mean"] = functools.partial(gray_floor, kind="mean")
        candidates["gray, Rec. 601"] = functools.partial(gray_floor, kind="rec601")
    for name, run in runs.items():
        generator = generators[name].to(accelerator.device)
        candidates[name] = colorize_with(generator, color_space(run.config), accelerator)

    score = ValidationScore(dataset, accelerator, batch_size=batch_size, split=split)
    rows = {name: score(colorize, progress=name) for name, colorize in candidates.items()}
    add_e(rows)
    if not accelerator.is_main_process:
        return
    table, written = f"{comparison_table({n: [row] for n, row in rows.items()}).to_text()}\n\n{READING}", ""
    if out is not None:  # before anything is printed: whoever reads it may stop reading
        chosen = images[torch.linspace(0, len(images) - 1, min(PICTURED, len(images))).long()].to(accelerator.device)
        picture = draw({name: colorize(chosen) for name, colorize in candidates.items()} | {"truth": chosen})
        record = {
            "data": {"name": dataset.name, "split": split, "images": len(images), "fingerprint": dataset.fingerprint},
            "rows": {name: {key: finite_or_none(v) for key, v in row.items()} for name, row in rows.items()},
            "runs": {n: {"config": dataclasses.asdict(run.config), "training": run.starts} for n, run in runs.items()},
            **provenance(accelerator.device),
        }
        _write(out, picture, table, record)
        written = f"\n\nWritten to {printable(str(out))}: comparison.txt, comparison.json, comparison.png"
    about = f"{split} images of {printable(dataset.name)}: {len(images):,}"
    print(f"{about}\n\n{table}{written}", flush=True)


def _write(out: Path, picture: Image.Image, table: str, record: dict[str, Any]) -> None:
    with replacing(out / "comparison.png") as path:
        picture.save(path)
    write_text(out / "comparison.txt", table + "\n")
    write_json(out / "comparison.json", record)


def draw(rows: dict[str, Tensor]) -> Image.Image:
    """Draw rows of uint8 images (N, 3, H, W) below each other, with the name of each row at its left."""
    pixels = rearrange([images.cpu() for images in rows.values()], "row n c h w -> (row h) (n w) c")
    grid = repeat(pixels, "h w c -> (h sy) (w sx) c", sy=SCALE, sx=SCALE).numpy()
    font = ImageFont.load_default(size=16)
    margin = 16 + int(max(font.getlength(name) for name in rows))
    picture = Image.new("RGB", (margin + grid.shape[1], grid.shape[0]), "white")
    picture.paste(Image.fromarray(grid), (margin, 0))
    pen = ImageDraw.Draw(picture)
    height = grid.shape[0] / len(rows)
    for index, name in enumerate(rows):
        pen.text((margin - 8, (index + 0.5) * height), name, fill="black", font=font, anchor="rm")
    return picture


def _names(runs: Sequence[Path]) -> list[str]:
    """Name runs by their folder, or by their whole path where two share a name; escaped, as tables show the names."""
    for names in ([*map(run_name, runs)], [str(run) for run in runs]):
        shown = [printable(name, 100).replace("|", "\\|") for name in names]
        if len({*shown, "gray", "truth"}) == len(runs) + 2:
            return shown
    return [f"{number}: {name}" for number, name in enumerate(shown, 1)]
