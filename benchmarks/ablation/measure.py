"""The measurement of `ablation`: train the variants, read what the runs logged, add what they cost."""

from __future__ import annotations

import dataclasses
import functools
import os
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from tqdm import tqdm

from benchmarks.ablation.options import AblationOptions, Run, plan_study
from benchmarks.baselines.reference_rows import reference_rows
from benchmarks.core.record import Record, start_record
from benchmarks.core.timing import flops_of
from colornet.config import TrainConfig
from colornet.data import load_dataset
from colornet.errors import InputError
from colornet.evaluation.validation import ValidationScore
from colornet.metrics.evaluator import evaluator_card
from colornet.models.build import build_generator
from colornet.models.unet import count_parameters
from colornet.objectives import Objective
from colornet.objectives.adversarial import R1_INTERVAL
from colornet.runs.run import Run as TrainedRun
from colornet.runs.saved_config import differences, load_config
from colornet.training.build import compose_objective

_BATCH = 500  # images of the floors that are scored at a time, as in the trainings' own evaluation
_COUNTED = 16  # images of the step whose operations are counted
_NOTES = (
    "The validation images, by the trainer's own evaluation of the moving average at the end. Models of color_space "
    "rgb see the mean of the channels, the others L* at 8 bits. e: fd_cifar10_dev as a share of the gray images'. "
    "Images, FLOPs and seconds include those of the run that a warm start began with; a multiply-add is two FLOPs; "
    "seconds are those of training steps alone, on a machine that others may have used."
)


def measure(options: AblationOptions) -> Record:
    """Train those of the wanted variants that are not finished; return what the finished runs measured and cost."""
    study = plan_study(options)
    waiting = [run for run in study.runs if not _finished(run) and run.variant in study.wanted]
    if options.train and waiting:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # else the trainings would continue alone
        try:
            _train(options, waiting)
        finally:
            signal.signal(signal.SIGTERM, before)
    done = {run.name: run for run in study.runs if _finished(run)}
    done = {name: run for name, run in done.items() if run.origin is None or run.origin in done}
    if not done:
        raise InputError(f"No run in {options.out} is finished: train without --no-train.")
    problems = {run.name: _problem(options, run) for run in study.runs if run.name not in done}
    failures = {name: path.read_text(encoding="utf-8") for name, path in problems.items() if path.is_file()}
    return _record(options, study.plan, done, failures)


def _problem(options: AblationOptions, run: Run) -> Path:
    """Return the path of the file that says why a run failed."""
    return options.out / "logs" / f"{run.name}.failed"


def _train(options: AblationOptions, runs: list[Run]) -> None:
    """Train runs, `options.jobs` at a time; for each that failed, leave a sentence in the file `_problem`."""
    logs = options.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    # Trainings side by side that each used all threads would only wait for each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if options.jobs > 1 else os.environ
    futures: dict[str, Future[None]] = {}
    processes: list[subprocess.Popen[bytes]] = []

    def train(run: Run) -> None:
        if run.origin in futures:
            futures[run.origin].result()  # origins come first and so have begun: to wait for one is no deadlock
        log, problem = logs / f"{run.name}.log", _problem(options, run)
        problem.unlink(missing_ok=True)
        with log.open("a", encoding="utf-8") as file:
            command = [sys.executable, "-m", "colornet.train", *run.arguments]
            with subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
                processes.append(process)
                code = process.wait()
        if code not in (0, 75, -signal.SIGTERM):  # 75: stopped, with a checkpoint
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            problem.write_text(f"exit code {code}: {lines[-1] if lines else 'no word'}", encoding="utf-8")
            print(f"{run.name} failed, {problem.read_text(encoding='utf-8')}", file=sys.stderr)

    with ThreadPoolExecutor(options.jobs) as pool, tqdm(total=len(runs), desc="Runs", unit="run", disable=None) as bar:
        for run in runs:
            futures[run.name] = pool.submit(train, run)
            futures[run.name].add_done_callback(lambda _: bar.update())
        try:
            for future in futures.values():
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()  # it writes a checkpoint first; the same command resumes it
            raise


def _finished(run: Run) -> bool:
    """Tell whether a run has ended; raise `InputError` if its folder holds a run with other options."""
    run_dir = Path(run.config.run_dir)
    if not (run_dir / "config.json").is_file():
        return False
    if changed := differences(load_config(run_dir), run.config):
        raise InputError(
            f"{run_dir} holds a run with another configuration ({'; '.join(changed)}): choose another --out."
        )
    return (run_dir / "README.md").is_file()  # the model card, which is written last


