"""The model of a step on several processes: its limits, and its fits against what they were made of."""

from __future__ import annotations

import pytest

from benchmarks.scaling.model import (
    BACKWARD_SHARE,
    Compute,
    Link,
    efficient_batch,
    fit_compute,
    fit_link,
    hidden_share,
    predict_step,
)

COMPUTE = Compute(fixed=0.002, per_image=1e-4)
LINK = Link(latency=2e-5, bandwidth=1e10)
SIZE = 4e7


def test_one_process_sums_nothing() -> None:
    assert predict_step(COMPUTE, LINK, SIZE, 0.0, 1, 64) == COMPUTE.step(64)


def test_a_ring_moves_twice_the_bytes_however_many_processes() -> None:
    free = Link(latency=0.0, bandwidth=1e9)
    assert free.all_reduce(2, 1e9) == pytest.approx(1)
    assert free.all_reduce(1000, 1e9) == pytest.approx(2, rel=2e-3)


def test_no_more_is_hidden_than_the_backward_pass_takes() -> None:
    slow = Link(latency=0.0, bandwidth=1e6)  # 40 s
    alone = COMPUTE.step(64)
    assert predict_step(COMPUTE, slow, SIZE, 1.0, 2, 64) == pytest.approx(40 + alone * (1 - BACKWARD_SHARE))
    fast = Link(latency=0.0, bandwidth=1e12)
    assert predict_step(COMPUTE, fast, SIZE, 1.0, 2, 64) == pytest.approx(alone)


def test_fits_find_what_made_the_measurements() -> None:
    compute = fit_compute({images: COMPUTE.step(images) for images in (8, 32, 256)})
    assert (compute.fixed, compute.per_image) == pytest.approx((COMPUTE.fixed, COMPUTE.per_image))
    sums = [(n, size, LINK.all_reduce(n, size)) for n in (2, 3, 4) for size in (4096, SIZE)]
    link = fit_link(sums)
    assert (link.latency, link.bandwidth) == pytest.approx((LINK.latency, LINK.bandwidth))


def test_noise_never_makes_a_part_negative() -> None:
    assert fit_compute({32: 1.0, 64: 2.5}).fixed == 0
    assert fit_compute({64: 2.0}).step(32) == pytest.approx(1)
    link = fit_link([(2, 1e6, 0.001), (2, 1e7, 0.02)])
    assert link.latency >= 0
    assert link.bandwidth > 0


@pytest.mark.parametrize(("summed", "exposed", "share"), [(2.0, 0.5, 0.75), (1.0, 3.0, 0.0), (1.0, -0.1, 1.0)])
def test_hidden_share(summed: float, exposed: float, share: float) -> None:
    assert hidden_share(summed, exposed) == share


@pytest.mark.parametrize("processes", [2, 8, 64])
@pytest.mark.parametrize("hidden", [0.0, 0.5, 1.0])
def test_the_efficient_batch_is_the_smallest(processes: int, hidden: float) -> None:
    images = efficient_batch(COMPUTE, LINK, SIZE, hidden, processes)
    assert images is not None

    def efficiency(count: int) -> float:
        return COMPUTE.step(count) / predict_step(COMPUTE, LINK, SIZE, hidden, processes, count)

    assert efficiency(images) >= 0.9
    assert images == 1 or efficiency(images - 1) < 0.9


def test_a_link_may_be_too_slow_for_any_batch() -> None:
    assert efficient_batch(COMPUTE, Link(1000.0, 1e10), SIZE, 0.0, 2) is None
