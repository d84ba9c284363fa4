"""The record of `throughput`: all cases, the notebook pipeline between them, rooflines and largest batches."""

from __future__ import annotations

import itertools
import statistics

import torch

from benchmarks.baselines.notebook_pipeline import NOTEBOOK_BATCH_SIZE, NotebookPipeline
from benchmarks.core.memory import STATUS, peak_memory
from benchmarks.core.record import Record, describe_data, start_record
from benchmarks.core.steps import Case, choose_device, count_flops, input_step, release, repeat_to_epoch
from benchmarks.core.timing import copy_bandwidth, flops_of, measure_peaks, peak_name, spread, tf32_setting, time_steps
from benchmarks.throughput.largest_batch import check_memory, find_batch
from benchmarks.throughput.options import ThroughputOptions
from benchmarks.throughput.roofline import bound, trace
from benchmarks.throughput.timing import NOTEBOOK_WARMUP, Timing, plan, time_interleaved
from colornet.config import PRESETS
from colornet.data import Dataset, DeviceLoader, load_dataset
from colornet.models.build import build_generator, color_space
from colornet.models.unet import count_parameters

SPEEDS = ("images_per_second", "step_ms", "steps", "achieved_flops", "mfu")  # null in a row that was not measured

METHOD = {
    "timing": "device events on CUDA, time.perf_counter on a CPU, after the first step and --warmup more; training: "
    "the next batch of DeviceLoader and Trainer.train_step; inference: colorize_with on a uint8 batch on the device",
    "spread": "p10 and p90 are percentiles of the timed steps; images_per_second is batch_size over the median step",
    "compile_seconds": "first step of compiled networks, with an empty Inductor cache",
    "flops_per_image": "torch.utils.flop_counter over one uncompiled fp32 step, a multiply-add as two; attention as "
    "plain matrix products",
    "mfu": "achieved_flops over the peak of the row's data type; tf32 where convolutions of an fp32 row may use it",
    "peak_memory_bytes": "growth of torch.cuda.max_memory_allocated; on a CPU VmHWM of a fresh process, Python and "
    "libraries included, that makes two such steps on random images",
    "largest_batches": "training steps at powers of two, then by bisection",
    "rooflines": "see benchmarks/throughput/roofline.py; input: DeviceLoader and ColorSpace.encode alone",
    "parameters": "of the generator",
    "notebook_pipeline": f"{NOTEBOOK_WARMUP} untimed steps, then a timed segment, before the first row and after each",
    "freed_memory": "on a CPU keep_freed_memory holds for the whole process, the notebook pipeline included",
    "ratio_to_notebook": "images_per_second over that of the median training step of the two segments around the row",
}


def measure(options: ThroughputOptions) -> Record:
    """Measure all cases, and the notebook pipeline between them; return the record.

    Raises `InputError` for options that do not go with the device or the data.
    """
    device = choose_device(options.cpu)
    cases = plan(options, device)
    if options.find_batch:
        check_memory(device, options.memory_limit)
    loaded = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    dataset = repeat_to_epoch(loaded)
    precisions = ["no", *(case.config.mixed_precision for case in cases)]  # the notebook pipeline is in fp32
    peaks = measure_peaks(precisions, device)
    bandwidth = copy_bandwidth(device) if options.roofline else None
    kinds = {(case.preset, case.mode): case for case in cases}
    flops = {kind: count_flops(case, dataset) for kind, case in kinds.items()}
    release()
    notebook = None
    if options.notebook_pipeline:
        width = options.notebook_width or options.width or PRESETS["notebook-ae"].config.width
        notebook = NotebookPipeline(dataset.train, width=width, device=device)

    outcomes, segments = time_interleaved(cases, dataset, notebook, options)
    if device.type == "cpu" and options.memory and STATUS.exists():
        for case, outcome in zip(cases, outcomes, strict=True):
            if isinstance(outcome, Timing):
                outcome.peak_memory = peak_memory(case)
    rows = [
        describe_row(case, outcome, options, flops[case.preset, case.mode], peaks, before + after)
        for case, outcome, (before, after) in zip(cases, outcomes, itertools.pairwise(segments), strict=True)
    ]
    training = [(case, row) for case, row in zip(cases, rows, strict=True) if case.mode == "train"]
    rooflines = largest_batches = None
    if bandwidth is not None:
        rooflines = [describe_roofline(case, row, dataset, options, peaks, bandwidth) for case, row in training]
    if options.find_batch:
        searched = {(c.preset, c.config.mixed_precision, c.config.compile): c for c, _ in training}
        limits = options.memory_limit, options.batch_granularity
        largest_batches = [find_batch(case, *limits) for case in searched.values()]
    return {
        **start_record("throughput", device, options),
        "data": describe_data(loaded, repeated_to=len(dataset.train)),
        "method": METHOD,
        "peak": peaks,
        "bandwidth": bandwidth,
        "notebook_pipeline": describe_notebook(notebook, segments, peaks) if notebook else None,
        "rows": rows,
        "rooflines": rooflines,
        "largest_batches": largest_batches,
    }


