"""Losses of the discriminator and the generator, and distances between colors."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor], Tensor]


class AdversarialLoss(NamedTuple):
    """What discriminator and generator minimize, as functions from logits of any shape to a scalar."""

    real: Loss  # the discriminator, on true images
    fake: Loss  # the discriminator, on generated images
    generator: Loss  # the generator, on its images


ADVERSARIAL_LOSSES = {
    # Lim & Ye 2017, "Geometric GAN"; Miyato et al. 2018 with spectral normalization.
    "hinge": AdversarialLoss(
        real=lambda logits: F.relu(1 - logits).mean(),
        fake=lambda logits: F.relu(1 + logits).mean(),
        generator=lambda logits: -logits.mean(),
    ),
    # Goodfellow et al. 2014, with the non-saturating generator loss; softplus is the cross-entropy of a sigmoid. With
    # an R1 penalty this is the pair of Mescheder et al. 2018 and of StyleGAN2.
    "bce": AdversarialLoss(
        real=lambda logits: F.softplus(-logits).mean(),
        fake=lambda logits: F.softplus(logits).mean(),
        generator=lambda logits: F.softplus(-logits).mean(),
    ),
}

RECONSTRUCTION_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"l1": F.l1_loss, "mse": F.mse_loss}
