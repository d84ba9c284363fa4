"""The measurement of `ablation`: train the variants, read their scores, count their cost."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from benchmarks.ablation.options import AblationOptions, Training, plan_study
from benchmarks.baselines.reference_rows import score_rows
from benchmarks.core.record import Record, start_record
from benchmarks.core.steps import network_sizes, training_flops
from colornet.bar import Bar
from colornet.data import load_dataset
from colornet.errors import InputError
from colornet.evaluation.processes import connect
from colornet.evaluation.validation import ValidationScore
from colornet.metrics.evaluator import evaluator_card
from colornet.runs.run import Run
from colornet.runs.saved_config import differences, load_config

_BATCH = 500  # images that are scored at a time, as in the evaluation during training
_NOTES = (
    "The validation images, by the trainer's own evaluation of the moving average at the end. Models of color_space "
    "rgb see the mean of the channels, the others L* at 8 bits. e: fd_cifar10_v2_dev as a share of the gray images'. "
    "Images, FLOPs and seconds include those of the run that a warm start began with; a multiply-add is two FLOPs; "
    "seconds are those of training steps alone, on a machine that others may have used."
)


def measure(options: AblationOptions) -> Record:
    """Train the wanted variants that are not finished; return the scores and the cost of the finished runs."""
    study = plan_study(options)
    logs = options.out / "logs"
    waiting = [training for training in study.trainings if not _finished(training) and training.variant in study.wanted]
    if options.train and waiting:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # stop the trainings, as on Ctrl-C
        _train(waiting, options.jobs, logs)
    done = {training.name: training for training in study.trainings if _finished(training)}
    done = {name: training for name, training in done.items() if training.origin is None or training.origin in done}
    if not done:
        raise InputError(f"No run in {options.out} is finished: train without --no-train.")
    problems = {name: logs / f"{name}.failed" for name in (t.name for t in study.trainings) if name not in done}
    failures = {name: path.read_text(encoding="utf-8") for name, path in problems.items() if path.is_file()}
    return _record(options, study.plan, done, failures)


def _train(trainings: list[Training], jobs: int, logs: Path) -> None:
    """Run trainings, `jobs` at a time; for each NAME that fails, write the reason to `NAME.failed` beside its log."""
    logs.mkdir(parents=True, exist_ok=True)
    # Several trainings that each use all threads would only wait for each other.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"} if jobs > 1 else os.environ
    futures: dict[str, Future[None]] = {}
    processes: list[subprocess.Popen[bytes]] = []

    def train(training: Training) -> None:
        if training.origin in futures:
            futures[training.origin].result()  # no deadlock: origins come first and so have begun
        log, problem = logs / f"{training.name}.log", logs / f"{training.name}.failed"
        problem.unlink(missing_ok=True)
        with log.open("a", encoding="utf-8") as file:
            command = [sys.executable, "-m", "colornet.train", *training.arguments]
            with subprocess.Popen(command, env=environment, stdout=file, stderr=file) as process:
                processes.append(process)
                code = process.wait()
        if code not in (0, 75, -signal.SIGTERM):  # 75: stopped, with a checkpoint
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            reason = f"exit code {code}: {lines[-1] if lines else 'no message'}"
            problem.write_text(reason, encoding="utf-8")
            print(f"{training.name} failed, {reason}", file=sys.stderr)

    with ThreadPoolExecutor(jobs) as pool, Bar(total=len(trainings), desc="Runs", unit="run") as bar:
        for training in trainings:
            futures[training.name] = pool.submit(train, training)
            futures[training.name].add_done_callback(lambda _: bar.update())
        try:
            for future in futures.values():
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in processes:
                process.terminate()  # it writes a checkpoint first; the same command resumes it
            raise


def _finished(training: Training) -> bool:
    """Tell whether a training has ended; raise `InputError` if its folder holds a run with other options."""
    run_dir = Path(training.config.run_dir)
    if not (run_dir / "config.json").is_file():
        return False
    saved = load_config(run_dir)
    if changed := differences(saved, training.config):
        raise InputError(
            f"{run_dir} holds a run with another configuration ({'; '.join(changed)}): choose another --out."
        )
    # The model card is written last; a finished run may be trained for more epochs.
    return (run_dir / "README.md").is_file() and saved.epochs == training.config.epochs


def _record(
    options: AblationOptions, plan: dict[str, Any], trainings: dict[str, Training], failures: dict[str, str]
) -> Record:
    accelerator = connect(cpu=options.cpu)
    floors, data = _floors(options, accelerator)
    gray = floors["gray"]["fd_cifar10_v2_dev"]
    runs = {name: read_run(Path(training.config.run_dir)) for name, training in trainings.items()}
    if others := [name for name, run in runs.items() if run["training"][-1]["data"] != data["fingerprint"]]:
        raise InputError(
            f"{others[0]} in {options.out} was trained on other images than those of --data {options.data}: restore "
            "them, or choose another --out."
        )
    for values in (*floors.values(), *(run["values"] for run in runs.values())):
        values["e"] = values["fd_cifar10_v2_dev"] / gray
    first = {training.variant: training.config for training in reversed(trainings.values())}
    flops = {variant: training_flops(config) for variant, config in first.items()}
    for name, training in trainings.items():
        stages = [training, *([trainings[training.origin]] if training.origin else [])]
        runs[name]["training_flops"] = sum(flops[t.variant] * runs[t.name]["images_seen_itself"] for t in stages)
        runs[name]["training_seconds"] = sum(runs[t.name]["seconds"] for t in stages)
    return {
        **start_record("ablation", accelerator.device, options),
        "data": data,
        "evaluator": evaluator_card("v2-dev"),
        "notes": _NOTES,
        "questions": plan["questions"],
        "floors": floors,
        "variants": {
            variant: {
                **plan["variants"][variant],
                "runs": [name for name, training in trainings.items() if training.variant == variant],
                "parameters": network_sizes(config),
                "training_flops_per_image": flops[variant],
            }
            for variant, config in first.items()
        },
        "runs": runs,
        "failures": failures,
    }


def _floors(options: AblationOptions, accelerator: Accelerator) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Score the rows that need no model on the validation images; return the scores and describe the images."""
    dataset = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    score = ValidationScore(dataset, accelerator, batch_size=_BATCH)
    floors = score_rows(score, dataset, ("floor", "sanity_check"))
    return floors, {
        "name": dataset.name,
        "split": "validation",
        "images": len(dataset.validation),
        "training_images": len(dataset.train),
        "image_size": options.image_size,
        "fingerprint": dataset.fingerprint,
    }


def read_run(run_dir: Path) -> dict[str, Any]:
    """Read the last scores of a finished run, the images it has seen, its loss curve, time and provenance."""
    run = Run(run_dir)
    config, values = run.config, run.validation_curve[-1]
    seen = values.pop("images")
    seconds, step = 0.0, 0
    curve: dict[str, list[float | None]] = {"images": [], "loss/reconstruction": []}
    for record in run.records:
        if rate := record.get("speed/images_per_second"):
            seconds += (record["step"] - step) * config.batch_size / rate
            step = record["step"]
            curve["images"].append(step * config.batch_size)
            curve["loss/reconstruction"].append(record.get("loss/reconstruction"))
    described = dataclasses.asdict(config)
    for name in ("data", "objective", "run_dir", "init_from", "cache_dir"):
        described[name] = described[name] and Path(described[name]).name
    return {
        "config": described,
        "training": run.starts,
        "images_seen": seen,
        "images_seen_itself": seen - run.images_before,
        "seconds": seconds,
        "values": values,
        "curve": curve,
    }
