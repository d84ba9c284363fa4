"""Ablate the recipe: `python -m benchmarks ablation --data FOLDER --epochs 2 --out DIR`.

Trains the variants of a plan (`ablation.json`), each in a process of its own, and puts what their trainings
measured on the validation images beside each other, with what each cost. Runs that are finished are read, others are
gone on with: the same command may be given again, with more seeds or variants, too.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro

from benchmarks.core.checks import check_alone
from colornet.config import TrainConfig, check_config
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors
from colornet.presets import PRESETS
from colornet.train import parse

__all__ = ["AblationOptions", "Run", "check", "main", "read_plan"]

PLAN = Path(__file__).with_name("ablation.json")


@dataclass(frozen=True)
class AblationOptions:
    """Which variants are trained and at which size; what is None is as in their presets."""

    out: Path  # folder of the runs and their logs, of ablation.json, ablation.md and curves.png
    plan: Path = PLAN  # JSON file of variants and questions (default: ablation.json of benchmarks/ablation)
    only: tuple[str, ...] = ()  # train these variants (default: all); the table has whatever is finished
    seeds: tuple[int, ...] = (0,)  # seeds, each a run of every variant
    jobs: int = 1  # trainings side by side, of one CPU thread each
    train: bool = True  # no: read the runs that are finished, train nothing

    # What all variants share; a variant's own options come on top
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
    eval_every: int | None = None  # epochs between evaluations (default: one, at the end)
    cpu: bool = False  # work on the CPU even where there is a GPU
    cache_dir: str | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)


class Run(NamedTuple):
    """A training of the plan: its variant, what `colornet.train` is called with and what that means."""

    name: str
    variant: str
    arguments: list[str]
    config: TrainConfig
    origin: str | None  # the name of the run that it starts from


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, train what is missing and write the comparison; mistakes exit with code 2."""
    with exiting_on_errors(quiet=False):
        config = tyro.cli(AblationOptions, args=arguments, prog="python -m benchmarks ablation", description=__doc__)
        plan, runs, wanted = check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.ablation.measure import ablate

        ablate(config, plan, runs, wanted)


def check(config: AblationOptions) -> tuple[dict[str, Any], list[Run], set[str]]:
    """Raise `InputError` for whatever would stop the ablation; name on stderr what it has to leave out.

    Return the plan, all its runs, origins first, and the variants that are to be trained.
    """
    check_alone("an ablation starts its own")
    if config.jobs < 1:
        raise InputError(f"--jobs is {config.jobs}: it must be at least 1.")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise InputError("--seeds needs numbers that are all different.")
    check_dataset(config.data)
    if config.out.exists() and not config.out.is_dir():
        raise InputError(f"--out {config.out} is a file: choose a folder.")
    plan = read_plan(config.plan)
    variants = plan["variants"]
    if unknown := [name for name in config.only if name not in variants]:
        raise InputError(f"--only {unknown[0]} is no variant of {config.plan}, which has: {', '.join(variants)}.")
    wanted = set(config.only or (name for names in plan["questions"].values() for name in names))
    wanted |= {origin for name in wanted if (origin := variants[name].get("init_from"))}
    origins_first = sorted(variants, key=lambda name: "init_from" in variants[name])  # else in the order of the plan
    # Seed by seed: a table of one seed is there before the second begins.
    runs: list[Run] = []
    left_out: dict[str, InputError] = {}
    for seed in config.seeds:
        for name in origins_first:
            try:
                run = _run(config, name, variants[name], seed)
                check_config(run.config)
            except InputError as error:  # half of one epoch, for example
                if config.train and config.only and name in wanted:
                    raise
                left_out[name] = error
            else:
                runs.append(run)
    if not runs:
        raise next(iter(left_out.values()))
    if config.train and (missing := sorted(wanted & left_out.keys())):
        print(f"Not trained: {', '.join(missing)}. {left_out[missing[0]]}", file=sys.stderr)
    return plan, runs, wanted


def read_plan(path: Path) -> dict[str, Any]:
    """Read a plan: `variants`, by name, and `questions`, each a list of their names.

    A variant has a `preset`, may have `options` of the trainer, `factors` on what numbers would be without it, and
    `init_from`, the name of another variant, whose run of the same seed it starts from. Raises `InputError` for a
    file that is none.
    """
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        variants, known = plan["variants"], {field.name for field in fields(TrainConfig)}
        for name, variant in variants.items():
            if unknown := variant.keys() - {"preset", "options", "factors", "init_from"}:
                raise ValueError(f"{name} has the unknown key {min(unknown)!r}")
            if variant["preset"] not in PRESETS:
                raise ValueError(f"{name} has no preset of the trainer")
            if unknown := (variant.get("options", {}).keys() | variant.get("factors", {}).keys()) - known:
                raise ValueError(f"{name} has {min(unknown)!r}, which is no option of the trainer")
            origin = variant.get("init_from")
            if origin is not None and "init_from" in variants[origin]:
                raise ValueError(f"{name} starts from {origin}, which starts from another")
        for names in plan["questions"].values():
            if unknown := set(names) - variants.keys():
                raise ValueError(f"{min(unknown)!r} is no variant")
    except OSError as error:
        raise InputError(f"--plan {path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"--plan {path} is no plan: {error}; compare it with ablation.json.") from error
    return plan


def _run(config: AblationOptions, name: str, variant: dict[str, Any], seed: int) -> Run:
    preset = PRESETS[variant["preset"]][1]
    shared = {field.name for field in fields(AblationOptions)} & {field.name for field in fields(TrainConfig)}
    values = {option: value for option in sorted(shared) if (value := getattr(config, option)) is not None}
    values |= variant.get("options", {})
    for option, factor in variant.get("factors", {}).items():
        base = values.get(option, getattr(preset, option))
        value = base * factor
        if isinstance(base, int) and value != int(value):
            raise InputError(
                f"{name}: {factor} × --{option.replace('_', '-')} {base} is no whole number: choose another."
            )
        values[option] = int(value) if isinstance(base, int) else value
    values.setdefault("eval_every", values.get("epochs", preset.epochs))
    origin = variant.get("init_from")
    values |= {"seed": seed, "run_dir": str(config.out / "runs" / f"{name}-{seed}"), "keep_checkpoints": 1}
    if origin is not None:
        values["init_from"] = str(config.out / "runs" / f"{origin}-{seed}")
    arguments = [variant["preset"], "--resume", "auto"]
    for option, value in values.items():
        arguments += _argument(option.replace("_", "-"), value)
    run = f"{name}-{seed}"
    return Run(run, name, arguments, parse(arguments), None if origin is None else f"{origin}-{seed}")


def _argument(option: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{option}" if value else f"--no-{option}"]
    return [f"--{option}", *map(str, value)] if isinstance(value, (list, tuple)) else [f"--{option}", str(value)]
