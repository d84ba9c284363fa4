"""The original notebooks' pipeline is the one that its description tells."""

from __future__ import annotations

import torch

from benchmarks.baselines.notebook_pipeline import NotebookPipeline, PerImageDataset, gray_one_by_one
from colornet.models.unet import count_parameters
from tests.benchmarks.cases import CPU, images


def test_network_is_the_one_described() -> None:
    pipeline = NotebookPipeline(images(2, side=32), width=64, device=CPU)
    assert count_parameters(pipeline.network) == 34_524_099


def test_images_are_those_of_the_data_set() -> None:
    truth = images(3)
    items = [PerImageDataset(truth)[index] for index in range(3)]
    assert torch.equal(torch.stack([image for image, _ in items]), truth / 255)


def test_gray_is_the_mean_of_the_channels() -> None:
    batch = images(3) / 255
    gray = gray_one_by_one(batch)
    assert gray.shape == (3, 1, 16, 16)
    torch.testing.assert_close(gray[:, 0], (batch[:, 0] + batch[:, 1] + batch[:, 2]) / 3)


def test_pipeline_learns() -> None:
    torch.manual_seed(0)
    pipeline = NotebookPipeline(images(64), width=8, device=CPU)
    losses = [pipeline.step() for _ in range(8)]  # each of them the whole data set
    assert losses[-1] < 0.8 * losses[0]
