"""Compare runs on the same held-out images: a table, its numbers as JSON, a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from einops import rearrange, repeat
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from colornet.color import Gray, to_float, to_gray, to_uint8
from colornet.data import load_dataset
from colornet.evaluation.loop import Colorize, colorize_with, gray_floor, score
from colornet.files import finite_or_none, replacing, write_json
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
    """Score the gray floor and the runs in some folders, print the table and write everything to `out`.

    The runs share an image size. `all_grays` scores the other gray versions of the images, too.
    """
    runs = {name: Run(folder) for name, folder in zip(_names(folders), folders, strict=True)}
    with accelerator.local_main_process_first():
        dataset = load_dataset(
            data,
            image_size=next(iter(runs.values())).config.image_size,
            cache_dir=cache_dir,
            progress=accelerator.is_local_main_process,
        )
    images = dataset.test if split == "test" else dataset.validation
    candidates: dict[str, Colorize] = {"gray": gray_floor}
    if all_grays:
        candidates |= {"gray, channel mean": _gray("mean"), "gray, Rec. 601": _gray("rec601")}
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
    if out is None:
        return

    chosen = images[torch.linspace(0, len(images) - 1, min(PICTURED, len(images))).long()].to(accelerator.device)
    pictured = {name: colorize(chosen) for name, colorize in candidates.items()} | {"truth": chosen}
    with replacing(out / "comparison.png") as path:
        draw(pictured).save(path)
    with replacing(out / "comparison.txt") as path:
        path.write_text(table + "\n", encoding="utf-8")
    record = {
        "data": {"name": dataset.name, "split": split, "images": len(images), "fingerprint": dataset.fingerprint},
        "rows": {row: {key: finite_or_none(value) for key, value in summary.items()} for row, summary in rows.items()},
        "runs": {
            name: {"config": dataclasses.asdict(run.config), "training": run.starts} for name, run in runs.items()
        },
        **provenance(accelerator.device),
    }
    write_json(out / "comparison.json", record)
    print(f"\nWritten to {out}: comparison.txt, comparison.json, comparison.png")


def format_table(rows: dict[str, dict[str, float]]) -> str:
    """Format the summaries as a Markdown table that is also readable as plain text; the last row is the truth."""
    width = max(len(name) for name in (*rows, "truth"))
    lines = [
        [" " * width, *COLUMNS],
        ["-" * width, *("-" * (len(heading) - 1) + ":" for heading in COLUMNS)],
        *([name, *(f"{row[key]:.{decimals}f}" for key, decimals in COLUMNS.values())] for name, row in rows.items()),
        ["truth", *(f"{rows['gray']['cf_truth']:.1f}" if heading == "CF" else "" for heading in COLUMNS)],
    ]
    widths = [width, *(max(6, len(heading)) for heading in COLUMNS)]
    texts = [
        "| " + " | ".join(cell.ljust(w) if i == 0 else cell.rjust(w, "-" if cell.endswith("-:") else " ")
                          for i, (cell, w) in enumerate(zip(line, widths, strict=True))) + " |"
        for line in lines
    ]  # fmt: skip
    return "\n".join(texts)


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


def _gray(kind: Gray) -> Colorize:
    return lambda images: to_uint8(to_gray(to_float(images), kind))


def _names(runs: Sequence[Path]) -> list[str]:
    """Name runs by their folder, or by their whole path where two share a name."""
    names = [run.resolve().name for run in runs]
    return names if len({*names, "gray", "truth"}) == len(runs) + 2 else [str(run) for run in runs]
