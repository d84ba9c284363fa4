"""The pictures of a comparison, and what `report` draws of every image, as tensors beside the record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.quality.summary import ScoredRow
from colornet.evaluation.compare import draw
from colornet.files import replacing


def choose_pictures(
    results: Sequence[ScoredRow], classes: Tensor | None, names: Sequence[str]
) -> tuple[str, dict[str, int]]:
    """Choose images by a rule: the first of each class, then each model's best and worst by its mean ΔE00.

    `classes` (N,) are positions in `names`, None where the images have none. Returns the rule, and positions by label.
    """
    if classes is None:
        count, rule = len(results[0].pixels), "Images evenly spaced over the set"
        chosen = {f"image {index}": index for index in range(0, count, max(1, count // 10))}
    else:
        found, rule = classes.tolist(), "The first image of each class"
        chosen = {f"{name}, first": found.index(number) for number, name in enumerate(names) if number in found}
    for result in results:
        if result.kind == "model":
            errors = result.scores[0].per_image["ciede2000"]
            chosen |= {f"best of {result.name}": int(errors.argmin()), f"worst of {result.name}": int(errors.argmax())}
    return f"{rule}, then the best and the worst of each model by the mean ΔE00 of its first seed.", chosen


def write_pictures(
    out: Path,
    results: Sequence[ScoredRow],
    positions: list[int],
    planes: Mapping[str, Tensor],
    failures: Mapping[str, Mapping[str, Any]],
) -> None:
    """Write quality.png, and quality.safetensors for `report`: pictures and what is known of every image.

    `planes` are the rows' histograms in the a*b* plane, `failures` describes a model's worst images, list by list: they
    are kept as gray, output and truth.
    """
    pixels = {result.name: result.pixels for result in results}
    models = [result.name for result in results if result.kind == "model"]
    pictured = {name: pixels[name][positions] for name in ("gray", *models, "real")}
    tensors = {f"ab/{name}": plane for name, plane in planes.items()}
    tensors |= {f"cf/{result.name}": result.scores[0].per_image["cf"].float() for result in results}
    tensors |= {f"pictures/{name}": shown.contiguous() for name, shown in pictured.items()}
    for name, found in failures.items():
        lists = torch.tensor([[image["position"] for image in images] for images in found["lists"].values()])
        versions = [pixels[version][lists] for version in ("gray", name, "real")]
        tensors[f"failures/{name}"] = torch.stack(versions, dim=2)  # (lists, n, 3, 3, H, W)
    with replacing(out / "quality.safetensors") as path:
        save_file(tensors, path)
    with replacing(out / "quality.png") as path:
        draw(pictured).save(path)
