"""The images of both kinds of speedruns."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from benchmarks.speedrun.options import SpeedrunOptions
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError


def load_images(options: SpeedrunOptions, batch_size: int) -> tuple[Dataset, Tensor]:
    """Load the data set, with the training images that were asked for, and the held-out images (N, 3, H, W).

    Raises `InputError` where there are not as many as the speedrun needs.
    """
    dataset = load_dataset(options.data, image_size=options.image_size, cache_dir=options.cache_dir, progress=True)
    held_out: Tensor = getattr(dataset, options.split)
    if not len(held_out):
        raise InputError(f"--data {options.data} has no {options.split} images: choose the other --split.")
    count = options.training_images
    if count is not None:
        if count > len(dataset.train):
            raise InputError(f"--training-images is {count}: --data {options.data} has {len(dataset.train)}.")
        # Evenly spaced, since a data set may be sorted by class.
        chosen = torch.arange(count) * len(dataset.train) // count
        dataset = dataclasses.replace(dataset, train=dataset.train[chosen], labels=None)
    if batch_size > len(dataset.train):
        raise InputError(f"--batch-size is {batch_size}: it must be at most {len(dataset.train)}, the images.")
    return dataset, held_out
