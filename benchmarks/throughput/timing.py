"""How long the steps of each case take, with the notebook pipeline timed in between."""

from __future__ import annotations

import dataclasses
import itertools
import tempfile
from dataclasses import dataclass

import torch
from accelerate.utils import patch_environment

from benchmarks.baselines.notebook_pipeline import NotebookPipeline
from benchmarks.core.presets import sized_preset
from benchmarks.core.steps import Case, build_step, release, settle
from benchmarks.core.timing import time_steps
from benchmarks.throughput.options import ThroughputOptions
from colornet.bar import Bar
from colornet.data import Dataset
from colornet.errors import InputError

NOTEBOOK_WARMUP = 2  # steps of the notebook pipeline that are not timed, in each segment


@dataclass
class Timing:
    """Seconds of the first step and of each timed step; bytes of memory at the peak, None where unknown."""

    first_step: float
    steps: list[float]
    peak_memory: int | None


def plan(options: ThroughputOptions, device: torch.device) -> list[Case]:
    """List the cases in the order of the table: `auto` replaced by what it chooses on this device, none twice."""
    if "fp16" in options.precisions and device.type == "cpu":
        raise InputError("--precisions fp16 needs a GPU: choose bf16, no or auto.")
    cases = []
    product = itertools.product(options.presets, options.batch_sizes, options.precisions, options.compile)
    for preset, batch_size, precision, compiled in product:
        values = {"batch_size": batch_size, "mixed_precision": precision, "compile": compiled}
        config = settle(sized_preset(options, preset, **values), device)
        for whole in options.whole_steps:
            cases.append(Case(preset, "train", dataclasses.replace(config, whole_step=whole == "on")))
        cases.append(Case(preset, "inference", config))
    return [case for case in dict.fromkeys(cases) if case.mode in options.modes]


def time_interleaved(
    cases: list[Case], dataset: Dataset, notebook: NotebookPipeline | None, options: ThroughputOptions
) -> tuple[list[Timing | str], list[list[float]]]:
    """Time the cases with a segment of the notebook pipeline before the first and after each.

    Returns what `time_case` does for each case, and seconds of the steps of each segment, one segment more than there
    are cases; without a notebook pipeline they are empty.
    """
    outcomes: list[Timing | str] = []
    # Compile into an empty cache: code of an earlier run would shorten a first step.
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        patch_environment(TORCHINDUCTOR_CACHE_DIR=folder),
        Bar(cases, unit="row") as bar,
    ):
        segments = [time_notebook(notebook, options.notebook_steps)]
        for case in bar:
            bar.set_postfix_str(f"{case.preset}, {case.mode}, {case.config.batch_size}")
            outcomes.append(time_case(case, dataset, options))
            release()
            segments.append(time_notebook(notebook, options.notebook_steps))
    return outcomes, segments


def time_notebook(notebook: NotebookPipeline | None, steps: int) -> list[float]:
    """Time a segment of the notebook pipeline, seconds per step; empty where there is no pipeline."""
    if notebook is None:
        return []
    torch.backends.cudnn.benchmark = False  # torch's default, which the notebooks do not touch
    return time_steps(notebook.step, steps, notebook.device, warmup=NOTEBOOK_WARMUP)


def time_case(case: Case, dataset: Dataset, options: ThroughputOptions) -> Timing | str:
    """Build the networks of a case and time its first step and, after the warm-up, `options.steps` of them.

    Returns a sentence where it does not fit in the memory of the device.
    """
    on_gpu = case.device.type == "cuda"
    allocated = torch.cuda.memory_allocated() if on_gpu else 0
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    try:
        step = build_step(case, dataset)
        (first,) = time_steps(step, 1, case.device)
        steps = time_steps(step, options.steps, case.device, warmup=options.warmup)
    except torch.OutOfMemoryError as error:
        return f"Does not fit in memory: {str(error).splitlines()[0]}"
    return Timing(first, steps, torch.cuda.max_memory_allocated() - allocated if on_gpu else None)
