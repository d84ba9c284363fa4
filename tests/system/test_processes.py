"""Several processes over gloo: two as a user starts them, up to four to see that their number changes nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from colornet.evaluation.loop import colorize_with
from colornet.metrics.evaluator import CIFAR10_CLASSES
from colornet.runs.checkpoint import list_checkpoints, load_checkpoint
from colornet.runs.saved_config import load_config
from colornet.training.build import compose_trainer
from colornet.training.validation_loss import ValidationLoss
from tests.runs import save_run
from tests.system.server import Server

pytestmark = pytest.mark.system
LAUNCH = Path(__file__).parents[2] / "launch" / "accelerate"
COUNTS = (1, 2, 3, 4)  # of processes

# Each rank trains as `python -m colornet.train` does, then leaves its own copy of every weight.
RANK_SCRIPT = """
import os, sys
from safetensors.torch import save_file
from colornet import train
from colornet.training.trainer import Trainer

def fit_and_save(self):
    fit(self)
    networks = {name: self.accelerator.unwrap_model(n) for name, n in self.objective.networks.items()}
    networks["ema"] = self.ema
    weights = {f"{name}/{k}": value.contiguous() for name, n in networks.items() for k, value in n.state_dict().items()}
    save_file(weights, f"{sys.argv[1]}/rank{os.environ['RANK']}.safetensors")

fit, Trainer.fit = Trainer.fit, fit_and_save
train.main(sys.argv[2:])
"""


def options(folder: Path, run_dir: Path) -> list[str]:
    small = "--image-size 16 --width 8 --multipliers 1 2 --blocks 1 --discriminator-width 8 --batch-size 8 --epochs 2"
    place = ["--data", str(folder), "--run-dir", str(run_dir), "--mixed-precision", "no", "--cpu"]
    return [*small.split(), *place]


def launch(arguments: list[str], processes: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(LAUNCH / "multi_cpu.yaml")]
    command += ["--num_processes", str(processes), "--main_process_port", "0", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=150, check=False)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images with the classes of CIFAR-10, 31 of them for validation: one process has 16, the other 15."""
    root, rng = tmp_path_factory.mktemp("classes"), np.random.default_rng(0)
    for part, count in (("train", 50), ("val", 31), ("test", 10)):
        for index in range(count):
            light = np.kron(rng.uniform(0.2, 0.9, (4, 4)), np.ones((4, 4)))[..., None]
            pixels = light * rng.uniform(0.3, 1, 3) + rng.normal(0, 0.02, (16, 16, 3))
            path = root / part / CIFAR10_CLASSES[index % 10] / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pixels.clip(0, 1) * 255).round().astype(np.uint8)).save(path)
    return root


def assert_one_process_measures_the_same(run_dir: Path, weights: dict[str, Tensor]) -> None:
    """Score the model that two processes left, in this process, and compare with what they logged of it."""
    config = load_config(run_dir)
    trainer = compose_trainer(dataclasses.replace(config, run_dir=str(run_dir), num_processes=None))
    trainer.ema.load_state_dict({k.removeprefix("ema/"): v for k, v in weights.items() if k.startswith("ema/")})
    assert trainer.dataset.labels is not None
    assert len(trainer.dataset.validation) == 31
    loss = ValidationLoss(trainer.ema, trainer.space, config.reconstruction_loss, trainer.accelerator.device)
    colorize = colorize_with(loss, trainer.space, trainer.accelerator)
    expected = trainer.score(colorize, lambda _, truth: loss.add(truth))
    expected["reconstruction"] = loss.mean(trainer.accelerator)  # of what is counted once, without the padding
    logged = json.loads((run_dir / "metrics.jsonl").read_text().splitlines()[-1])
    assert {"fd_cifar10_v2_dev", "accuracy_cifar10_v2_dev", "cf", "psnr"} <= expected.keys()
    assert expected["fd_cifar10_v2_dev"] > 0.01
    for name, value in expected.items():
        assert logged[f"validation/{name}"] == pytest.approx(value, rel=1e-6), name


@pytest.mark.parametrize("preset", ["ae", "cgan", "flow"])
def test_two_processes_end_with_identical_weights(preset: str, classes: Path, server: Server, tmp_path: Path) -> None:
    script = tmp_path / "rank.py"
    script.write_text(RANK_SCRIPT)
    arguments = [preset, *options(classes, tmp_path / "run"), "--num-processes", "2"]
    said = server.run(2, str(script), [str(tmp_path), *arguments], tmp_path / "two.txt")
    assert "2 process(es) on cpu" in said
    first, second = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1))
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    assert_one_process_measures_the_same(tmp_path / "run", first)

    # The two shared one run: a second pair of eyes is one process that sees the same batches.
    server.run(1, "colornet.train", [preset, *options(classes, tmp_path / "alone")], tmp_path / "one.txt")
    together, single = (
        json.loads((tmp_path / run / "metrics.jsonl").read_text().splitlines()[-1]) for run in ("run", "alone")
    )
    assert together["validation/psnr"] == pytest.approx(single["validation/psnr"], abs=0.05)
    assert together["validation/cf_truth"] == pytest.approx(single["validation/cf_truth"], rel=1e-12)


