"""The study behind `python -m benchmarks ablation`: train, read what the runs logged, add what they cost."""

from __future__ import annotations

import dataclasses
import functools
import json
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

from benchmarks.ablation.curves import draw
from benchmarks.ablation.options import AblationOptions, Run
from benchmarks.ablation.tables import format_table
from benchmarks.baselines.reference_rows import reference_rows
from benchmarks.core.timing import flops_of
from colornet.config import TrainConfig, differences, load_config
from colornet.data import load_dataset
from colornet.errors import InputError
from colornet.evaluation.validation import ValidationScore
from colornet.files import replacing
from colornet.metrics.features import evaluator_card, load_evaluator
from colornet.models.build import build_discriminator, build_generator
from colornet.models.unet import count_parameters
from colornet.objectives import R1_INTERVAL
from colornet.runs.model_card import validations
from colornet.runs.provenance import images_before, provenance, read_provenance, write_json
from colornet.training.build import compose_objective

__all__ = ["ablate", "read_run", "training_flops"]

_BATCH = 500  # images of the floors that are scored at a time, as in the trainings' own evaluation
_COUNTED = 16  # images of the step whose operations are counted


def ablate(config: AblationOptions, plan: dict[str, Any], runs: list[Run], wanted: set[str]) -> None:
    """Train those of the wanted variants that are not finished, then measure, print and write what there is."""
    waiting = [run for run in runs if not _finished(run) and run.variant in wanted]
    if config.train and waiting:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the trainings would go on alone
        try:
            _train(config, waiting)
        finally:
            signal.signal(signal.SIGTERM, before)
    done = {run.name: run for run in runs if _finished(run)}
    done = {name: run for name, run in done.items() if run.origin is None or run.origin in done}
    problems = {run.name: _problem(config, run) for run in runs if run.name not in done}
    failures = {name: path.read_text(encoding="utf-8") for name, path in problems.items() if path.is_file()}
    if not done:
        raise InputError(f"No run in {config.out} is finished: train without --no-train.")
    record = _record(config, plan, done, failures)
    write_json(config.out / "ablation.json", record)
    table = format_table(record)
    with replacing(config.out / "ablation.md") as path:
        path.write_text(table + "\n", encoding="utf-8")
    draw(record, config.out / "curves.png")
    print(f"{table}\n\nWritten to {config.out}: ablation.json, ablation.md, curves.png")


def _problem(config: AblationOptions, run: Run) -> Path:
    """Name the file that says why a run failed."""
    return config.out / "logs" / f"{run.name}.failed"


def _train(config: AblationOptions, runs: list[Run]) -> None:
    """Train runs, some side by side; leave a sentence in the file `_problem` of each that failed."""
    logs = config.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    # Two at a time on the threads of all would only wait for each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if config.jobs > 1 else os.environ
    futures: dict[str, Future[None]] = {}
    processes: list[subprocess.Popen[bytes]] = []

    def train(run: Run) -> None:
        if run.origin in futures:
            futures[run.origin].result()  # origins come first and so have begun: to wait for one is no deadlock
        log, problem = logs / f"{run.name}.log", _problem(config, run)
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

    with ThreadPoolExecutor(config.jobs) as pool, tqdm(total=len(runs), desc="Runs", unit="run", disable=None) as bar:
        for run in runs:
            futures[run.name] = pool.submit(train, run)
            futures[run.name].add_done_callback(lambda _: bar.update())
        try:
            for future in futures.values():
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()  # it writes a checkpoint first; the same command goes on from there
            raise


def _finished(run: Run) -> bool:
    """Tell whether a run has ended; raise `InputError` if what lies in its place is another."""
    run_dir = Path(run.config.run_dir)
    if not (run_dir / "config.json").is_file():
        return False
    if changed := differences(load_config(run_dir), run.config):
        raise InputError(
            f"{run_dir} holds a run with another configuration ({'; '.join(changed)}): choose another --out."
        )
    return (run_dir / "README.md").is_file()  # the model card, the last that is written


