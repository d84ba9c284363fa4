"""The original notebooks' training, written from its description: the baseline of every speed measurement.

Nothing is tuned: images pass through PIL and `ToTensor` one by one, the default `DataLoader` collates them in the
training process, a Python loop makes them gray, the network computes in fp32 without compilation, and `.item()` waits
for the device in every step. The decay of the learning rate after each epoch is left out: it costs no time.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.optim import Adam
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import ToTensor

from colornet.config import PRESETS
from colornet.models.unet import UNet

NOTEBOOK_BATCH_SIZE = 64


class PerImageDataset(Dataset[tuple[Tensor, int]]):
    """A map-style data set of uint8 images (N, 3, H, W) that works like torchvision's CIFAR10 with `ToTensor`.

    An item is a float image (3, H, W) in [0, 1] and a label, which nothing reads, always 0.
    """

    def __init__(self, images: Tensor) -> None:
        self.pixels = images.permute(0, 2, 3, 1).contiguous().numpy()  # (N, H, W, 3)
        self.transform = ToTensor()

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), 0


def gray_one_by_one(images: Tensor) -> Tensor:
    """Make (N, 3, H, W) gray, the mean of the channels, image by image: (N, 1, H, W)."""
    return torch.stack([image.mean(dim=0, keepdim=True) for image in images])  # (N, 1, H, W)


class NotebookPipeline:
    """The autoencoder notebook's model, data and loop on uint8 images (N, 3, H, W); `step` trains one batch of 64.

    The description does not say where the gray images are made: here on the CPU, where the loader leaves the batch.
    """

    def __init__(self, images: Tensor, *, width: int, device: torch.device) -> None:
        self.width = width
        self.device = device
        loader = DataLoader(PerImageDataset(images), batch_size=NOTEBOOK_BATCH_SIZE, shuffle=True)
        self.batches = itertools.chain.from_iterable(itertools.repeat(loader))  # one epoch after the other
        multipliers = PRESETS["notebook-ae"].config.multipliers
        self.network = UNet(1, 3, width=width, multipliers=multipliers, residual=False, attention=False).to(device)
        self.optimizer = Adam(self.network.parameters(), lr=1e-3)

    def step(self) -> float:
        """Fetch a batch, update the network once and return the loss, the mean squared error of RGB in [0, 1]."""
        images, _ = next(self.batches)
        gray = gray_one_by_one(images).to(self.device)
        images = images.to(self.device)
        self.optimizer.zero_grad()
        loss = F.mse_loss(self.network(gray), images)
        loss.backward()
        self.optimizer.step()
        return loss.item()
