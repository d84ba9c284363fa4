"""A model of a data-parallel step, fitted to measured steps, that predicts the efficiency of more processes.

A step on N processes takes

    compute(b) + exposed(N),    exposed(N) = all_reduce(N) − hidden,    hidden = min(h · all_reduce(N), ⅔ · compute(b))

with b images per process. DDP sums gradients during the backward pass, about two thirds of a step's arithmetic, which
hides the share h of the sum. The sum is a ring all-reduce (Patarasuk & Yuan 2009): each process sends and
receives 2 (N − 1) messages of S / N bytes, S the bytes of the gradients,

    all_reduce(N) = 2 (N − 1) · (latency + S / N / bandwidth)
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

BACKWARD_SHARE = 2 / 3
_EFFICIENCY, _MOST_IMAGES = 0.9, 2**20  # of the smallest batch that is searched, and the largest that is tried


@dataclass(frozen=True)
class Link:
    """The connection of the processes: seconds that each message takes besides its bytes, and bytes/s each way."""

    latency: float
    bandwidth: float

    def all_reduce(self, processes: int, size: float) -> float:
        """Return the seconds in which `size` bytes are summed over the processes."""
        return 2 * (processes - 1) * (self.latency + size / processes / self.bandwidth)


@dataclass(frozen=True)
class Compute:
    """Seconds of a step on one process: `fixed` + `per_image` × its images."""

    fixed: float
    per_image: float

    def step(self, images: float) -> float:
        return self.fixed + self.per_image * images


def fit_compute(seconds: Mapping[int, float]) -> Compute:
    """Fit the seconds of steps by their images, least squares; no part is negative. One batch size is all per image."""
    images, measured = (np.array(values, dtype=float) for values in (list(seconds), list(seconds.values())))
    if len(images) > 1:
        per_image, fixed = np.polyfit(images, measured, 1)
        if fixed >= 0 and per_image >= 0:
            return Compute(float(fixed), float(per_image))
    return Compute(0.0, float((images @ measured) / (images @ images)))


def fit_link(measured: Sequence[tuple[int, float, float]]) -> Link:
    """Fit a link to all-reduces of (processes, bytes, seconds), least squares of the relative errors."""
    rows = np.array([[2 * (n - 1), 2 * (n - 1) / n * size] for n, size, _ in measured])
    seconds = np.array([second for _, _, second in measured])
    latency, per_byte = np.linalg.lstsq(rows / seconds[:, None], np.ones(len(rows)), rcond=None)[0]
    if latency < 0 or per_byte <= 0:  # noise: then the largest alone, which latency affects least
        largest = int(rows[:, 1].argmax())
        latency, per_byte = 0.0, seconds[largest] / rows[largest, 1]
    return Link(float(latency), float(1 / per_byte))


def hidden_share(all_reduce: float, exposed: float) -> float:
    """Return which share of an all-reduce the backward pass hid, of the seconds of both; 0 to 1."""
    return float(np.clip(1 - exposed / all_reduce, 0, 1)) if all_reduce > 0 else 1.0


def predict_step(compute: Compute, link: Link, size: float, hidden: float, processes: int, images: float) -> float:
    """Return the seconds of a step with `images` per process and `size` bytes of gradients; `hidden` is a share."""
    alone, summed = compute.step(images), link.all_reduce(processes, size)
    return alone + summed - min(hidden * summed, BACKWARD_SHARE * alone)


def efficient_batch(compute: Compute, link: Link, size: float, hidden: float, processes: int) -> int | None:
    """Return the fewest images per process at which N processes do 0.9 N times the work of one; None above 2²⁰."""

    def enough(images: int) -> bool:
        return compute.step(images) >= _EFFICIENCY * predict_step(compute, link, size, hidden, processes, images)

    # Efficiency grows with the images: there is more to hide behind and to divide by.
    images = 1 + bisect.bisect_left(range(1, _MOST_IMAGES + 1), True, key=enough)
    return images if images <= _MOST_IMAGES else None