def _record(options: AblationOptions, plan: dict[str, Any], runs: dict[str, Run], failures: dict[str, str]) -> Record:
    accelerator = Accelerator(mixed_precision="no", cpu=options.cpu)
    floors, data = _floors(options, accelerator)
    gray = floors["gray"]["fd_cifar10_dev"]
    read = {name: read_run(Path(run.config.run_dir)) for name, run in runs.items()}
    if others := [name for name, run in read.items() if run["training"][-1]["data"] != data["fingerprint"]]:
        raise InputError(
            f"{others[0]} in {options.out} was trained on other images than those of --data {options.data}: restore "
            "them, or choose another --out."
        )
    for values in (*floors.values(), *(run["values"] for run in read.values())):
        values["e"] = values["fd_cifar10_dev"] / gray
    first = {run.variant: run.config for run in reversed(runs.values())}
    flops = {variant: training_flops(config) for variant, config in first.items()}
    for name, run in runs.items():
        stages = [run, runs[run.origin]] if run.origin is not None else [run]
        read[name]["training_flops"] = sum(flops[r.variant] * read[r.name]["images_seen_itself"] for r in stages)
        read[name]["training_seconds"] = sum(read[r.name]["seconds"] for r in stages)
    return {
        **start_record("ablation", accelerator.device, options),
        "data": data,
        "evaluator": evaluator_card("dev"),
        "notes": _NOTES,
        "questions": plan["questions"],
        "floors": floors,
        "variants": {
            variant: {
                **plan["variants"][variant],
                "runs": [run.name for run in runs.values() if run.variant == variant],
                "parameters": _parameters(config),
                "training_flops_per_image": flops[variant],
            }
            for variant, config in first.items()
        },
        "runs": read,
        "failures": failures,
    }


def _floors(options: AblationOptions, accelerator: Accelerator) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Score the rows that need no model on the validation images; return them and what the images are."""
    cache_dir = Path(options.cache_dir) if options.cache_dir else None
    dataset = load_dataset(options.data, image_size=options.image_size, cache_dir=cache_dir, progress=True)
    images = dataset.validation
    score = ValidationScore(dataset, accelerator, batch_size=_BATCH)
    floors = {}
    for row in reference_rows():
        if row.kind not in ("floor", "sanity_check"):
            continue
        made = iter(row.make(images, dataset.train).split(_BATCH))

        def colorize(_: Tensor, made: Any = made) -> Tensor:  # in the order of the images, by one process
            batch: Tensor = next(made).to(accelerator.device)
            return batch

        floors[row.name] = score(colorize)
    return floors, {
        "name": dataset.name,
        "split": "validation",
        "images": len(images),
        "training_images": len(dataset.train),
        "image_size": options.image_size,
        "fingerprint": dataset.fingerprint,
    }


def read_run(run_dir: Path) -> dict[str, Any]:
    """Read of a finished run what it measured last, what it has seen, how its loss fell, its time and its origin."""
    run = TrainedRun(run_dir)
    config, last = run.config, run.validations[-1]
    values = {n.removeprefix("validation/"): v for n, v in last.items() if n.startswith("validation/")}
    own = last["step"] * config.batch_size
    seconds, step = 0.0, 0
    curve: dict[str, list[float]] = {"images": [], "loss/reconstruction": []}
    for record in run.records:
        if rate := record.get("speed/images_per_second"):
            seconds += (record["step"] - step) * config.batch_size / rate
            step = record["step"]
            curve["images"].append(step * config.batch_size)
            curve["loss/reconstruction"].append(record["loss/reconstruction"])
    paths = {
        n: Path(v).name for n in ("data", "objective", "run_dir", "init_from", "cache_dir") if (v := getattr(config, n))
    }
    return {
        "config": {**dataclasses.asdict(config), **paths},
        "training": run.starts,
        "images_seen": own + run.images_before,  # that of what it was started from included
        "images_seen_itself": own,
        "seconds": seconds,
        "values": values,
        "curve": curve,
    }


def _parameters(config: TrainConfig) -> dict[str, int]:
    return {name: count_parameters(network) for name, network in _objective(config).networks.items()}


def training_flops(config: TrainConfig) -> float:
    """Count the floating-point operations of training per image; lazy penalties by their share of the steps."""
    objective = _objective(config)
    images = torch.randint(0, 256, (_COUNTED, 3, config.image_size, config.image_size), dtype=torch.uint8)
    noise = [torch.randn(_COUNTED, config.noise_channels)] if config.noise_channels else None
    step = functools.partial(objective.training_step, [images], noise=noise)
    usual, penalized = (flops_of(functools.partial(step, step=number)) for number in (1, 0))
    return (usual + (penalized - usual) / R1_INTERVAL) / _COUNTED


def _objective(config: TrainConfig) -> Objective:
    """Build what a configuration trains, on the CPU and not compiled."""
    AcceleratorState._reset_state(reset_partial_state=True)  # it may hold a GPU and would refuse the CPU
    accelerator = Accelerator(mixed_precision="no", cpu=True)
    return compose_objective(dataclasses.replace(config, compile="off"), accelerator, build_generator(config))
