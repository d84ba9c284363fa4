"""The training loop, exactly: resume against uninterrupted, micro-batches against one batch, one batch overfitted."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from colornet import train
from colornet.config import TrainConfig
from colornet.errors import DivergedError, InputError
from colornet.runs.checkpoint import list_checkpoints, load_checkpoint
from colornet.runs.run import Run, load_run
from colornet.training.build import compose_trainer
from colornet.training.optimization import learning_rate_factor, update_ema
from colornet.training.trainer import Trainer
from tests.conftest import small

ALL = ["ae", "cgan", "notebook-ae", "notebook-cgan"]


def state(run_dir: Path) -> dict[str, Tensor]:
    """Load the tensors of the newest checkpoint: networks, moving average and optimizers."""
    return load_checkpoint(list_checkpoints(run_dir / "checkpoints")[0]).tensors


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


RECIPE: dict[str, Any] = {"r1_weight": 10.0, "noise_channels": 3}


@pytest.mark.parametrize(
    ("preset", "changes"), [*((name, {}) for name in ALL), ("cgan", RECIPE), ("ae", {"norm": "batch"})]
)
def test_resumed_run_equals_an_uninterrupted_one_to_the_last_bit(
    preset: str, changes: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    whole = small(preset, folder, tmp_path / "whole", **changes)
    compose_trainer(whole).fit()
    # 18 steps, stopped in the middle of the second epoch
    parts = dataclasses.replace(whole, run_dir=str(tmp_path / "parts"), resume="auto", max_steps=8)
    compose_trainer(parts).fit()
    halfway = state(tmp_path / "parts")
    compose_trainer(dataclasses.replace(parts, max_steps=None)).fit()
    assert_same(state(tmp_path / "whole"), state(tmp_path / "parts"))
    assert_same(load_file(tmp_path / "whole/model.safetensors"), load_file(tmp_path / "parts/model.safetensors"))
    moved = [n for n, v in state(tmp_path / "parts").items() if not torch.equal(v, halfway[n])]
    assert not [n for n in halfway if n.startswith("metrics/")]  # a point of the curves has just ended
    assert len(moved) > 10


def test_images_may_be_streamed_in_part_of_a_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = small("ae", folder, tmp_path / "whole")
    compose_trainer(whole).fit()
    assert "streamed to the device" not in capsys.readouterr().out
    parts = dataclasses.replace(whole, run_dir=str(tmp_path / "parts"), resume="auto")
    compose_trainer(dataclasses.replace(parts, max_steps=4)).fit()
    compose_trainer(dataclasses.replace(parts, max_steps=14, device_budget=0)).fit()
    assert "of 16×16 pixels, streamed to the device\n" in capsys.readouterr().out
    compose_trainer(parts).fit()
    assert_same(state(tmp_path / "whole"), state(tmp_path / "parts"))


def test_resumed_run_shows_one_curve(folder: Path, tmp_path: Path) -> None:
    config = small("ae", folder, tmp_path / "run", resume="auto", save_every=5, log_every=1)
    trainer = compose_trainer(dataclasses.replace(config, max_steps=9))
    trainer.fit()
    # As if the run had been killed after step 9, with the checkpoint of step 6 as its last: 7 to 9 come again.
    for checkpoint in list_checkpoints(tmp_path / "run/checkpoints")[:1]:
        for file in checkpoint.iterdir():
            file.write_bytes(b"")
    compose_trainer(config).fit()

    steps = [record["step"] for record in Run(tmp_path / "run").records if "loss/reconstruction" in record]
    assert steps == list(range(1, 19))
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [event.step for event in events.Scalars("loss/reconstruction")] == list(range(1, 19))
    assert [event.step for event in events.Scalars("validation/psnr")][-2:] == [12, 18]


@pytest.mark.parametrize("preset", ["ae", "cgan", "flow"])
def test_resumed_run_logs_the_same_numbers(preset: str, folder: Path, tmp_path: Path) -> None:
    """Stopped between two points, and killed after a checkpoint: no point averages fewer steps."""
    whole = small(preset, folder, tmp_path / "whole", log_every=5, save_every=4)
    compose_trainer(whole).fit()
    parts = dataclasses.replace(whole, run_dir=str(tmp_path / "parts"), resume="auto")
    compose_trainer(dataclasses.replace(parts, max_steps=12)).fit()  # an evaluation is due there anyway
    last, *_ = list_checkpoints(tmp_path / "parts/checkpoints")
    shutil.rmtree(last)
    compose_trainer(dataclasses.replace(parts, max_steps=12)).fit()  # from step 8
    assert Run(tmp_path / "parts").records[-2]["step"] == 12  # as far as it went
    compose_trainer(parts).fit()
    records = [
        [
            {name: value for name, value in record.items() if not name.startswith("speed/")}
            for record in Run(path).records
        ]
        for path in (tmp_path / "whole", tmp_path / "parts")
    ]
    assert records[0] == records[1]
    assert [record["step"] for record in records[0]] == [5, 6, 10, 12, 15, 18, 18]


def test_a_run_trained_longer_is_one_that_was_to_be_as_long(folder: Path, tmp_path: Path) -> None:
    whole = small("ae", folder, tmp_path / "whole", lr_schedule="constant", epochs=3)
    compose_trainer(whole).fit()
    parts = dataclasses.replace(whole, run_dir=str(tmp_path / "parts"), resume="auto")
    compose_trainer(dataclasses.replace(parts, epochs=2)).fit()
    train.check(parts)
    compose_trainer(parts).fit()
    assert_same(state(tmp_path / "whole"), state(tmp_path / "parts"))


def test_micro_batches_may_change_on_the_way(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = small("ae", folder, tmp_path / "run", resume="auto", max_steps=1)
    compose_trainer(config).fit()
    changed = dataclasses.replace(config, max_steps=2, accumulation_steps=4)
    train.check(changed)
    compose_trainer(changed).fit()
    said = "--accumulation-steps was 1 and is 4: the result will be the same except for rounding."
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [said]


def test_fewer_steps_than_were_made_train_nothing(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small("ae", folder, tmp_path / "run", resume="auto", max_steps=4)
    compose_trainer(config).fit()
    before = state(tmp_path / "run")
    trainer = compose_trainer(dataclasses.replace(config, max_steps=3))
    trainer.fit()
    assert trainer.step == 4
    assert "finished at step 4 of 3" in capsys.readouterr().out
    assert_same(state(tmp_path / "run"), before)
    assert [path.name for path in list_checkpoints(tmp_path / "run/checkpoints")] == ["step-00000004"]


def test_what_a_finished_run_lacks_is_written_by_its_next_start(folder: Path, tmp_path: Path) -> None:
    """It was killed before its card was written; or its model was damaged later."""
    config = small("ae", folder, tmp_path / "run", resume="auto", max_steps=2)
    compose_trainer(config).fit()
    card, model = tmp_path / "run/README.md", tmp_path / "run/model.safetensors"
    text, weights = card.read_text(), model.read_bytes()
    card.unlink()
    model.write_bytes(weights[:-1] + b"?")
    compose_trainer(config).fit()
    assert card.read_text().partition("## Origin")[0] == text.partition("## Origin")[0]
    assert model.read_bytes() == weights
    written = model.stat().st_mtime_ns
    compose_trainer(config).fit()
    assert model.stat().st_mtime_ns == written


def test_a_run_whose_folder_goes_ends_with_a_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And makes no other one, of which nothing but the end would be there."""
    arguments = ["ae", "--data", str(folder), "--run-dir", str(tmp_path / "run"), "--image-size", "16", "--width", "8"]
    more = ["--batch-size", "8", "--mixed-precision", "no", "--cpu", "--epochs", "3", "--log-every", "1"]
    step = Trainer.train_step

    def removing(trainer: Trainer, microbatches: list[Tensor]) -> None:
        if trainer.step == 7:
            shutil.rmtree((tmp_path / "run").rename(tmp_path / "gone"))  # at once: TensorBoard's thread writes there
        step(trainer, microbatches)

    monkeypatch.setattr(Trainer, "train_step", removing)
    with pytest.raises(SystemExit) as caught:
        train.main([*arguments, *more])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert "the folder was removed or renamed during the training" in message
    assert "Traceback" not in message
    assert not (tmp_path / "run").exists()


