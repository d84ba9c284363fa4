"""Compare colorizers on held-out images: `python -m benchmarks quality runs/ae-* runs/cgan-* --out DIR`.

Every table carries the truth, floors, oracles and sanity checks beside the models; runs that differ in nothing but the
seed become one row. docs/protocol.md defines all of it. Writes quality.json, quality.md, quality.safetensors (pictures
and histograms for `report`) and quality.png.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from benchmarks.core.checks import check_file, check_least, check_new_folder
from benchmarks.quality.ceiling import read_ceiling
from colornet.config import TrainConfig
from colornet.data.listing import check_dataset
from colornet.errors import InputError
from colornet.runs.pretrained import find_run
from colornet.runs.run import Run
from colornet.runs.saved_config import FREE_ON_RESUME, load_config


@dataclass(frozen=True)
class QualityOptions:
    """What is compared, on which images, with which networks."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional] = ()  # folders of runs, or names of released models
    images: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()  # a folder CLASS/NNNN.png, colored from --write-inputs
    data: str | None = None  # cifar10, sample, or a folder of images; None: what the runs were trained on
    split: Literal["test", "validation"] = "test"  # test is for final results: choose nothing by it
    out: Path | None = None  # folder for the results; must not hold any yet
    write_inputs: Path | None = None  # write the gray inputs as CLASS/NNNN.png to this new folder, and stop
    inception_weights: Path | None = None  # weights of torch-fidelity's Inception; None: downloaded once
    dinov2_weights: Path | None = None  # dinov2_vitl14_pretrain.pth; None: downloaded once, 1.2 GB
    lpips_weights: Path | None = None  # AlexNet weights for LPIPS; None: downloaded once
    samples: int = 4  # colorings of an image whose differences are measured, of models with a noise input
    sample_images: int = 1000  # images, evenly spaced over the set, for that
    ceiling: Path | None = None  # result of `benchmarks ceiling` on the same images; None: the committed one, if any
    all_grays: bool = False  # color from other grays, too: the mean of the channels and Rec. 601
    inception: Literal["auto", "on", "off"] = "auto"  # measure FID and KID; auto: on GPUs, a CPU takes hours
    dinov2: Literal["auto", "on", "off"] = "auto"  # measure FD-DINOv2; auto: on GPUs
    lpips: Literal["auto", "on", "off"] = "auto"  # measure LPIPS; auto: on GPUs
    batch_size: int = 500  # images per process in a step
    features_batch: int = 250  # images per process in a step of Inception, DINOv2 and LPIPS
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads, images and features; None: ~/.cache/colornet


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but the seed: one row."""

    name: str
    members: tuple[Path, ...]
    config: TrainConfig


def check(options: QualityOptions) -> None:
    """Raise `InputError` for invalid options, without importing torch."""
    check_least(options, batch_size=1, features_batch=1, samples=2, sample_images=1)
    if options.write_inputs is None and not options.runs and not options.images:
        raise InputError("Nothing is named to compare: give the folder of at least one run, or --images.")
    if options.data is None and not options.runs:
        raise InputError("No data set is named: give --data.")
    groups = find_groups(options.runs)
    sizes = {group.config.image_size for group in groups}
    if len(sizes) > 1:
        raise InputError(f"The runs differ in image_size ({', '.join(map(str, sorted(sizes)))}): compare one size.")
    names = {group.config.data for group in groups}
    if options.data is None and len(names) > 1:
        raise InputError(f"The runs differ in data ({', '.join(sorted(names))}): give --data.")
    check_dataset(options.data or groups[0].config.data)
    for weights in (options.inception_weights, options.dinov2_weights, options.lpips_weights):
        check_file(weights, "give the weights that were downloaded, or leave the option out")
    if options.ceiling is not None:
        check_file(options.ceiling, "give a result of `python -m benchmarks ceiling`, or leave the option out")
        read_ceiling(options.ceiling)
    for folder in options.images:
        if not folder.is_dir():
            raise InputError(f"--images {folder} is not a folder: give one that holds CLASS/NNNN.png.")
    check_new_folder("out", options.out, ["quality.png", "quality.safetensors"])
    check_new_folder("write_inputs", options.write_inputs)


def find_groups(names: Sequence[Path]) -> list[Group]:
    """Put runs that differ in nothing but the seed into one group, named after their folders.

    Weights that have seen another number of images are another model: a run that was stopped, or is not finished, is
    no seed of a finished one. Raises `InputError` for a run without usable weights, and for one that is named twice,
    which would count as another seed.
    """
    groups: dict[tuple[TrainConfig, int | None, int], list[Path]] = {}
    defaults = TrainConfig()
    runs = [find_run(name) for name in names]
    for index, run in enumerate(runs):
        if run.resolve() in [other.resolve() for other in runs[:index]]:
            raise InputError(f"{run} is named twice: name every run once.")
        found = Run(run)
        free = {name: getattr(defaults, name) for name in (*FREE_ON_RESUME, "seed")}
        free["data"] = Path(found.config.data).name  # the same wherever it lies
        key = dataclasses.replace(found.config, **free), found.step, found.images_before
        groups.setdefault(key, []).append(run)
    named = [Group(_name(members), tuple(members), load_config(members[0])) for members in groups.values()]
    if len({group.name for group in named}) < len(named):
        return [dataclasses.replace(group, name=str(group.members[0])) for group in named]
    return named


def _name(members: Sequence[Path]) -> str:
    """Return the folders' name less the number at its end where they differ in that only, else the first one's."""
    names = [run.resolve().name for run in members]
    stems = {re.sub(r"[-_.]?\d+$", "", name) for name in names}
    return stems.pop() or names[0] if len(names) > 1 and len(stems) == 1 else names[0]
