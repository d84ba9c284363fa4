"""The model card of a finished run: `README.md` beside `config.json` and `model.safetensors`, as the hub expects it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from colornet.config import TrainConfig
from colornet.files import replacing
from colornet.runs.run import Run

# The scores of the last evaluation on the validation images that the card lists.
MEASURES = {
    "fd_cifar10_dev": "distance from the truth on CIFAR-10 features, fd_cifar10_dev",
    "cf": "colorfulness CF",
    "cf_truth": "CF of the truth",
    "delta_cf_image": "mean \\|ΔCF\\|",
    "ciede2000": "CIEDE2000",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
}


def write_model_card(run_dir: Path) -> None:
    """Write the card of a run from what its folder holds: configuration, origin, last validation."""
    run = Run(run_dir)
    card = model_card(run_dir.name, run, run.config, run.starts or [])
    with replacing(run_dir / "README.md") as path:
        path.write_text(card, encoding="utf-8")


def model_card(
    name: str,
    run: Run,
    config: TrainConfig,
    starts: list[dict[str, Any]],
    *,
    load: str = "path/to/this/folder",
    about_data: str = "",
    more: str = "",
) -> str:
    """Return the text of a model's card, with a configuration and starts as they are published.

    Args:
        load: what `Colorizer.load` takes for the model.
        about_data: sentences about the training data, beyond their name.
        more: sections between the validation and the origin.
    """
    validation = (run.validations or [{}])[-1]
    data = Path(config.data).name
    side = config.image_size
    rows = [
        f"| {label} | {validation[f'validation/{key}']:.3f} |"
        for key, label in MEASURES.items()
        if validation.get(f"validation/{key}") is not None
    ]
    origin = [
        f"- step {start['step']}: `{start['command']}`, commit {start['commit'] or 'unknown'}, {start['date']}, "
        f"{start['device']}, torch {start['versions']['torch']}"
        for start in starts
    ]
    return f"""---
library_name: colornet
pipeline_tag: image-to-image
tags:
- image-colorization
---

# {name}

A U-Net that colors gray images, trained as {run.approach} on images of {side}×{side} pixels.

```python
from colornet import Colorizer

colored = Colorizer.load("{load}").colorize(image)
```

## Training data

{chr(10).join(filter(None, (f"`{data}`, the training part.", about_data)))}
The colors it gives are guesses learned from these images: plausible for what they show, at {side} pixels, and wrong
for much else. It must not be taken for evidence of what something looked like.

## Validation

Images held out from training; the model is the moving average of the weights.

| measure | value |
| --- | ---: |
{chr(10).join(rows)}
{more and f"{chr(10)}{more}{chr(10)}"}
## Origin

{chr(10).join(origin)}

`config.json` holds every option.
"""
