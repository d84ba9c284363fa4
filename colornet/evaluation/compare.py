"""Runs side by side on the same held-out images: a table, its numbers as JSON, a picture."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from einops import rearrange, repeat
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from colornet.color import Gray, to_float, to_gray, to_uint8
from colornet.config import TrainConfig
from colornet.data import Dataset, load_dataset
from colornet.evaluate import EvaluateConfig
from colornet.evaluation.loop import Colorize, colorize_with, gray_floor, score
from colornet.files import replacing
from colornet.metrics.image import summarize
from colornet.models.build import color_space
from colornet.runs.provenance import finite_or_none, provenance, read_provenance, write_json
from colornet.runs.run import load_run

__all__ = ["compare"]

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


def compare(config: EvaluateConfig, run_configs: list[TrainConfig], accelerator: Accelerator) -> None:
    """Score the gray floor and every run, print the table and write everything to `config.out`."""
    with accelerator.local_main_process_first():
        dataset = load_dataset(
            config.data or run_configs[0].data,
            image_size=run_configs[0].image_size,
            cache_dir=config.cache_dir,
            progress=accelerator.is_local_main_process,
        )
    images = dataset.test if config.split == "test" else dataset.validation
    candidates: dict[str, Colorize] = {"gray": gray_floor}
    if config.all_grays:
        candidates |= {"gray, channel mean": _gray("mean"), "gray, Rec. 601": _gray("rec601")}
    for run, name in zip(config.runs, _names(config.runs), strict=True):
        run_config, generator = load_run(run)
        candidates[name] = colorize_with(generator.to(accelerator.device), color_space(run_config), accelerator)

    rows = {
        name: summarize(score(colorize, images, accelerator, batch_size=config.batch_size, progress=name))
        for name, colorize in candidates.items()
    }
    if not accelerator.is_main_process:
        return
    table = format_table(rows)
    print(f"{config.split} images of {dataset.name}: {len(images):,}\n\n{table}", flush=True)
    if config.out is None:
        return

    chosen = images[torch.linspace(0, len(images) - 1, min(PICTURED, len(images))).long()].to(accelerator.device)
    pictured = {name: colorize(chosen) for name, colorize in candidates.items()} | {"truth": chosen}
    with replacing(config.out / "comparison.png") as path:
        draw(pictured).save(path)
    with replacing(config.out / "comparison.txt") as path:
        path.write_text(table + "\n", encoding="utf-8")
    write_json(
        config.out / "comparison.json", _record(config, run_configs, rows, dataset, len(images), accelerator.device)
    )
    print(f"\nWritten to {config.out}: comparison.txt, comparison.json, comparison.png")


def format_table(rows: dict[str, dict[str, float]]) -> str:
    """Lay out the summaries as a table in Markdown that reads as plain text, too; the last row is the truth."""
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
    """Draw rows of uint8 images (N, 3, H, W) under each other, the name of each row at its left."""
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


def _names(runs: tuple[Path, ...]) -> list[str]:
    """Name runs by their folder, or by their whole path where two share a name."""
    names = [run.resolve().name for run in runs]
    return names if len({*names, "gray", "truth"}) == len(runs) + 2 else [str(run) for run in runs]


def _record(
    config: EvaluateConfig,
    run_configs: list[TrainConfig],
    rows: dict[str, dict[str, float]],
    dataset: Dataset,
    count: int,
    device: torch.device,
) -> dict[str, Any]:
    """Collect what `comparison.json` holds: the numbers, and all it takes to get them again."""
    runs = {
        row: {"config": dataclasses.asdict(run_config), "training": read_provenance(run)}
        for row, run, run_config in zip(_names(config.runs), config.runs, run_configs, strict=True)
    }
    return {
        "data": {"name": dataset.name, "split": config.split, "images": count, "fingerprint": dataset.fingerprint},
        "rows": {row: {key: finite_or_none(value) for key, value in summary.items()} for row, summary in rows.items()},
        "runs": runs,
        **provenance(device),
    }