def test_a_scale_of_fp16_that_collapses_stops_the_run(folder: Path, tmp_path: Path) -> None:
    """Every gradient overflows and every step is skipped; the losses stay finite."""
    trainer = compose_trainer(small("ae", folder, tmp_path / "run", max_steps=18))
    scaler = torch.amp.GradScaler("cpu", growth_interval=100)  # as Accelerate makes one for GPUs
    trainer.accelerator.scaler = scaler
    for optimizer in trainer.objective.optimizers.values():
        optimizer.__init__(optimizer.optimizer, scaler=scaler)  # type: ignore[misc, attr-defined]  # as for fp16
    (head,) = [p for n, p in trainer.generator.named_parameters() if n == "head.2.bias"]
    head.register_hook(lambda gradient: gradient * math.inf)
    with pytest.raises(DivergedError, match=r"overflow fp16: at step 18, the scale of the loss has fallen to 0\.25; "):
        trainer.fit()


def test_run_folder_holds_what_others_script_against(folder: Path, tmp_path: Path) -> None:
    compose_trainer(small("cgan", folder, tmp_path / "run")).fit()
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {"config.json", "metrics.jsonl", "checkpoints", "model.safetensors", "samples", "provenance.json"}
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert [path.name for path in list_checkpoints(tmp_path / "run/checkpoints")] == ["step-00000018", "step-00000012"]
    tags = EventAccumulator(str(tmp_path / "run")).Reload().Tags()
    wanted = {"loss/reconstruction", "loss/discriminator", "lr/generator", "speed/images_per_second", "validation/cf"}
    assert set(tags["scalars"]) >= wanted | {"grad_norm/generator"}
    assert set(tags["images"]) == {"samples/gray, output, truth", "colors/a*b* of output, truth"}
    assert set(tags["histograms"]) == {"chroma/output", "chroma/truth"}
    assert len(list((tmp_path / "run/samples").glob("*.png"))) == 3


