"""Measure speed: images per second of training and inference, beside the original notebooks' pipeline in the same run.

`python -m benchmarks throughput --presets ae notebook-ae --out throughput.json` times the steps of training and the
inference path as `colornet` itself composes them: presets × batch sizes × precisions × compilation.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from benchmarks.core.checks import check_alone, check_out, option
from benchmarks.throughput.roofline_table import format_rooflines
from colornet.config import TrainConfig, check_config
from colornet.data.check import check_dataset
from colornet.errors import InputError, exiting_on_errors
from colornet.presets import PRESETS

__all__ = ["EPOCH_IMAGES", "NOTEBOOK_FACTOR", "ThroughputOptions", "check", "check_presets", "format_table",
           "main", "parse", "preset_config", "sized_preset"]  # fmt: skip

EPOCH_IMAGES = 45_000  # training images of CIFAR-10: other data is repeated to have as many, so epochs are as long
NOTEBOOK_FACTOR = 16  # the notebooks' network halves the size four times


@dataclass(frozen=True)
class ThroughputOptions:
    """What is timed, how often, and where the numbers go."""

    presets: tuple[str, ...] = ("ae", "cgan", "notebook-ae", "notebook-cgan")  # presets of colornet.train
    batch_sizes: tuple[int, ...] = (64, 256)  # images per step
    precisions: tuple[Literal["auto", "no", "bf16", "fp16"], ...] = ("auto",)  # mixed precision; auto: as in training
    compile: tuple[Literal["auto", "on", "off"], ...] = ("auto",)  # torch.compile; auto: on for GPUs
    width: int | None = None  # channels of the first level of every network, also of the notebook pipeline's
    notebook_width: int | None = None  # channels of the notebook pipeline's first level (default: --width, else 64)
    blocks: int | None = None  # blocks per level of the residual generators
    activation_checkpointing: bool = False  # compute the generators' activations twice instead of keeping them
    steps: int = 30  # timed steps of each row
    warmup: int = 10  # steps before them that are not timed, beyond the first, which compiles
    notebook_pipeline: bool = True  # time the notebook pipeline before the first row and after every row
    notebook_steps: int = 10  # its timed steps each time
    roofline: bool = False  # print what each layer of a training step would take at best, and the step's share of that
    find_batch: bool = False  # search the largest batch that fits in memory; on a CPU in --memory-limit
    batch_granularity: int = 64  # how closely: beyond a power of two, multiples of this are tried
    memory_limit: float | None = None  # GiB that such a batch may occupy
    memory: bool = True  # on a CPU, measure the peak memory of each row in a fresh process
    data: str = "sample"  # cifar10, sample, or a folder of images; speed does not depend on what they show
    image_size: int = 32  # side of the square images, pixels
    cache_dir: Path | None = None  # folder of downloads and decoded images (default: ~/.cache/colornet)
    cpu: bool = False  # work on the CPU even where there is a GPU
    out: Path | None = None  # JSON file for the numbers; must not exist yet


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, print the table and write the JSON; mistakes of the user exit with code 2."""
    quiet = os.environ.get("RANK", "0") != "0"
    with exiting_on_errors(quiet=quiet):
        config = parse(arguments, quiet=quiet)
        check(config)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        from benchmarks.throughput.measure import measure
        from colornet.runs.provenance import write_json

        record = measure(config)
        print(format_table(record), flush=True)
        if config.out is not None:
            write_json(config.out, record)
            print(f"\nWritten to {config.out}")


def parse(arguments: Sequence[str] | None = None, *, quiet: bool = False) -> ThroughputOptions:
    """Turn options into a configuration; a mistyped option exits with code 2 and its near miss."""
    return tyro.cli(
        ThroughputOptions,
        args=arguments,
        prog="python -m benchmarks throughput",
        description=__doc__,
        console_outputs=not quiet,
    )


