"""Kill trainings at random moments, go on, and compare: `python -m benchmarks.reliability.kills`.

Each training is that of `python -m colornet.train` on 1, 2, 3 … processes over gloo. To spare the seconds that
importing torch takes, its processes are forked from this one, which never trains itself.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from colornet import train
from colornet.runs.checkpoint import find_checkpoint, load_checkpoint
from colornet.runs.provenance import provenance, read_provenance, write_json
from colornet.training.trainer import Trainer

SMALL = (
    "--image-size 16 --width 8 --multipliers 1 2 --blocks 1 --discriminator-width 8 --batch-size 12 --epochs 8 "
    "--warmup-steps 5 --save-every 3 --log-every 5 --eval-every 2 --mixed-precision no --cpu --resume auto"
)


@dataclass(frozen=True)
class FaultsOptions:
    """How often and on how many processes to kill."""

    out: str | None = None  # JSON file of the results
    processes: tuple[int, ...] = (1, 2, 3)  # numbers of processes to train on
    kills: tuple[int, ...] = (20,)  # kills for each of them, or one number for all
    preset: str = "cgan"  # what is trained
    seed: int = 0  # of the moments


def start(world: int, arguments: Sequence[str], prepare: Callable[[], None] = lambda: None) -> list[int]:
    """Fork the processes of `python -m colornet.train ARGUMENTS`, in a process group of their own: their ids by rank.

    `prepare` runs in each of them first.
    """
    folder = tempfile.mkdtemp(prefix="colornet-store-")
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
                os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}  # Accelerate wants them, nobody connects
                torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world)
            prepare()
            train.main(arguments)
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
    """Wait for processes; their exit codes, negative for a signal."""
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def final_state(run_dir: Path) -> dict[str, Tensor]:
    """Flatten a run's model and newest checkpoint to tensors by name: networks, moving average, optimizers."""
    flat: dict[str, Tensor] = load_file(run_dir / "model.safetensors")

    def visit(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, child in value.items():
                visit(f"{prefix}/{key}", child)
        else:
            flat[prefix] = value if isinstance(value, Tensor) else torch.tensor([hash(value)])

    path = find_checkpoint(run_dir / "checkpoints")
    assert path is not None, f"{run_dir} has no checkpoint"
    visit("", load_checkpoint(path))
    return flat


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Say whether two states are equal to the last bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def draw_images(folder: Path) -> None:
    """Write 60 training and 12 test images of 16×16 pixels: patches of random colors."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("test", 12)):
        for index in range(count):
            pixels = np.kron(rng.uniform(0, 255, (4, 4, 3)), np.ones((4, 4, 1))).astype(np.uint8)
            path = folder / part / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)


def note_phases(path: Path) -> Callable[[], None]:
    """Return a `prepare` that makes the first process write to `path` what it is doing."""

    def noting(method: Callable[..., None], phase: str) -> Callable[..., None]:
        def wrapper(trainer: Trainer, *arguments: Any) -> None:
            path.write_text(phase, encoding="utf-8")
            method(trainer, *arguments)
            path.write_text("between", encoding="utf-8")

        return wrapper

    def prepare() -> None:
        if os.environ.get("RANK", "0") != "0":
            return
        for method, phase in (("train_step", "step"), ("evaluate", "evaluation"), ("write", "checkpoint")):
            setattr(Trainer, method, noting(getattr(Trainer, method), phase))

    return prepare


def kill_and_go_on(config: FaultsOptions, world: int, kills: int, root: Path) -> dict[str, Any]:
    """Train without interruption, then with kills until there were enough; compare every end with the first."""
    rng = random.Random(config.seed + world)
    phase = root / "phase"
    images = ["--data", str(root / "images")]

    def launch(run_dir: Path) -> list[int]:
        phase.unlink(missing_ok=True)
        children = start(world, [config.preset, *SMALL.split(), *images, "--run-dir", str(run_dir)], note_phases(phase))
        while not phase.exists() and os.waitid(os.P_PGID, children[0], os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
        return children

    whole = root / f"{world}-whole"
    children = launch(whole)
    began = time.monotonic()
    assert finish(children) == [0] * world
    duration = time.monotonic() - began
    expected = final_state(whole)

    phases: Counter[str] = Counter()
    runs = equal = 0
    while phases.total() < kills:
        run_dir = root / f"{world}-killed-{runs}"
        while True:
            children = launch(run_dir)
            if phases.total() < kills:
                time.sleep(rng.uniform(0, duration / 2))
                os.killpg(children[0], signal.SIGKILL)
            codes = finish(children)
            if set(codes) == {0}:
                break
            assert set(codes) <= {0, -signal.SIGKILL}, codes
            phases[phase.read_text() or "between"] += 1  # empty: killed while it wrote this
        runs, equal = runs + 1, equal + same(final_state(run_dir), expected)
        left = [path.name for path in run_dir.rglob(".*")]
        assert not left, f"{run_dir} holds {left}"
    return {"processes": world, "kills": phases.total(), "killed_during": dict(sorted(phases.items())),
            "runs": runs, "bit_identical": equal, "training": read_provenance(whole)}  # fmt: skip


def main() -> None:
    """Kill, compare, write the results; exit with code 1 if a killed training ended otherwise."""
    config = tyro.cli(FaultsOptions, description=__doc__)
    kills = config.kills * len(config.processes) if len(config.kills) == 1 else config.kills
    root = Path(tempfile.mkdtemp(prefix="colornet-faults-"))
    os.environ |= {"COLORNET_DATA": str(root / "cache"), "CUDA_VISIBLE_DEVICES": ""}
    torch.set_num_threads(1)
    draw_images(root / "images")
    results: dict[str, Any] = {"kind": "reliability", "data": "random patches", "preset": config.preset}
    results |= {"options": SMALL, **provenance(torch.device("cpu")), "runs": {}}
    for world, count in zip(config.processes, kills, strict=True):
        row = kill_and_go_on(config, world, count, root)
        results["runs"][f"{world}"] = row
        shown = {name: value for name, value in row.items() if name != "training"}
        sys.stdout.write(json.dumps(shown) + "\n")
        sys.stdout.flush()
    if config.out:
        write_json(Path(config.out), results)
    shutil.rmtree(root)
    sys.exit(any(row["runs"] != row["bit_identical"] for row in results["runs"].values()))


if __name__ == "__main__":
    main()
