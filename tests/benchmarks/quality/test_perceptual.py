"""LPIPS with a random trunk made here, against the library's own; no value computed here is a result."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import alexnet

from benchmarks.quality import pretrained_networks
from benchmarks.quality.pretrained_networks import MissingWeightsError, load_lpips
from colornet.errors import InputError

library = pytest.importorskip("torchmetrics.functional.image.lpips")

CPU = torch.device("cpu")


def pixels(n: int, seed: int = 0, size: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def features() -> nn.Module:
    """Build AlexNet's convolutions with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return alexnet(weights=None).features


@pytest.fixture(scope="module")
def trunk(features: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write them under the names of torchvision's file, which holds a classifier, too."""
    path = tmp_path_factory.mktemp("lpips") / "alexnet.pth"
    weights = {f"features.{name}": value for name, value in features.state_dict().items()}
    torch.save(weights | {"classifier.6.bias": torch.zeros(1000)}, path)
    return path


@pytest.fixture(scope="module")
def lpips(trunk: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Tensor, Tensor], Tensor]:
    sha256 = hashlib.sha256(trunk.read_bytes()).hexdigest()
    return load_lpips(trunk, tmp_path_factory.mktemp("cache"), CPU, sha256=sha256)


def test_lpips_is_a_distance(lpips: Callable[[Tensor, Tensor], Tensor]) -> None:
    x, y = pixels(3), pixels(3, seed=1)
    values = lpips(x, y)
    assert values.shape == (3,)
    assert values.dtype == torch.float32
    assert (values > 0).all()
    assert torch.equal(values, lpips(y, x))
    assert torch.equal(lpips(x, x), torch.zeros(3))
    between = ((x.int() + y.int()) // 2).to(torch.uint8)
    assert (lpips(x, between) < values).all()


@pytest.mark.parametrize("size", [32, 64])
def test_lpips_is_that_of_the_library(
    size: int, lpips: Callable[[Tensor, Tensor], Tensor], features: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_get_tv_model_features", lambda *_: features)  # instead of a download
    x, y = pixels(2, size=size), pixels(2, seed=1, size=size)
    a, b = (F.interpolate(images / 255, size=(64, 64), mode="bilinear") for images in (x, y))
    expected = library.learned_perceptual_image_patch_similarity(
        a, b, net_type="alex", reduction="none", normalize=True
    )
    torch.testing.assert_close(lpips(x, y), expected, rtol=1e-5, atol=0)


def test_lpips_does_not_depend_on_batch_or_autocast(lpips: Callable[[Tensor, Tensor], Tensor]) -> None:
    x, y = pixels(3), pixels(3, seed=1)
    values = lpips(x, y)
    assert lpips(x[2:], y[2:]).shape == (1,)
    torch.testing.assert_close(lpips(x[2:], y[2:]), values[2:], rtol=1e-5, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(lpips(x, y), values)


@pytest.mark.parametrize("others", [pixels(2), pixels(3) / 255, pixels(3, size=16)])
def test_pairs_that_do_not_match_are_refused(lpips: Callable[[Tensor, Tensor], Tensor], others: Tensor) -> None:
    with pytest.raises(ValueError, match="two equal batches of uint8 images"):
        lpips(pixels(3), others)


def test_another_trunk_is_refused(trunk: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="7be5be79"):  # the published one, unless told otherwise
        load_lpips(trunk, tmp_path, CPU)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained_networks, "ALEXNET_URL", (tmp_path / "alexnet.pth").as_uri())
    with pytest.raises(MissingWeightsError, match=r"alexnet\.pth is not in .* cannot be downloaded"):
        load_lpips(None, tmp_path / "cache", CPU)
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image.lpips", None)  # as if it were not there
    with pytest.raises(MissingWeightsError, match=r'pip install "\.\[benchmarks\]"'):
        load_lpips(None, tmp_path / "cache", CPU)