def describe_row(
    case: Case,
    outcome: Timing | str,
    options: ThroughputOptions,
    flops: int,
    peaks: dict[str, float],
    around: list[float],
) -> Record:
    """Describe a case by its timing: its numbers, or None for each and the reason.

    `flops` are those of an image, `around` the seconds of the notebook pipeline's steps before and after the case.
    """
    config = case.config
    notebook_speed = NOTEBOOK_BATCH_SIZE / statistics.median(around) if around else None
    measured: Record = dict.fromkeys((*SPEEDS, "compile_seconds", "peak_memory_bytes"))
    if isinstance(outcome, Timing):
        peak = peaks[peak_name(config.mixed_precision, case.device)]
        measured |= speeds(outcome.steps, config.batch_size, flops, peak)
        measured["compile_seconds"] = outcome.first_step if config.compile == "on" else None
        measured["peak_memory_bytes"] = outcome.peak_memory
        no_memory = "Peak memory on a CPU is measured without --no-memory, on Linux."
        outcome = no_memory if outcome.peak_memory is None else ""
    speed = measured["images_per_second"]
    with torch.device("meta"):
        parameters = count_parameters(build_generator(config))
    return {
        "preset": case.preset,
        "mode": case.mode,
        "batch_size": config.batch_size,
        "precision": config.mixed_precision,
        "compile": config.compile == "on",
        "whole_step": config.whole_step,
        "width": config.width,
        "blocks": config.blocks if config.residual else None,
        "overrides": [name for name in ("width", "blocks") if getattr(options, name) is not None],
        "parameters": parameters,
        "flops_per_image": flops,
        **measured,
        "notebook_images_per_second": notebook_speed,
        "ratio_to_notebook": speed / notebook_speed if speed and notebook_speed else None,
        "tf32": tf32_setting(config.mixed_precision, case.device),
        "reason": outcome or None,
    }


def describe_roofline(
    case: Case, row: Record, dataset: Dataset, options: ThroughputOptions, peaks: dict[str, float], rate: float
) -> Record:
    """Describe the least time of a training step and its share of the measured step; `rate` is that of copies."""
    precision, size, measured = case.config.mixed_precision, case.config.batch_size, row["images_per_second"]
    peak = peaks[peak_name(precision, case.device)]
    limits = bound(trace(case, dataset), size, precision, peak, rate)
    seconds = None
    if measured:
        step = input_step(DeviceLoader(dataset.train, case.config, case.device), color_space(case.config))
        seconds = statistics.median(time_steps(step, options.steps, case.device, warmup=1 + options.warmup))
    release()
    return {
        **{key: row[key] for key in ("preset", "batch_size", "precision", "compile", "whole_step", "width", "blocks")},
        "peak": peak,
        "measured_images_per_second": measured,
        "share_of_bound": measured / limits["images_per_second"] if measured else None,
        "input_seconds": seconds,
        "input_share": seconds / (size / measured) if seconds else None,
        **limits,
    }


def describe_notebook(notebook: NotebookPipeline, segments: list[list[float]], peaks: dict[str, float]) -> Record:
    """Describe the notebook pipeline: the numbers of all its timed steps, and images/s of each segment."""
    flops = flops_of(notebook.step) // NOTEBOOK_BATCH_SIZE
    steps = [*itertools.chain.from_iterable(segments)]
    return {
        "batch_size": NOTEBOOK_BATCH_SIZE,
        "precision": "no",
        "compile": False,
        "width": notebook.width,
        "parameters": count_parameters(notebook.network),
        "flops_per_image": flops,
        **speeds(steps, NOTEBOOK_BATCH_SIZE, flops, peaks[peak_name("no", notebook.device)]),
        "segments": [NOTEBOOK_BATCH_SIZE / statistics.median(segment) for segment in segments],
        "tf32": tf32_setting("no", notebook.device),
    }


def speeds(steps: list[float], batch_size: int, flops: int, peak: float) -> Record:
    """Convert seconds per step to the numbers of a row; `flops` are those of an image, `peak` is in FLOP/s."""
    step = spread([1000 * seconds for seconds in steps])
    images_per_second = batch_size / (step["median"] / 1000)
    achieved = images_per_second * flops
    return dict(zip(SPEEDS, (images_per_second, step, len(steps), achieved, achieved / peak), strict=True))
