"""Inception features, those of torch-fidelity to the last bit."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from benchmarks.quality.pretrained_networks import full_precision, load_weights

__all__ = ["INCEPTION_SHA256", "INCEPTION_URL", "load_inception"]

INCEPTION_URL: str = URL_INCEPTION_V3
# Of 95,628,359 bytes. torch-fidelity promises no more than the eight digits in the name; the rest is what projects that
# pin this file say, all of them the same.
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"

_NAME, _LAYER = "inception-v3-compat", "2048"  # torch-fidelity's names of the network and of its last pooling


def load_inception(
    weights: Path, device: torch.device, *, sha256: str = INCEPTION_SHA256
) -> Callable[[Tensor], Tensor]:
    """Load the network behind FID: from uint8 sRGB images (n, 3, H, W) on `device` to float32 features (n, 2048) there.

    It is torch-fidelity's `inception-v3-compat`, which resizes to 299 × 299 as TensorFlow 1 did, in full float32
    whatever autocast and TF32 say. Raises InputError for a file that is not the published one; the features raise
    ValueError for images of another kind. Source: Szegedy et al. 2016, "Rethinking the Inception architecture for
    computer vision", with the weights of 2015-12-05 that Heusel et al. 2017 used.
    """
    # The extractor unpickles whatever file it is given, so it gets one that was written here.
    checked = io.BytesIO()
    torch.save(load_weights(weights, sha256), checked)
    checked.seek(0)
    network = FeatureExtractorInceptionV3(_NAME, [_LAYER], feature_extractor_weights_path=checked).to(device)
    if device.type == "cuda":  # on CPUs it is faster, too, but rounds otherwise than torch-fidelity does
        network = network.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        with full_precision(device):
            return network(images)[0]  # (n, 2048)

    return features
