"""LPIPS, the distance between two images in the features of AlexNet, as the protocol has it: at 64 × 64 pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.quality.pretrained_networks import WeightsUnavailable, find_weights, full_precision, load_weights
from colornet.color import to_float

__all__ = ["ALEXNET_SHA256", "ALEXNET_URL", "load_lpips"]

ALEXNET_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
# Of 244,408,911 bytes. torchvision promises no more than the eight digits in the name; the rest is what projects that
# pin this file say, all of them the same.
ALEXNET_SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"

_SIZE = 64  # pixels; AlexNet needs 63


def load_lpips(
    trunk: Path | None, cache_dir: Path, device: torch.device, *, sha256: str = ALEXNET_SHA256
) -> Callable[[Tensor, Tensor], Tensor]:
    """Load LPIPS: from two batches of uint8 sRGB images (n, 3, H, W) on `device` to float32 distances (n,) there.

    0 for equal images; symmetric. Images are resized to 64 × 64 first (bilinear, antialiased where that makes them
    smaller); all is computed in full float32. The linear layers come with torchmetrics; `trunk` is torchvision's
    AlexNet, looked for and downloaded as `find_weights` does. Raises `WeightsUnavailable` if it cannot be had or
    torchmetrics is not installed, and InputError for a file that is not the published one; the distance raises
    ValueError for other images. Formula: Zhang et al. 2018, "The unreasonable effectiveness of deep features as a
    perceptual metric", version 0.1.
    """
    try:
        # Its public functions download the trunk, unpickle it and check neither; the network behind them need not.
        from torchmetrics.functional.image.lpips import _NoTrainLpips
    except ModuleNotFoundError as error:
        raise WeightsUnavailable("torchmetrics is not installed: pip install colornet[benchmarks]") from error
    weights = load_weights(find_weights(trunk, cache_dir, url=ALEXNET_URL, sha256=sha256), sha256)
    network = _NoTrainLpips(net="alex", pnet_rand=True)
    # It keeps AlexNet's features in five slices: slice2.3.weight is torchvision's features.3.weight.
    names = network.net.state_dict()
    network.net.load_state_dict({name: weights[f"features.{name.partition('.')[2]}"] for name in names})
    network.to(device)

    @torch.no_grad()
    def distance(images: Tensor, others: Tensor) -> Tensor:
        if images.dtype != torch.uint8 or others.dtype != torch.uint8 or images.shape != others.shape:
            kinds = f"{images.dtype} {tuple(images.shape)} and {others.dtype} {tuple(others.shape)}"
            raise ValueError(f"expected two equal batches of uint8 images (n, 3, H, W), not {kinds}")
        with full_precision(device):
            return network(_resized(images), _resized(others), normalize=True).flatten()  # (n,)

    return distance


def _resized(images: Tensor) -> Tensor:
    """Turn uint8 images (n, 3, H, W) into float32 (n, 3, 64, 64) in [0, 1]."""
    return F.interpolate(to_float(images), size=(_SIZE, _SIZE), mode="bilinear", antialias=True)