def test_saved_model_is_the_moving_average(folder: Path, tmp_path: Path) -> None:
    trainer = compose_trainer(small("ae", folder, tmp_path / "run"))
    trainer.fit()
    _, generator = load_run(tmp_path / "run")
    gray = torch.randn(2, 1, 16, 16)
    assert torch.equal(generator(gray), trainer.ema(gray))
    assert not torch.equal(generator(gray), trainer.generator(gray))


@pytest.mark.parametrize(("preset", "changes"), [("ae", {}), ("cgan", {}), ("cgan", RECIPE)])
def test_accumulation_equals_the_larger_batch(
    preset: str, changes: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    gradients = []
    for pieces in (1, 4):
        # Adam's first step is the sign of the gradient, which rounding decides near 0: too small a step to matter.
        steps = {"max_steps": 1, "discriminator_lr": 1e-12}
        config = small(preset, folder, tmp_path / str(pieces), accumulation_steps=pieces, **steps, **changes)
        trainer = compose_trainer(config)
        trainer.fit()
        gradients.append(Run(tmp_path / str(pieces)).records[0])
    names = [name for name in gradients[0] if name.startswith(("loss/", "grad_norm/", "logits/"))]
    assert len(names) >= 2
    for name in names:
        assert gradients[0][name] == pytest.approx(gradients[1][name], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("preset", ALL)
def test_one_batch_can_be_learned_by_heart(preset: str, folder: Path, tmp_path: Path) -> None:
    config = small(preset, folder, tmp_path / "run", width=16, lr=2e-3, epochs=100, lr_schedule="constant", flip=False)
    trainer = compose_trainer(config)
    batch = next(trainer.loader.epoch(0))
    first = trainer.objective.training_step(batch)["loss/reconstruction"]
    for _ in range(120):
        last = trainer.objective.training_step(batch)["loss/reconstruction"]
    assert last < 0.25 * first


def test_discriminator_learns_to_tell_the_generator_from_the_truth(folder: Path, tmp_path: Path) -> None:
    config = small("cgan", folder, tmp_path / "run", lr=1e-9, discriminator_lr=2e-3)
    trainer = compose_trainer(config)
    batch = next(trainer.loader.epoch(0))
    for _ in range(60):
        logs = trainer.objective.training_step(batch)
    assert logs["loss/discriminator"] < 0.5  # 1 where it cannot
    assert logs["logits/real"] > 0 > logs["logits/fake"]


def test_generators_update_leaves_no_gradient_on_the_discriminator(folder: Path, tmp_path: Path) -> None:
    trainer = compose_trainer(small("cgan", folder, tmp_path / "run"))
    trainer.train_step(next(trainer.loader.epoch(0)))
    discriminator = trainer.objective.networks["discriminator"]
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_not_a_number_stops_the_run_and_is_never_saved(folder: Path, tmp_path: Path) -> None:
    trainer = compose_trainer(small("ae", folder, tmp_path / "run", lr=1e18, lr_schedule="constant", log_every=4))
    with pytest.raises(DivergedError, match=r"not finite since step [1-4]; there is no checkpoint yet"):
        trainer.fit()
    assert not list_checkpoints(tmp_path / "run/checkpoints")


def test_a_diverged_model_is_neither_logged_nor_evaluated(folder: Path, tmp_path: Path) -> None:
    """Every sixth step ends an epoch: the evaluation is due before anything is logged or saved."""
    steps: dict[str, Any] = {"log_every": 100, "max_steps": 6}
    trainer = compose_trainer(small("ae", folder, tmp_path / "run", lr=1e18, lr_schedule="constant", **steps))
    with pytest.raises(DivergedError, match=r"not finite since step [1-6]"):
        trainer.fit()
    assert Run(tmp_path / "run").records == []
    assert not (tmp_path / "run" / "samples").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux")
def test_a_full_stdout_is_not_taken_for_the_disk_of_the_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = compose_trainer(small("ae", folder, tmp_path / "run"))
    full = Path("/dev/full").open("w", encoding="utf-8")  # noqa: SIM115  # closing fails
    with contextlib.suppress(OSError), full, monkeypatch.context() as context:
        context.setattr(sys, "stdout", full)
        with pytest.raises(InputError, match=r"^What is printed cannot be written: No space left on device; free"):
            trainer.fit()


def test_a_closed_stdout_stops_the_run_with_a_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `train … | head -1` does: no full disk, and nothing is lost."""
    reader, writer = os.pipe()
    os.close(reader)
    config = small("ae", folder, tmp_path / "run")
    trainer = compose_trainer(config)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "w") as closed, monkeypatch.context() as context:
        context.setattr(sys, "stdout", closed)
        trainer.fit()
    assert (trainer.step, trainer.preempted, trainer.console.closed) == (1, True, True)
    compose_trainer(dataclasses.replace(config, resume="auto")).fit()
    compose_trainer(dataclasses.replace(config, run_dir=str(tmp_path / "whole"))).fit()
    assert_same(state(tmp_path / "run"), state(tmp_path / "whole"))


def test_not_a_number_names_the_last_good_checkpoint(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = compose_trainer(small("ae", folder, tmp_path / "run"))
    step = trainer.train_step

    def poisoned(microbatches: list[Tensor]) -> None:
        if trainer.step == 8:
            with torch.no_grad():
                next(trainer.generator.parameters()).fill_(math.nan)
        step(microbatches)

    monkeypatch.setattr(trainer, "train_step", poisoned)
    with pytest.raises(DivergedError, match=r"since step 9; the last good checkpoint is .*step-00000006"):
        trainer.fit()


def test_changed_images_are_refused_on_resume(folder: Path, tmp_path: Path) -> None:
    config = small("ae", folder, tmp_path / "run", max_steps=2)
    compose_trainer(config).fit()
    trainer = compose_trainer(dataclasses.replace(config, resume="auto"))
    trainer.saves.data = "of other images"
    with pytest.raises(InputError, match=r"are not those that .* was trained on"):
        trainer.fit()


def test_moving_average_of_a_short_run_is_not_its_initial_weights() -> None:
    average, network = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.zeros_(average.weight)
    nn.init.ones_(network.weight)
    for step in range(1, 101):
        update_ema(average, network, 0.9999, step)
    assert average.weight.item() > 0.99


@pytest.mark.parametrize(("decay", "step", "share"), [(0.9999, 1, 9 / 11), (0.9, 10_000, 0.1), (0.0, 1, 1.0)])
def test_moving_average_warms_up_and_settles_at_its_decay(decay: float, step: int, share: float) -> None:
    average, network = nn.Linear(1, 1), nn.Linear(1, 1)
    nn.init.zeros_(average.weight)
    nn.init.ones_(network.weight)
    update_ema(average, network, decay, step)
    assert average.weight.item() == pytest.approx(share)


@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        ("constant", 299, 1.0),
        ("cosine", 0, 1.0),
        ("cosine", 150, 0.5),
        ("cosine", 300, 0.0),
        ("exponential", 99, 1.0),
        ("exponential", 100, 0.9),
        ("exponential", 299, 0.81),
    ],
)
def test_learning_rate_schedules(schedule: Any, step: int, factor: float) -> None:
    config = TrainConfig(epochs=3, lr_schedule=schedule, lr_decay=0.9, warmup_steps=0)
    assert learning_rate_factor(config, step, steps_per_epoch=100) == pytest.approx(factor)


def test_learning_rate_warms_up() -> None:
    config = TrainConfig(lr_schedule="constant", warmup_steps=10)
    assert [learning_rate_factor(config, step, 100) for step in (0, 4, 9, 50)] == pytest.approx([0.1, 0.5, 1, 1])
