"""The model card of a finished run: `README.md` beside `config.json` and `model.safetensors`, as the hub expects it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from colornet.files import write_text
from colornet.hub import short_data_name
from colornet.runs.run import Run
from colornet.tables import Cell, Table, format_number, line_of

# The scores of the last evaluation on the validation images that the card lists.
MEASURES = {
    "fd_cifar10_v2_dev": "distance from the truth on CIFAR-10 features, fd_cifar10_v2_dev",
    "cf": "colorfulness CF",
    "cf_truth": "CF of the truth",
    "delta_cf_image": "mean |ΔCF|",
    "ciede2000": "CIEDE2000",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
}

_CARD = """---
library_name: colornet
pipeline_tag: image-to-image
tags:
- image-colorization
---

# {name}

A U-Net that colors gray images, trained as {article} {approach} on images of {side}×{side} pixels.

```python
from colornet import Colorizer

colored = Colorizer.load("{load}").colorize(image)
```

## Training data

`{data}`, the training part.{about_data}
The colors it gives are guesses learned from these images: plausible for what they show, at {side} pixels, and wrong
for much else. It must not be taken for evidence of what something looked like.

## Validation

Images held out from training; the model is the moving average of the weights.

{scores}
{more}
## Origin

{origin}

`config.json` holds every option.
"""


def write_model_card(run_dir: Path) -> None:
    """Write the card of a run from what its folder holds: configuration, origin, last validation."""
    run = Run(run_dir)
    write_text(run_dir / "README.md", model_card(run, run.validations))


def model_card(
    run: Run,
    validations: Sequence[Mapping[str, float]],
    *,
    load: str = "path/to/this/folder",
    about_data: str = "",
    more: str = "",
) -> str:
    """Return the text of the card of a model, named as its folder, with the last of the records of its evaluations.

    `load` is what `Colorizer.load` takes for the model, `about_data` are sentences about the training data, `more` are
    sections between the validation and the origin.
    """
    last = validations[-1] if validations else {}
    scores = {label: last.get(f"validation/{key}") for key, label in MEASURES.items()}
    lines = [line_of(label, format_number(value, 3)) for label, value in scores.items() if value is not None]
    return _CARD.format(
        name=run.path.name,
        article="an" if run.approach[:1].lower() in tuple("aeiou") else "a",
        approach=run.approach,
        side=run.config.image_size,
        load=load,
        data=short_data_name(run.config.data),
        about_data=about_data and f"\n{about_data}",
        scores=Table("", [Cell("measure"), Cell("value")], lines).to_markdown(),
        more=more and f"\n{more}\n",
        origin="\n".join(map(_origin, run.starts or [])),
    )


def _origin(start: Mapping[str, Any]) -> str:
    """Describe one start of a run; a version that recorded less leaves gaps."""
    command, commit, date, device = (start.get(name) or "unknown" for name in ("command", "commit", "date", "device"))
    torch = start.get("versions", {}).get("torch", "unknown")
    return f"- step {start.get('step', 'unknown')}: `{command}`, commit {commit}, {date}, {device}, torch {torch}"