def preset_config(config: ThroughputOptions, preset: str, batch_size: int) -> TrainConfig:
    """Return a preset as it would train, at a batch size, with the options that hold for all rows."""
    return sized_preset(
        preset,
        config.width,
        config.blocks,
        data=config.data,
        image_size=config.image_size,
        batch_size=batch_size,
        cpu=config.cpu,
        activation_checkpointing=config.activation_checkpointing,
    )


def sized_preset(preset: str, width: int | None, blocks: int | None, **values: Any) -> TrainConfig:
    """Return a preset with other values, the width of all networks and the blocks a level among them unless None."""
    if width is not None:
        values |= {"width": width, "discriminator_width": width}
    if blocks is not None:
        values["blocks"] = blocks
    return dataclasses.replace(PRESETS[preset][1], **values)


def check_presets(presets: Sequence[str]) -> None:
    """Raise `InputError` for a name that is no preset of colornet.train."""
    for preset in presets:
        if preset not in PRESETS:
            raise InputError(f"--presets names {preset!r}: it must be one of {', '.join(PRESETS)}.")


def check(config: ThroughputOptions) -> None:
    """Raise `InputError` for whatever would stop the measurement, without importing torch or touching a file."""
    check_alone("throughput is measured in one")
    check_presets(config.presets)
    for name in ("presets", "batch_sizes", "precisions", "compile"):
        if not getattr(config, name):
            raise InputError(f"{option(name)} is empty: name at least one.")
    for name, least in (("width", 1), ("notebook_width", 1), ("blocks", 1), ("steps", 1), ("warmup", 0),
                        ("notebook_steps", 1), ("batch_granularity", 1)):  # fmt: skip
        value = getattr(config, name)
        if value is not None and value < least:
            raise InputError(f"{option(name)} is {value}: it must be at least {least}.")
    for size in config.batch_sizes:
        if not 1 <= size <= EPOCH_IMAGES:
            raise InputError(f"--batch-sizes names {size}: it must be at least 1 and at most {EPOCH_IMAGES:,}.")
        for preset in config.presets:
            check_config(preset_config(config, preset, size))
    if config.notebook_pipeline and config.image_size % NOTEBOOK_FACTOR:
        raise InputError(
            f"--image-size is {config.image_size}: the notebook pipeline needs a multiple of {NOTEBOOK_FACTOR}; "
            "change it or leave the pipeline out by --no-notebook-pipeline."
        )
    if config.memory_limit is not None:
        if not 0 < config.memory_limit < math.inf:
            raise InputError(f"--memory-limit is {config.memory_limit}: it must be a positive number of GiB.")
        if not config.find_batch:
            raise InputError("--memory-limit is for --find-batch only: add that or leave it out.")
    check_dataset(config.data)
    check_out(config.out)


# Table

_HEADINGS = ("preset", "mode", "batch", "precision", "compile", "width", "images/s", "step ms (p10–p90)", "GFLOP/s",
             "MFU", "memory MiB", "compile s", "× notebook")  # fmt: skip
_LEFT = {"preset", "mode", "precision", "compile"}  # columns of words


def format_table(record: dict[str, Any]) -> str:
    """Lay out a record as a table in Markdown that reads as plain text, too, with what its numbers need below it."""
    reasons = list(dict.fromkeys(row["reason"] for row in record["rows"] if row["reason"]))
    seed = record["notebook_pipeline"]
    lines = [_notebook_cells(seed)] if seed else []
    lines += [_cells(row, reasons) for row in record["rows"]]
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *lines, strict=True)]
    rules = ["-" * w if h in _LEFT else "-" * (w - 1) + ":" for h, w in zip(_HEADINGS, widths, strict=True)]
    table = "\n".join(_line(cells, widths) for cells in ([*_HEADINGS], rules, *lines))
    parts = [_caption(record), table, _notes(record, reasons)]
    if record["rooflines"]:
        parts.append(format_rooflines(record))
    if record["largest_batches"]:
        parts.append("\n".join(map(_largest, record["largest_batches"])))
    return "\n\n".join(parts)


