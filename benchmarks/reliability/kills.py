"""The measurement of `kills`: kill and resume trainings, and compare them with an uninterrupted one.

Each is a training by `python -m colornet.train` on several processes over gloo. Its processes are forked from this one,
which itself does not train, so that torch is imported once.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # noqa: F401 – imported by optimizers, which takes a second: here once, before the forks
from PIL import Image

from benchmarks.core.record import Record, start_record
from benchmarks.reliability.kills_options import KillsOptions
from benchmarks.reliability.states import FailedTrainingError, final_state, same
from colornet import train
from colornet.runs.lock import LOCK
from colornet.runs.run import Run
from colornet.training.saves import Saves
from colornet.training.trainer import Trainer

SMALL = (
    "--image-size 16 --width 8 --multipliers 1 2 --blocks 1 --discriminator-width 8 --batch-size 12 --epochs 8 "
    "--warmup-steps 5 --save-every 3 --log-every 5 --eval-every 2 --mixed-precision no --cpu --resume auto"
)


def measure(options: KillsOptions) -> Record:
    """Kill and resume trainings on each number of processes; return how they ended."""
    kills = options.kills * len(options.processes) if len(options.kills) == 1 else options.kills
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="colornet-kills-") as folder:
        root = Path(folder)
        os.environ |= {"COLORNET_DATA": str(root / "cache"), "CUDA_VISIBLE_DEVICES": ""}
        _draw_images(root / "images")
        rows = {
            str(world): _kill_and_resume(options, world, count, root)
            for world, count in zip(options.processes, kills, strict=True)
        }
    record = start_record("reliability", torch.device("cpu"), options)
    return record | {"data": "random patches", "preset": options.preset, "options": SMALL, "runs": rows}


def start(world: int, work: Callable[[], object], root: Path) -> list[int]:
    """Fork processes, connected over gloo, into a new process group, and do `work` in each; return their ids by rank.

    They end as scripts do: with the code of a SystemExit, or with 1 after any other exception. They meet in a new
    folder in `root`.
    """
    folder = tempfile.mkdtemp(prefix="store-", dir=root)
    children: list[int] = []
    for rank in range(world):
        child = os.fork()
        if child:
            os.setpgid(child, children[0] if children else child)
            children.append(child)
            continue
        code = 1
        try:
            os.setpgid(0, children[0] if children else 0)
            if world > 1:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world)}
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}  # required by Accelerate, not used
                torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world)
            work()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return children


def finish(children: Sequence[int]) -> list[int]:
    """Wait for processes and return their exit codes, negative for a signal."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def _draw_images(folder: Path) -> None:
    """Write 60 training and 12 test images of 16×16 pixels: patches of random colors."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 12)):
        (folder / part).mkdir(parents=True)
        for index in range(count):
            pixels = np.kron(rng.uniform(0, 255, (4, 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)  # (16, 16, 3)
            Image.fromarray(pixels).save(folder / part / f"{index:03d}.png")


def _train_and_note_phases(arguments: Sequence[str], path: Path) -> None:
    """Train as `python -m colornet.train ARGUMENTS`; the first process writes its current phase to `path`."""

    def noting(method: Callable[..., None], phase: str) -> Callable[..., None]:
        def wrapper(owner: object, *arguments: Any) -> None:
            path.write_text(phase, encoding="utf-8")
            method(owner, *arguments)
            path.write_text("between", encoding="utf-8")

        return wrapper

    if os.environ.get("RANK", "0") == "0":
        watched = (Trainer, "train_step", "step"), (Trainer, "evaluate", "evaluation"), (Saves, "save", "checkpoint")
        for kind, method, phase in watched:
            setattr(kind, method, noting(getattr(kind, method), phase))
    train.main(arguments)


def _kill_and_resume(options: KillsOptions, world: int, kills: int, root: Path) -> dict[str, Any]:
    """Train once without interruption, then with kills until there were enough; compare the final states.

    A training that fails ends this, and is recorded: what was measured before it counts.
    """
    rng = random.Random(options.seed + world)
    phase, whole = root / "phase", root / f"{world}-whole"

    def launch(run_dir: Path) -> list[int]:
        phase.unlink(missing_ok=True)
        arguments = [options.preset, *SMALL.split(), "--data", str(root / "images"), "--run-dir", str(run_dir)]
        children = start(world, functools.partial(_train_and_note_phases, arguments, phase), root)
        while not phase.exists() and os.waitid(os.P_PGID, children[0], os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
        return children

    phases: Counter[str] = Counter()
    runs = equal = 0
    failure: str | None = None
    try:
        children = launch(whole)
        began = time.monotonic()
        if (codes := finish(children)) != [0] * world:
            raise FailedTrainingError(f"the training that nothing disturbs ended with exit codes {codes}")
        duration = time.monotonic() - began
        expected = final_state(whole)
        while phases.total() < kills:
            run_dir = root / f"{world}-killed-{runs}"
            runs += 1
            while True:
                children = launch(run_dir)
                if phases.total() < kills:
                    time.sleep(rng.uniform(0, duration / 2))
                    os.killpg(children[0], signal.SIGKILL)
                if (ended := {*finish(children)}) == {0}:
                    break
                if not ended <= {0, -signal.SIGKILL}:
                    raise FailedTrainingError(f"{run_dir.name}, resumed, ended with exit codes {sorted(ended)}")
                # Missing: killed when nothing was left to train; empty: killed while it wrote this.
                phases[(phase.exists() and phase.read_text()) or "between"] += 1
            if left := [path.name for path in run_dir.rglob(".*") if path.name != LOCK]:
                raise FailedTrainingError(f"{run_dir.name} holds {', '.join(left)}, which kills left behind")
            equal += same(final_state(run_dir), expected)
    except FailedTrainingError as error:
        failure = f"{world} process{'es' * (world > 1)}: {error}."
    return {"processes": world, "kills": phases.total(), "killed_during": dict(sorted(phases.items())), "runs": runs,
            "bit_identical": equal, "failure": failure, "training": Run(whole).starts}  # fmt: skip
