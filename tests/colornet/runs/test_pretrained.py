"""The models that come with the package: what they say of themselves, and what they make of real images."""

from __future__ import annotations

import functools
import hashlib
import json
import socket

import pytest
import torch
from torch import Tensor

from colornet.color import rgb_to_lab, to_float
from colornet.evaluation.loop import gray_floor
from colornet.inference.colorizer import Colorizer
from colornet.metrics.image import ciede2000, colorfulness
from colornet.runs.pretrained import RELEASED, find_model
from colornet.runs.saved_config import load_config
from tests.images import photos


@functools.cache
def colored(name: str) -> Tensor:
    """Color the 40 test images, uint8 (40, 3, 32, 32), of which the model sees the gray version only."""
    return Colorizer.load(name, "cpu").colorize(gray_floor(photos()))


def cf(images: Tensor) -> float:
    return colorfulness(images).mean().item()


def error(images: Tensor) -> float:
    return ciede2000(rgb_to_lab(to_float(images)), rgb_to_lab(to_float(photos()))).mean().item()


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_model_has_a_card_and_a_record(name: str) -> None:
    folder = find_model(name)
    record = json.loads((folder / "release.json").read_text(encoding="utf-8"))
    assert record["name"] == name
    assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == record["sha256"]
    assert record["commit"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    for words in (record["sha256"], "a JPEG re-encoding of CIFAR-10", f'Colorizer.load("{name}")', "not evidence",
                  f"| CIEDE2000 | {record['test']['ciede2000']:.2f} |"):  # fmt: skip
        assert words in card
    for start in json.loads((folder / "provenance.json").read_text(encoding="utf-8")):
        assert f"`{start['command']}`, commit {start['commit']}" in card
    assert load_config(folder).data == "cifar10-jpeg"
    for path in folder.iterdir():
        assert path.suffix == ".safetensors" or '"/' not in path.read_text(encoding="utf-8"), path


def test_both_are_small() -> None:
    assert sum(path.stat().st_size for name in RELEASED for path in find_model(name).iterdir()) <= 40e6


@pytest.mark.parametrize("name", RELEASED)
def test_structure_is_kept(name: str) -> None:
    images = gray_floor(photos())
    before, after = (rgb_to_lab(to_float(pixels))[:, 0] for pixels in (images, colored(name)))
    # As far as 8 bits allow: half a level of green, which weighs most, is 0.2 of L*.
    assert (after - before).abs().max() < 0.5
    assert (after - before).abs().mean() < 0.1


@pytest.mark.parametrize("name", RELEASED)
def test_colors_follow_the_image(name: str) -> None:
    """Neither gray nor one tint for everything: another image's colors are further from the truth."""
    lab = rgb_to_lab(to_float(colored(name)))
    assert lab[:, 1:].mean((2, 3)).std(0).max() > 2  # between images
    truth = rgb_to_lab(to_float(photos()))
    swapped = torch.cat((lab[:, :1], lab[:, 1:].roll(4, 0)), dim=1)  # of another class
    assert ciede2000(lab, truth).mean() < ciede2000(swapped, truth).mean()


def test_colorfulness_and_error_are_those_of_their_kinds() -> None:
    gray, ae, cgan = error(gray_floor(photos())), error(colored("ae")), error(colored("cgan"))
    assert 5 < cf(colored("ae")) < cf(colored("cgan")) < 45
    assert cf(colored("ae")) < cf(photos())
    assert ae < gray  # regression is better than nothing
    assert cgan < 1.25 * gray  # commitment costs, but not without bounds


@pytest.mark.parametrize("name", RELEASED)
def test_loading_needs_no_network(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert Colorizer.load(name, "cpu").colorize(photos()).shape == (40, 3, 32, 32)