def test_notebook_cgan_trains_in_two_processes(folder: Path, tmp_path: Path) -> None:
    """Two discriminator forwards before one update, with BatchNorm: which DDP supports in a certain order only."""
    arguments = ["notebook-cgan", *options(folder, tmp_path / "run"), "--accumulation-steps", "2"]
    result = launch(["-m", "colornet.train", *arguments])
    assert result.returncode == 0, result.stderr
    assert "BatchNorm sees the images of one process only" in result.stdout


TOGETHER_SCRIPT = """
import sys
from pathlib import Path
import torch
import torch.distributed as dist
from colornet.errors import InputError
from colornet.evaluation.processes import connected, local_first, on_all, wait_for_all
from colornet.models.discriminators import DCGANDiscriminator, PatchDiscriminator
from colornet.training.build import wrap

# A machine with one GPU, fewer than there are processes, whose use --cpu declines.
torch._C._get_accelerator = lambda *_: torch.device("cuda")

with connected(cpu=True) as accelerator:
    rank = accelerator.process_index
    first = Path(sys.argv[1]) / "first"
    with local_first(accelerator):
        assert first.exists() == (rank == 1)
        first.touch()
    wait_for_all(accelerator)
    for failing in (0, 1):
        try:
            on_all(accelerator, lambda: read(failing))
        except InputError as error:
            sys.stdout.write(f"rank {rank}: {error}\\n")  # at once: the other process writes to the same pipe
        else:
            raise SystemExit(f"rank {rank} went on")
    assert on_all(accelerator, lambda: rank) == rank

    # Spectral norms' vectors are equal already; BatchNorm's statistics are not.
    networks = wrap(accelerator, PatchDiscriminator(3, width=8)), wrap(accelerator, DCGANDiscriminator(3, width=8))
    assert [network.will_sync_module_buffers() for network in networks] == [False, True]
    del networks

# Processes part before they end, whatever happens: of those that end connected, gloo's threads abort one in eight.
assert not dist.is_initialized()
try:
    with connected(cpu=True) as accelerator:
        assert dist.get_world_size() == accelerator.num_processes == 2
        raise ValueError("a mistake")
except ValueError:
    assert not dist.is_initialized()
    sys.stdout.write("parted\\n")
"""
READ = """
def read(failing):
    with local_first(accelerator):
        if rank == failing:
            raise InputError(f"process {failing} cannot read it.")
"""


def test_what_processes_do_together_beside_fewer_gpus_than_processes(tmp_path: Path) -> None:
    """A barrier that names a GPU by the number of the process would fail here, as Accelerate's does."""
    head, body = TOGETHER_SCRIPT.split("# A machine")
    (tmp_path / "rank.py").write_text(f"{head}{READ}\n# A machine{body}")
    result = launch([str(tmp_path / "rank.py"), str(tmp_path)])
    assert result.returncode == 0, result.stderr
    said = [f"rank {rank}: process {failing} cannot read it." for rank in (0, 1) for failing in (0, 1)]
    assert sorted(line for line in result.stdout.splitlines() if line) == ["parted", "parted", *said]


def test_evaluation_never_works_alone_side_by_side(folder: Path, tmp_path: Path) -> None:
    """Without --cpu, as training: both would write the same files."""
    run = save_run(tmp_path / "run")
    result = launch(["-m", "colornet.evaluate", str(run), "--data", str(folder), "--out", str(tmp_path / "out")])
    refused = "2 processes were launched and each of them would work alone: on CPUs, add --cpu" in result.stderr
    assert refused == (result.returncode != 0)
    assert refused != (tmp_path / "out" / "comparison.json").exists()


def test_processes_never_train_alone_side_by_side(folder: Path, tmp_path: Path) -> None:
    """Without --cpu, on a machine without GPUs: some versions of Accelerate leave the processes unconnected."""
    arguments = [argument for argument in options(folder, tmp_path / "run") if argument != "--cpu"]
    result = launch(["-m", "colornet.train", "ae", *arguments])
    refused = "2 processes were launched and each of them would work alone: on CPUs, add --cpu" in result.stderr
    assert refused == (result.returncode != 0)
    assert refused or "2 process(es) on cpu" in result.stdout


def test_wrong_number_of_processes_is_refused(folder: Path, tmp_path: Path) -> None:
    result = launch(["-m", "colornet.train", "ae", *options(folder, tmp_path / "run"), "--num-processes", "4"])
    assert result.returncode != 0
    assert result.stderr.count("--num-processes 4 was asked for but 2 are running") == 1
    assert not (tmp_path / "run").exists()