def _record(
    config: AblationOptions, plan: dict[str, Any], runs: dict[str, Run], failures: dict[str, str]
) -> dict[str, Any]:
    accelerator = Accelerator(mixed_precision="no", cpu=config.cpu)
    floors, data = _floors(config, accelerator)
    gray = floors["gray"]["fd_cifar10_dev"]
    read = {name: read_run(Path(run.config.run_dir)) for name, run in runs.items()}
    if others := [name for name, run in read.items() if run["training"][-1]["data"] != data["fingerprint"]]:
        raise InputError(
            f"{others[0]} in {config.out} was trained on other images than those of --data {config.data}: restore "
            "them, or choose another --out."
        )
    for values in (*floors.values(), *(run["values"] for run in read.values())):
        values["e"] = values["fd_cifar10_dev"] / gray
    first = {run.variant: run.config for run in reversed(runs.values())}
    flops = {variant: training_flops(run_config) for variant, run_config in first.items()}
    for name, run in runs.items():
        stages = [run, runs[run.origin]] if run.origin is not None else [run]
        read[name]["training_flops"] = sum(flops[r.variant] * read[r.name]["images_seen_itself"] for r in stages)
        read[name]["training_seconds"] = sum(read[r.name]["seconds"] for r in stages)
    return {
        "kind": "ablation",
        **provenance(accelerator.device),
        "data": data,
        "evaluator": evaluator_card("dev"),
        "notes": "The validation images, by the trainer's own evaluation of the moving average at the end. Models of "
        "color_space rgb see the mean of the channels, the others L* at 8 bits. e: fd_cifar10_dev as a share of the "
        "gray images'. Images, FLOPs and seconds include those of the run that a warm start began with; a multiply-add "
        "is two FLOPs; seconds are those of training steps alone, on a machine that others may have used.",
        "questions": plan["questions"],
        "floors": floors,
        "variants": {
            variant: {
                **plan["variants"][variant],
                "runs": [run.name for run in runs.values() if run.variant == variant],
                "parameters": _parameters(run_config),
                "training_flops_per_image": flops[variant],
            }
            for variant, run_config in first.items()
        },
        "runs": read,
        "failures": failures,
    }


def _floors(config: AblationOptions, accelerator: Accelerator) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Score the rows that need no model on the validation images; return them and what the images are."""
    cache_dir = Path(config.cache_dir) if config.cache_dir else None
    dataset = load_dataset(config.data, image_size=config.image_size, cache_dir=cache_dir, progress=True)
    images = dataset.validation
    evaluator = load_evaluator("dev").to(accelerator.device)
    score = ValidationScore(evaluator, dataset, accelerator, batch_size=_BATCH)
    floors = {}
    for row in reference_rows():
        if row.kind not in ("floor", "nonsense"):
            continue
        made = iter(row.make(images, dataset.train).split(_BATCH))

        def colorize(_: Tensor, made: Any = made) -> Tensor:  # in the order of the images, by one process
            batch: Tensor = next(made).to(accelerator.device)
            return batch

        floors[row.name] = score(colorize, images)
    return floors, {
        "name": dataset.name,
        "split": "validation",
        "images": len(images),
        "training_images": len(dataset.train),
        "image_size": config.image_size,
        "fingerprint": dataset.fingerprint,
    }


def read_run(run_dir: Path) -> dict[str, Any]:
    """Read of a finished run what it measured last, what it has seen, how its loss fell, its time and its origin."""
    config = load_config(run_dir)
    records = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    last = validations(run_dir)[-1]
    values = {n.removeprefix("validation/"): v for n, v in last.items() if n.startswith("validation/")}
    own = last["step"] * config.batch_size
    seconds, step = 0.0, 0
    curve: dict[str, list[float]] = {"images": [], "loss/reconstruction": []}
    for record in records:
        if rate := record.get("speed/images_per_second"):
            seconds += (record["step"] - step) * config.batch_size / rate
            step = record["step"]
            curve["images"].append(step * config.batch_size)
            curve["loss/reconstruction"].append(record["loss/reconstruction"])
    paths = {n: Path(v).name for n in ("data", "run_dir", "init_from", "cache_dir") if (v := getattr(config, n))}
    return {
        "config": {**dataclasses.asdict(config), **paths},
        "training": read_provenance(run_dir),
        "images_seen": own + images_before(run_dir),  # that of what it was started from included
        "images_seen_itself": own,
        "seconds": seconds,
        "values": values,
        "curve": curve,
    }


def _parameters(config: TrainConfig) -> dict[str, int]:
    with torch.device("meta"):
        counts = {"generator": count_parameters(build_generator(config))}
        if config.objective == "adversarial":
            counts["discriminator"] = count_parameters(build_discriminator(config))
    return counts


def training_flops(config: TrainConfig) -> float:
    """Count the floating-point operations of training per image; lazy penalties by their share of the steps."""
    AcceleratorState._reset_state(reset_partial_state=True)  # it may hold a GPU and would refuse the CPU
    accelerator = Accelerator(mixed_precision="no", cpu=True)
    config = dataclasses.replace(config, compile="off")
    discriminator = build_discriminator(config) if config.objective == "adversarial" else None
    objective = compose_objective(config, accelerator, build_generator(config), discriminator)
    images = torch.randint(0, 256, (_COUNTED, 3, config.image_size, config.image_size), dtype=torch.uint8)
    noise = [torch.randn(_COUNTED, config.noise_channels)] if config.noise_channels else None
    step = functools.partial(objective.training_step, [images], noise=noise)
    usual, penalized = (flops_of(functools.partial(step, step=number)) for number in (1, 0))
    return (usual + (penalized - usual) / R1_INTERVAL) / _COUNTED
