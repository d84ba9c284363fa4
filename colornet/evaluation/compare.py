"""Compare runs on the same held-out images: a table, its numbers as JSON, a picture."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from einops import rearrange, repeat
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from colornet.data import load_dataset
from colornet.evaluation.loop import Colorize, colorize_with, gray_floor, score
from colornet.evaluation.turns import local_main_first
from colornet.files import finite_or_none, replacing, write_json, write_text
from colornet.metrics.image import summarize
from colornet.models.build import color_space
from colornet.runs.provenance import provenance
from colornet.runs.run import Run

COLUMNS = {  # heading: (key of the summary, decimals)
    "PSNR": ("psnr", 2),
    "PSNR pooled": ("psnr_pooled", 2),
    "SSIM": ("ssim", 4),
    "L1": ("l1", 4),
    "ΔE00": ("ciede2000", 2),
    "CF": ("cf", 1),
    "ΔCF": ("delta_cf", 1),
    "|ΔCF|": ("delta_cf_image", 1),
}
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
    with local_main_first(accelerator):
        progress = accelerator.is_local_main_process
        dataset = load_dataset(data, image_size=image_size, cache_dir=cache_dir, progress=progress)
    images = dataset.test if split == "test" else dataset.validation
    candidates: dict[str, Colorize] = {"gray": gray_floor}
    if all_grays:
        candidates["gray, channel mean"] = functools.partial(gray_floor, kind="mean")
        candidates["gray, Rec. 601"] = functools.partial(gray_floor, kind="rec601")
    for name, run in runs.items():
        generator = run.load_generator().to(accelerator.device)
        candidates[name] = colorize_with(generator, color_space(run.config), accelerator)

    rows = {
        name: summarize(score(colorize, images, accelerator, batch_size=batch_size, progress=name))
        for name, colorize in candidates.items()
    }
    if not accelerator.is_main_process:
        return
    table = format_table(rows)
    print(f"{split} images of {dataset.name}: {len(images):,}\n\n{table}", flush=True)
    if out is not None:
        chosen = images[torch.linspace(0, len(images) - 1, min(PICTURED, len(images))).long()].to(accelerator.device)
        picture = draw({name: colorize(chosen) for name, colorize in candidates.items()} | {"truth": chosen})
        record = {
            "data": {"name": dataset.name, "split": split, "images": len(images), "fingerprint": dataset.fingerprint},
            "rows": {name: {key: finite_or_none(v) for key, v in row.items()} for name, row in rows.items()},
            "runs": {n: {"config": dataclasses.asdict(run.config), "training": run.starts} for n, run in runs.items()},
            **provenance(accelerator.device),
        }
        _write(out, picture, table, record)


def _write(out: Path, picture: Image.Image, table: str, record: dict[str, Any]) -> None:
    with replacing(out / "comparison.png") as path:
        picture.save(path)
    write_text(out / "comparison.txt", table + "\n")
    write_json(out / "comparison.json", record)
    print(f"\nWritten to {out}: comparison.txt, comparison.json, comparison.png")


def format_table(rows: dict[str, dict[str, float]]) -> str:
    """Format the summaries as a Markdown table that is also readable as plain text; the last row is the truth."""
    width = max(len(name) for name in (*rows, "truth"))
    widths = [max(6, len(heading)) for heading in COLUMNS]

    def line(name: str, cells: Iterable[str]) -> str:
        return " | ".join((f"| {name:{width}}", *map(str.rjust, cells, widths))) + " |"

    truth = f"{rows['gray']['cf_truth']:.1f}"
    lines = [
        line("", COLUMNS),
        line("-" * width, ("-" * (w - 1) + ":" for w in widths)),
        *(line(name, (f"{row[key]:.{digits}f}" for key, digits in COLUMNS.values())) for name, row in rows.items()),
        line("truth", (truth if heading == "CF" else "" for heading in COLUMNS)),
    ]
    return "\n".join(lines)


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
    """Name runs by their folder, or by their whole path where two share a name."""
    names = [run.resolve().name for run in runs]
    return names if len({*names, "gray", "truth"}) == len(runs) + 2 else [str(run) for run in runs]