def _largest(found: dict[str, Any]) -> str:
    """Say in a line which batch is the largest of a preset."""
    precision = "fp32" if found["precision"] == "no" else found["precision"]
    case = f"{found['preset']}, {precision}{', compiled' if found['compile'] else ''}"
    limit = found["memory_limit_bytes"]
    where = "this device" if limit is None else f"{limit / 2**30:g} GiB"
    if found["batch_size"] is None:
        return f"Largest batch of {case}: not even the smallest fits in {where}"
    more = " or more" if found["capped"] else f" (tried in steps of {found['granularity']})"
    peak = _digits(found["peak_memory_bytes"], 2**20)
    return f"Largest batch of {case} in {where}: {found['batch_size']}{more}, {peak} MiB at its peak"


def _caption(record: dict[str, Any]) -> str:
    overrides = [f"--{name} {value}" for name in ("width", "blocks") if (value := record["options"][name]) is not None]
    reduced = f"; {' '.join(overrides)}, not the presets' own" if overrides else ""
    if record["options"]["activation_checkpointing"]:
        reduced += "; activations checkpointed"
    size = record["options"]["image_size"]
    return f"Throughput on {record['device']}: images of {size}×{size} pixels{reduced}"


def _cells(row: dict[str, Any], reasons: list[str]) -> list[str]:
    """Write the cells of a row; a dash where there is no number, that of memory with a reference to the reason."""
    step = row["step_ms"]
    times = f"{_digits(step['median'])} ({_digits(step['p10'])}–{_digits(step['p90'])})" if step else "–"
    memory = _digits(row["peak_memory_bytes"], 2**20)
    precision = "fp32" if row["precision"] == "no" else row["precision"]
    return [
        row["preset"],
        row["mode"],
        str(row["batch_size"]),
        f"{precision}, TF32 {row['tf32']}" if row["tf32"] else precision,
        "on" if row["compile"] else "off",
        str(row["width"]),
        _digits(row["images_per_second"]),
        times,
        _digits(row["achieved_flops"], 1e9),
        "–" if row["mfu"] is None else f"{row['mfu']:.1%}",
        f"{memory} [{reasons.index(row['reason']) + 1}]" if row["reason"] else memory,
        _digits(row["compile_seconds"]),
        "–" if row["ratio_to_notebook"] is None else f"{row['ratio_to_notebook']:.2f}",
    ]


def _notebook_cells(seed: dict[str, Any]) -> list[str]:
    """Write the cells of the notebook pipeline, in terms of which the last column of the others is."""
    absent = {"peak_memory_bytes": None, "compile_seconds": None, "reason": None}
    return _cells({"preset": "notebook pipeline", "mode": "train", "ratio_to_notebook": 1.0, **absent, **seed}, [])


def _digits(value: float | None, unit: float = 1) -> str:
    """Write a number in multiples of a unit with three digits or all of its integer part; a dash for None."""
    if value is None:
        return "–"
    value /= unit
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [c.ljust(w) if h in _LEFT else c.rjust(w) for h, c, w in zip(_HEADINGS, cells, widths, strict=True)]
    return f"| {' | '.join(padded)} |"


def _notes(record: dict[str, Any], reasons: list[str]) -> str:
    peaks = ", ".join(f"{name} {_digits(flops, 1e9)} GFLOP/s" for name, flops in record["peak"].items())
    notes = [f"MFU: share of the measured peak of matrix products and convolutions ({peaks})."]
    if seed := record["notebook_pipeline"]:
        slowest, fastest = min(seed["segments"]), max(seed["segments"])
        notes.append(
            "× notebook: images/s over those of the notebook pipeline, which trains in rows of inference too, timed "
            f"right before and right after the row; its {len(seed['segments'])} segments made {_digits(slowest)} to "
            f"{_digits(fastest)} images/s."
        )
    return "\n".join(notes + [f"[{number}] {reason}" for number, reason in enumerate(reasons, start=1)])
