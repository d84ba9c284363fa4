"""Which test images have a near-duplicate among the training images: a colorizer may have memorized their colors.

CIFAR-10 has 3.3 % of them by human judgment (Barz and Denzler 2020, "Do We Train on Test Data?"), in a list of indices
into the original files. A rule finds them in any copy of the data: the details of L* correlate.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from colornet.color import rgb_to_lab, to_float

THRESHOLD = 0.8
"""Correlation from which on two images count as near-duplicates: it finds 3.5 % of the test images of `cifar10-jpeg`.

Of the inspected pairs, nearly all from 0.87 on show the same photograph or object, about half of those between 0.8 and
0.87, and fewer below: it leaves out too many rather than too few.
"""

_BATCH = 1000


def near_duplicates(images: Tensor, training: Tensor) -> Tensor:
    """Find which of uint8 images (N, 3, H, W) have a near-duplicate, mirrored or not, among others (M, 3, H, W): (N,).

    Two images are near-duplicates if the details of their L* correlate by at least `THRESHOLD`: L* at half the
    resolution less a version of it that is blurred fourfold, so that a common horizon does not count.
    """
    keys = torch.cat([_details(batch) for batch in training.split(_BATCH)])  # (M, D)
    found = []
    for batch in images.split(_BATCH):
        queries = torch.cat((_details(batch), _details(batch.flip(3))))  # (2 n, D)
        closest = torch.stack([(queries @ part.T).amax(1) for part in keys.split(5 * _BATCH)]).amax(0)  # (2 n,)
        found.append(closest.unflatten(0, (2, -1)).amax(0) >= THRESHOLD)  # (n,)
    return torch.cat(found)


def _details(images: Tensor) -> Tensor:
    """Return the details of the L* of uint8 images (n, 3, H, W) as vectors of length 1, (n, H / 2 * W / 2)."""
    lightness = F.avg_pool2d(rgb_to_lab(to_float(images))[:, :1], 2)  # (n, 1, H / 2, W / 2)
    height, width = (max(1, size // 4) for size in lightness.shape[-2:])
    coarse = F.adaptive_avg_pool2d(lightness, (height, width))  # (n, 1, H / 8, W / 8)
    blurred = F.interpolate(coarse, size=lightness.shape[-2:], mode="bilinear")  # (n, 1, H / 2, W / 2)
    return F.normalize((lightness - blurred).flatten(1))
