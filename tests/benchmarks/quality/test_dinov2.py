"""DINOv2 against its formulas and torch-fidelity's preprocessing, tiny and with random weights made here.

No feature computed here is a result: the network has never been trained.
"""

from __future__ import annotations

import hashlib
import math
import pickle
import re
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

from benchmarks.quality.dinov2 import load_dinov2
from colornet.errors import InputError
from tests.benchmarks.quality.test_inception import Payload
from tests.images import photos

CPU = torch.device("cpu")
DEPTH, HEADS, WIDTH = 2, 2, 128
SIDE = 37  # patches of the images that it was trained on


class Reference(torch.nn.Module):
    """DINOv2 as its authors describe it, from weights under their names: (n, 3, 224, 224) → (n, D)."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.weights = weights

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (WIDTH,), self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], 1e-6)

    def forward(self, images: Tensor) -> Tensor:
        w = self.weights
        patches = F.conv2d(images, w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], stride=14)
        plane = w["pos_embed"][:, 1:].reshape(1, SIDE, SIDE, WIDTH).permute(0, 3, 1, 2)
        places = F.interpolate(plane, scale_factor=(16.1 / SIDE, 16.1 / SIDE), mode="bicubic")
        first = (w["cls_token"] + w["pos_embed"][:, :1]).expand(len(images), -1, -1)
        x = torch.cat((first, (patches + places).flatten(2).mT), dim=1)
        for block in (f"blocks.{index}" for index in range(DEPTH)):
            qkv = self.linear(self.norm(x, f"{block}.norm1"), f"{block}.attn.qkv")
            q, k, v = (part.unflatten(2, (HEADS, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=2))
            weights = (q @ k.mT / math.sqrt(WIDTH // HEADS)).softmax(-1)
            attended = self.linear((weights @ v).transpose(1, 2).flatten(2), f"{block}.attn.proj")
            x = x + w[f"{block}.ls1.gamma"] * attended
            hidden = F.gelu(self.linear(self.norm(x, f"{block}.norm2"), f"{block}.mlp.fc1"))
            x = x + w[f"{block}.ls2.gamma"] * self.linear(hidden, f"{block}.mlp.fc2")
        return self.norm(x, "norm")[:, 0]


def random_weights() -> dict[str, Tensor]:
    """Draw weights under the names and in the shapes of the published file, which has a token that is not used here."""
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, WIDTH), "mask_token": (1, WIDTH), "pos_embed": (1, 1 + SIDE**2, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, 14, 14), "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,), "norm.bias": (WIDTH,),
    }  # fmt: skip
    for index in range(DEPTH):
        for name, *shape in (("attn.qkv", 3 * WIDTH, WIDTH), ("attn.proj", WIDTH, WIDTH),
                             ("mlp.fc1", 4 * WIDTH, WIDTH), ("mlp.fc2", WIDTH, 4 * WIDTH),
                             ("norm1", WIDTH), ("norm2", WIDTH)):  # fmt: skip
            shapes |= {f"blocks.{index}.{name}.weight": tuple(shape), f"blocks.{index}.{name}.bias": (shape[0],)}
        shapes |= {f"blocks.{index}.{name}.gamma": (WIDTH,) for name in ("ls1", "ls2")}
    generator = torch.Generator().manual_seed(0)
    return {name: 0.1 * torch.randn(shape, generator=generator) + ("norm" in name) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dinov2") / "weights.pth"
    torch.save(random_weights(), path)
    return path


def test_features_are_those_of_torch_fidelity(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its extractor gets the reference instead of what it downloads, and prepares the images."""
    monkeypatch.setattr(torch.hub, "load", lambda *_: Reference(random_weights()))
    monkeypatch.setenv("XFORMERS_DISABLED", "")  # which it sets
    fidelity = FeatureExtractorDinoV2("dinov2-vit-l-14", ["dinov2"])
    features = load_dinov2(weights, weights.parent, CPU, sha256=hashlib.sha256(weights.read_bytes()).hexdigest())
    with torch.autocast("cpu", torch.bfloat16):
        found = features(photos()[:3])
    assert (found.dtype, found.shape, found.requires_grad) == (torch.float32, (3, WIDTH), False)
    torch.testing.assert_close(found, fidelity(photos()[:3])[0], rtol=1e-3, atol=1e-4)
    assert (found[0] - found[1]).abs().max() > 0.01  # it tells images apart
    with pytest.raises(ValueError, match="expected uint8 images"):
        features(photos()[:1] / 255)


def test_another_file_is_refused_and_code_is_not_run(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"'{re.escape(str(weights))}' should have the sha256 d5383ea8"):
        load_dinov2(weights, tmp_path, CPU)
    mark, path = tmp_path / "mark", tmp_path / "weights.pth"
    torch.save({"cls_token": Payload(mark)}, path)
    with pytest.raises(pickle.UnpicklingError):
        load_dinov2(path, tmp_path, CPU, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    assert not mark.exists()
