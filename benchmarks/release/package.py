"""From a finished run to the folder of a released model, with its origin and its results."""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from benchmarks.core.record import modernized, read_json
from benchmarks.release.options import ReleaseOptions
from colornet.color import to_float, to_uint8
from colornet.config import TrainConfig
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError, printable
from colornet.files import write_json
from colornet.models.build import Generator, color_space
from colornet.runs.hub import publishable, without_folders
from colornet.runs.model_card import model_card
from colornet.runs.provenance import provenance
from colornet.runs.run import Run
from colornet.tables import Cell, Table, format_number, line_of

TOLERANCE = 2
"""By how many of the 255 levels of sRGB at 8 bits half precision may change a color; rounding alone makes it 1."""

_COMPARED = 200  # validation images whose colors are compared

# What the card says of the test images: column of `benchmarks quality`, in its words, digits.
_MEASURES = {
    "fd_cifar10_v2": ("distance from the truth on CIFAR-10 features, fd_cifar10_v2", 3),
    "e_cifar10_v2": ("e, the same as a share of the gray image's: 0 is real, 1 is gray", 3),
    "cf": ("colorfulness CF", 1),
    "delta_cf": ("ΔCF, mean CF less that of the truth", 1),
    "delta_cf_image": ("mean |ΔCF|", 1),
    "psnr": ("PSNR (dB)", 2),
    "ciede2000": ("CIEDE2000", 2),
    "accuracy": ("images whose class the cifar10-v2 classifier names (%)", 1),
}

_ABOUT = {
    "cifar10-jpeg": "This is a JPEG re-encoding of CIFAR-10, not CIFAR-10 itself: compression has changed its colors, "
    "and no number of this card is one of CIFAR-10."
}


