"""Beginning with the generator of another run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch

from colornet import train
from colornet.errors import InputError
from colornet.runs.run import load_run
from colornet.training.build import compose_trainer
from tests.conftest import small


@pytest.fixture(scope="module")
def origin(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("origin") / "ae"
    compose_trainer(small("ae", folder, run, lr=1e-2, warmup_steps=0)).fit()
    return run


@pytest.mark.parametrize("noise_channels", [0, 3])
def test_generator_and_average_begin_as_the_other_ended(
    noise_channels: int, origin: Path, folder: Path, tmp_path: Path
) -> None:
    config = small("cgan", folder, tmp_path / "run", init_from=str(origin), noise_channels=noise_channels)
    trainer = compose_trainer(config)
    _, expected = load_run(origin)
    gray = torch.randn(3, 1, 16, 16)
    for network in (trainer.generator, trainer.ema):
        assert torch.allclose(network(gray), expected(gray), atol=1e-5)
    assert expected(gray).abs().max() > 0.01
    trainer.fit()
    if noise_channels:  # it can learn to use the noise
        stem = trainer.generator.get_submodule("stem").weight
        assert isinstance(stem, torch.Tensor)
        assert stem[:, 1:].abs().max() > 0


def test_provenance_counts_all_images_that_the_weights_have_seen(origin: Path, folder: Path, tmp_path: Path) -> None:
    first = small("cgan", folder, tmp_path / "first", init_from=str(origin), batch_size=6, max_steps=5)
    compose_trainer(first).fit()
    compose_trainer(small("cgan", folder, tmp_path / "second", init_from=first.run_dir, max_steps=1)).fit()
    starts = [json.loads((tmp_path / name / "provenance.json").read_text()) for name in ("first", "second")]
    sha256 = hashlib.sha256((origin / "model.safetensors").read_bytes()).hexdigest()
    assert starts[0][0]["init_from"] == {"run": "ae", "sha256": sha256, "step": 18, "images": 18 * 8}
    assert starts[1][0]["init_from"]["images"] == 18 * 8 + 5 * 6


def test_a_resumed_run_does_not_need_its_origin(origin: Path, folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(origin, tmp_path / "copy")
    config = small("cgan", folder, tmp_path / "run", init_from=str(copy), max_steps=2, resume="auto")
    compose_trainer(config).fit()
    shutil.rmtree(copy)
    more = dataclasses.replace(config, max_steps=3)
    train.check(more)
    compose_trainer(more).fit()
    starts = json.loads((tmp_path / "run/provenance.json").read_text())
    assert ["init_from" in start for start in starts] == [True, False]


def test_a_checkpoint_that_began_with_other_weights_is_refused(origin: Path, folder: Path, tmp_path: Path) -> None:
    """Though all options are equal: the run in --init-from was replaced between two trainings."""
    copy = shutil.copytree(origin, tmp_path / "copy")
    config = small("ae", folder, tmp_path / "run", init_from=str(copy), max_steps=2, resume="auto")
    compose_trainer(config).fit()
    compose_trainer(dataclasses.replace(config, max_steps=3)).fit()
    shutil.rmtree(copy)
    compose_trainer(small("ae", folder, copy, max_steps=1)).fit()
    other = dataclasses.replace(config, run_dir=str(tmp_path / "other"))
    compose_trainer(other).fit()
    shutil.copytree(tmp_path / "run/checkpoints/step-00000003", tmp_path / "other/checkpoints/step-00000003")
    with pytest.raises(InputError, match=r"step-00000003 is not of this run \(it began with other weights"):
        compose_trainer(dataclasses.replace(other, max_steps=4)).fit()


def test_a_generator_of_another_shape_is_refused(origin: Path, folder: Path, tmp_path: Path) -> None:
    other = small("ae", folder, tmp_path / "run", init_from=str(origin), width=16, norm="batch")
    with pytest.raises(InputError, match=r"--width is 8 there, not 16; --norm is group there, not batch"):
        train.check(other)
    with pytest.raises(InputError, match="is not a run folder"):
        train.check(dataclasses.replace(other, init_from=str(tmp_path)))
    (tmp_path / "half").mkdir()
    shutil.copy(origin / "config.json", tmp_path / "half")
    with pytest.raises(InputError, match=r"has no model\.safetensors yet"):
        train.check(small("ae", folder, tmp_path / "run", init_from=str(tmp_path / "half")))