# Train as `python -m colornet.train` does: in double precision, or keeping the gradients of each step in the file
# that the first argument names.
FLOAT64_SCRIPT = """
import sys
import torch
from colornet import train
from colornet.metrics.evaluator import load_evaluator

torch.set_default_dtype(torch.float64)
changed = {
    "to_float": lambda images: images.double() / 255,
    "load_evaluator": lambda name: load_evaluator(name).float(),
}
for name, module in list(sys.modules.items()):  # colornet.color is for what is imported later
    if name.startswith("colornet.") and not name.startswith("colornet.metrics"):  # these stay in single precision
        vars(module).update((name, changed[name]) for name in changed.keys() & vars(module).keys())
train.main(sys.argv[1:])
"""
GRADIENTS_SCRIPT = """
import os, sys
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
from colornet import train

steps = []
def keep(optimizer, *_):
    steps.append([p.grad.clone() for group in optimizer.param_groups for p in group["params"]])
    torch.save(steps, sys.argv[1])

if os.environ.get("RANK", "0") == "0":
    register_optimizer_step_pre_hook(keep)
train.main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def many(classes: Path, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train on one to four processes, in all the variants that the tests below compare; a folder for each run."""
    root = tmp_path_factory.mktemp("many")
    (root / "printed").mkdir()
    for name, script in (("float64", FLOAT64_SCRIPT), ("gradients", GRADIENTS_SCRIPT)):
        (root / f"{name}.py").write_text(script)

    def run(world: int, how: str, preset: str, name: str, *more: str) -> None:
        common = ["--batch-size", "12", "--epochs", "5", "--eval-every", "5", "--warmup-steps", "5"]
        common += ["--log-every", "50"]  # so that checkpoints hold sums of what is not logged yet
        if preset == "cgan":  # a penalty outside of DDP, in steps 0 and 16, and noise that is divided
            common += ["--r1-weight", "10", "--noise-channels", "2"]
        program = "colornet.train" if how == "float32" else str(root / f"{how}.py")
        first = [str(root / f"{world}.pt")] if how == "gradients" else []
        arguments = [preset, *options(classes, root / name), *common, "--resume", "auto", "--max-steps", *more]
        server.run(world, program, [*first, *arguments], root / "printed" / f"{name}.txt")

    for preset in ("ae", "cgan"):
        for world in COUNTS:
            run(world, "float64", preset, f"{preset}-{world}", "18")
        run(1, "float64", preset, f"{preset}-accumulating", "18", "--accumulation-steps", "3")
    run(2, "float64", "cgan", "cgan-from-two-to-one", "10")  # in the middle of an epoch
    run(1, "float64", "cgan", "cgan-from-two-to-one", "18")
    # The discriminator stays: Adam's first step is a sign, which rounding decides where gradients vanish.
    for world in COUNTS:
        run(world, "gradients", "cgan", f"once-{world}", "1", "--discriminator-lr", "1e-12")
    for name, step in (("whole", 8), ("parts", 3), ("parts", 8)):
        run(3, "float32", "cgan", name, str(step))
    return root


def raw_weights(run_dir: Path) -> dict[str, Tensor]:
    """Join the weights of each network, not of the moving average, to one vector."""
    parts: dict[str, list[Tensor]] = {}
    for name, value in load_checkpoint(list_checkpoints(run_dir / "checkpoints")[0]).tensors.items():
        kind, network, *_ = name.split("/", 2)
        if kind == "networks":
            parts.setdefault(network, []).append(value.flatten())
    return {network: torch.cat(vectors) for network, vectors in parts.items()}


def difference(first: Tensor, second: Tensor) -> float:
    return ((first - second).norm() / second.norm()).item()


@pytest.mark.parametrize("preset", ["ae", "cgan"])
def test_number_of_processes_does_not_change_the_result(preset: str, many: Path) -> None:
    """Nor that of micro-batches, nor a change on the way: 18 steps in float64, where rounding stays small."""
    alone = raw_weights(many / f"{preset}-1")
    assert all(vector.dtype == torch.float64 for vector in alone.values())
    others = [path for path in many.glob(f"{preset}-*") if path.name != f"{preset}-1"]
    assert len(others) == {"ae": 4, "cgan": 5}[preset]
    off = {(path.name, k): difference(v, alone[k]) for path in others for k, v in raw_weights(path).items()}
    assert {pair: value for pair, value in off.items() if not 0 < value < 1e-7} == {}  # 0: nothing was shared out


def test_number_of_processes_does_not_change_the_first_gradients(many: Path) -> None:
    alone, *others = (torch.load(many / f"{world}.pt", weights_only=True) for world in COUNTS)
    assert len(alone) == 2  # the discriminator's step, the generator's
    for other in others:
        for gradients, expected in zip(other[-2:], alone, strict=True):  # before them, those of warm_up_ddp
            vectors = [torch.cat([part.flatten() for part in parts]) for parts in (gradients, expected)]
            assert difference(*vectors) < 1e-5


def test_three_processes_resume_to_the_last_bit(many: Path) -> None:
    whole, parts = (load_checkpoint(many / name / "checkpoints/step-00000008").tensors for name in ("whole", "parts"))
    assert [name for name in whole if not torch.equal(whole[name], parts[name])] == []
    assert whole["metrics/sums"].shape[0] == 3  # of each process: the next point of the curves is the same, too