def release(options: ReleaseOptions) -> None:
    """Write the folder of a released model, whole or not at all, and say what it holds.

    Raises `InputError` for a run that is not finished, other images than it was trained on, results of another run, and
    a network whose colors half precision changes by more than `TOLERANCE`.
    """
    run = Run(options.run)
    trained, data = run.config, options.data or run.config.data
    dataset = load_dataset(data, image_size=trained.image_size, cache_dir=options.cache_dir)
    starts = _finished_starts(run, dataset, data)
    measured = None if options.quality is None else _measured(options.quality, run, starts)
    network = run.load_generator()
    images = dataset.validation[torch.linspace(0, len(dataset.validation) - 1, _COMPARED).long()]

    public = dataclasses.replace(publishable(trained, options.name), data=dataset.name)
    starts = [{**start, "command": without_folders(start["command"])} for start in starts]
    state = {
        name: (value.half() if value.is_floating_point() else value).contiguous()  # counters stay integers
        for name, value in network.state_dict().items()
    }
    if too_large := [name for name, value in state.items() if not value.isfinite().all()]:
        raise InputError(f"At half precision, {run.path} has infinite weights ({min(too_large)}): train it again.")
    # Of several metadata, safetensors writes each time another order, and the sha256 would tell nothing.
    weights = save(state, metadata={"step": str(run.step)})
    made = provenance(torch.device("cpu"))
    record: dict[str, Any] = {
        "name": options.name,
        "sha256": hashlib.sha256(weights).hexdigest(),
        "bytes": len(weights),
        "images_seen": run.images_seen,
        "test": measured,
        **made,
        "command": without_folders(made["command"]),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{options.out.name}.part-", dir=options.out.parent) as temporary:
        folder = Path(temporary) / options.name
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(weights)
        write_json(folder / "config.json", dataclasses.asdict(public))
        write_json(folder / "provenance.json", starts)
        record["levels"] = _largest_difference(trained, network, Run(folder).load_generator(), images)
        if record["levels"] > TOLERANCE:
            raise InputError(
                f"At half precision, {run.path} gives colors that differ by {record['levels']} of 255 levels "
                f"(allowed: {TOLERANCE}): train it again, as such weights are too large."
            )
        write_json(folder / "release.json", record)
        card = _card(Run(folder), run.validations, dataset, record)
        (folder / "README.md").write_text(card, encoding="utf-8")
        folder.rename(options.out)
    size = f"{record['bytes'] / 1e6:.1f} MB, sha256 {record['sha256']}"
    changed = f"Its colors differ from the run's by at most {record['levels']} of 255 levels."
    print(printable(f"{options.out} is written: {size}. {changed}"))


def _finished_starts(run: Run, dataset: Dataset, data: str) -> list[dict[str, Any]]:
    """Return the starts that trained a run; `InputError` unless it is finished and saw these images, named `data`."""
    starts, config = run.starts or [], run.config
    if not starts or starts[-1]["data"] != dataset.fingerprint:
        raise InputError(f"The images of {data} are not those that {run.path} saw: give --data.")
    step, last = run.step or 0, config.epochs * (len(dataset.train) // config.batch_size)
    last = min(last, config.max_steps or last)
    if step < last:
        raise InputError(f"{run.path} is at step {step:,} of {last:,}: finish it first, with --resume auto.")
    return [start for start in starts if start["step"] < step]  # later ones did nothing


def _measured(quality: Path, run: Run, starts: list[dict[str, Any]]) -> dict[str, Any]:
    """Find the run's own results in a quality.json: by its origin and the images seen, not by its name."""
    try:
        record = read_json(quality)
        (truth,) = (row for row in record["rows"] if row["kind"] == "truth")
        found = [
            (row["values"], index)
            for row in record["rows"]
            if row["kind"] == "model"
            for index, one in enumerate(row["runs"].values())
            if one["images_seen"] == run.images_seen and (one["training"] or [])[:1] == modernized(starts[:1])
        ]
        if not found:
            raise InputError(f"--quality {quality} has no results of {run.path} as it is now: measure it again.")
        values, index = found[0]
        results = {name: values[name]["members"][index] for name in _MEASURES if values.get(name) is not None}
        data = {name: record["data"][name] for name in ("name", "split", "images")}
        return {**data, "cf_truth": truth["values"]["cf"]["mean"], **results}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InputError(
            f"--quality {quality} is not a quality.json of `python -m benchmarks quality`: name one."
        ) from error


@torch.no_grad()
def _largest_difference(config: TrainConfig, one: Generator, other: Generator, images: Tensor) -> int:
    """Color images, uint8 (N, 3, H, W), with two networks: the largest difference of sRGB values at 8 bits."""
    space = color_space(config)
    condition, _ = space.encode(to_float(images))
    first, second = (to_uint8(space.decode(condition, network(condition))).int() for network in (one, other))
    return int((first - second).abs().max())


def _card(published: Run, validations: list[dict[str, Any]], dataset: Dataset, record: dict[str, Any]) -> str:
    """Return the model card, with results on test images, limits, and the file of weights."""
    config, starts = published.config, published.starts or []
    origin = next((start["init_from"] for start in starts if "init_from" in start), None)
    warm = f", {origin['images']:,} of them as `{origin['run']}`, with whose weights it began" if origin else ""
    seen = f"the network was shown {record['images_seen']:,}, counting repetitions{warm}"
    about = f"{_ABOUT.get(dataset.name, '')} {len(dataset.train):,} images; {seen}.".strip()
    results = ""
    if test := record["test"]:
        measures = _MEASURES | {"cf_truth": ("CF of the truth", 1)}
        lines = [line_of(label, format_number(test[n], digits)) for n, (label, digits) in measures.items() if n in test]
        table = Table("", [Cell("measure"), Cell("value")], lines).to_markdown()
        results = f"""## Results

{test["images"]:,} {test["split"]} images of `{test["name"]}`, at full precision, by `python -m benchmarks quality`.

{table}

"""
    labels, side = dataset.labels, config.image_size
    classes = f"Pictures of {len(labels.classes)} classes only" if labels else "Only what the images show"
    devices = " and ".join(dict.fromkeys(start["device"] for start in starts))
    more = f"""{results}## Limits

- {classes}, at {side}×{side} pixels: of anything larger the network sees a version of that size, and its colors are as
  coarse.
- A small network (width {config.width}), trained on {devices}: a demonstration, not the best of which this recipe is
  capable.
- Its colors are guesses, not evidence. It knows nothing of history or text, and never says that it is unsure.

## File

`model.safetensors` holds the moving average of the weights in float16: {record["bytes"]:,} bytes, sha256
`{record["sha256"]}`.
The colors of {_COMPARED} validation images differ from those at full precision by at most {record["levels"]} of 255
levels."""
    return model_card(published, validations, load=config.run_dir, about_data=about, more=more)
