"""Ablate the recipe: `python -m benchmarks ablation --data FOLDER --epochs 2 --out DIR`.

Trains the variants of a plan (`ablation.json`), one process each, and compares their scores on the validation
images and their cost. Finished runs are read, others are resumed: the same command can be repeated, also with more
seeds or variants.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from benchmarks.core.checks import check_least, check_out_folder, option
from benchmarks.core.presets import shared_values
from colornet.config import PRESETS, TrainConfig, check_config
from colornet.data.listing import check_dataset
from colornet.defaults import BY_IMAGES
from colornet.errors import InputError
from colornet.files import read_json
from colornet.train import parse

_LARGEST = 2**20  # bytes of a plan
PLAN = Path(__file__).with_name("ablation.json")


@dataclass(frozen=True)
class AblationOptions:
    """Which variants are trained and at which size; None stands for the value of the preset."""

    out: Path  # folder of the runs and their logs, of ablation.json, ablation.md and curves.png
    plan: Path = PLAN  # JSON file of variants and questions
    only: tuple[str, ...] = ()  # train these variants, or if none is given, all; the table shows all finished runs
    seeds: tuple[int, ...] = (0,)  # one run of every variant for each
    jobs: int = 1  # trainings at the same time, with one CPU thread each
    train: bool = True  # no: read the finished runs, train nothing

    # What all variants share; a variant's own options take precedence
    data: str = "cifar10"  # cifar10, or a folder with a copy of it
    image_size: int = 32  # side of the square images, pixels
    epochs: int | None = None  # passes over the training images, those of a warm start included
    batch_size: int | None = None  # images per step
    width: int | None = None  # channels of the generator's first level
    multipliers: tuple[int, ...] | None = None  # channels of each level, in widths
    blocks: int | None = None  # blocks per level of the generator
    discriminator_width: int | None = None  # channels of the discriminator's first level
    warmup_steps: int | None = None  # steps of linear warm-up of the learning rates
    ema_decay: float | None = None  # moving average of the generator
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] | None = None  # auto: bf16 where computed natively
    compile: Literal["auto", "on", "off"] | None = None  # torch.compile; auto: on GPUs
    eval_every: int | None = None  # epochs between evaluations; None: one, at the end
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: Path | None = None  # folder of downloads and decoded images; None: ~/.cache/colornet


class Training(NamedTuple):
    """A training of the plan: its variant, the arguments of `colornet.train` and the configuration they stand for."""

    name: str
    variant: str
    arguments: list[str]
    config: TrainConfig
    origin: str | None  # the name of the training whose model it starts from


class Study(NamedTuple):
    """The plan, its possible trainings (origins first), the variants to train, and why others are impossible."""

    plan: dict[str, Any]
    trainings: list[Training]
    wanted: set[str]
    impossible: dict[str, InputError]


def check(options: AblationOptions) -> None:
    """Raise `InputError` for options that cannot be used; name the variants on stderr that it leaves out."""
    study = plan_study(options)
    if options.train and (missing := sorted(study.wanted & study.impossible.keys())):
        print(f"Not trained: {', '.join(missing)}. {study.impossible[missing[0]]}", file=sys.stderr)


def plan_study(options: AblationOptions) -> Study:
    """Check the options and plan the trainings. Raises `InputError` if none, or one in `only`, is possible."""
    check_least(options, jobs=1)
    if not options.seeds or len(set(options.seeds)) < len(options.seeds):
        raise InputError("--seeds needs numbers that are all different.")
    check_dataset(options.data)
    check_out_folder(options.out)
    plan = read_plan(options.plan)
    variants = plan["variants"]
    if unknown := [name for name in options.only if name not in variants]:
        raise InputError(f"--only {unknown[0]} is not a variant of {options.plan}, which has: {', '.join(variants)}.")
    wanted = set(options.only or (name for names in plan["questions"].values() for name in names))
    wanted |= {origin for name in wanted if (origin := variants[name].get("init_from"))}
    origins_first = sorted(variants, key=lambda name: "init_from" in variants[name])  # else in the order of the plan
    # Seed by seed: a table of one seed is there before the second begins.
    trainings: list[Training] = []
    impossible: dict[str, InputError] = {}
    for seed in options.seeds:
        for name in origins_first:
            try:
                training = _plan_training(options, name, variants[name], seed)
                check_config(training.config)
            except InputError as error:  # half of one epoch, for example
                if options.train and options.only and name in wanted:
                    raise
                impossible[name] = error
            else:
                trainings.append(training)
    if not trainings:
        raise next(iter(impossible.values()))
    return Study(plan, trainings, wanted, impossible)


def read_plan(path: Path) -> dict[str, Any]:
    """Read a plan: `variants`, by name, and `questions`, each a list of their names.

    A variant has a `preset` and may have `options` of the trainer, `factors` by which numeric options are multiplied,
    and `init_from`, the name of another variant: it starts from that variant's training with the same seed. Raises
    `InputError` for a file that is not a plan.
    """
    try:
        plan: dict[str, Any] = read_json(path, _LARGEST)
        variants, known = plan["variants"], {field.name for field in fields(TrainConfig)}
        for name, variant in variants.items():
            if unknown := variant.keys() - {"preset", "options", "factors", "init_from"}:
                raise ValueError(f"{name} has the unknown key {min(unknown)!r}")
            if variant["preset"] not in PRESETS:
                raise ValueError(f"{name} has no preset of the trainer")
            if unknown := (variant.get("options", {}).keys() | variant.get("factors", {}).keys()) - known:
                raise ValueError(f"{name} has {min(unknown)!r}, which is not an option of the trainer")
            origin = variant.get("init_from")
            if origin is not None and "init_from" in variants[origin]:
                raise ValueError(f"{name} starts from {origin}, which starts from another")
        for names in plan["questions"].values():
            if unknown := set(names) - variants.keys():
                raise ValueError(f"{min(unknown)!r} is not a variant")
    except OSError as error:
        raise InputError(f"--plan {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"--plan {path} is not a plan: {error}; compare it with ablation.json.") from error
    return plan


def _plan_training(options: AblationOptions, name: str, variant: dict[str, Any], seed: int) -> Training:
    preset = PRESETS[variant["preset"]].config
    fixed = {field: getattr(preset, field) for field in BY_IMAGES}  # whatever the data, variants differ as planned
    values = fixed | shared_values(options) | variant.get("options", {})
    for field, factor in variant.get("factors", {}).items():
        base = values.get(field, getattr(preset, field))
        value = base * factor
        if isinstance(base, int) and value != int(value):
            raise InputError(f"{name}: {factor} × {option(field)} {base} is not a whole number: choose another.")
        values[field] = int(value) if isinstance(base, int) else value
    values.setdefault("eval_every", values.get("epochs", preset.epochs))
    runs, origin = options.out / "runs", f"{variant['init_from']}-{seed}" if "init_from" in variant else None
    values |= {"seed": seed, "run_dir": runs / f"{name}-{seed}", "keep_checkpoints": 1}
    values |= {"init_from": runs / origin} if origin else {}
    values |= {"cache_dir": options.cache_dir} if options.cache_dir else {}
    arguments = [variant["preset"], "--resume", "auto"]
    for field, value in values.items():
        if isinstance(value, bool):
            arguments.append(option(field if value else f"no_{field}"))
        else:
            arguments += [option(field), *map(str, value if isinstance(value, (list, tuple)) else [value])]
    return Training(f"{name}-{seed}", name, arguments, parse(arguments), origin)
