"""The distances against values derived by hand, plain NumPy written from the papers, and torch-fidelity's own path."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from colornet.metrics.distribution import frechet_distance, kernel_distance, precision_recall, wasserstein_distance

DISTANCES: list[Callable[[Tensor, Tensor], object]] = [frechet_distance, kernel_distance, precision_recall]


def features(n: int, dim: int = 6, seed: int = 0) -> Tensor:
    """Draw correlated features, float64 (n, dim)."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(dim, dim, dtype=torch.float64, generator=generator)
    return torch.randn(n, dim, dtype=torch.float64, generator=generator) @ mixing


# --- Fréchet distance ------------------------------------------------------------------------------------------------


def test_frechet_distance_of_equal_covariances_is_the_squared_distance_of_the_means() -> None:
    x = features(200)
    shift = torch.tensor((3.0, -1, 0, 2, 0.5, 0), dtype=torch.float64)
    assert frechet_distance(x + shift, x) == pytest.approx(9 + 1 + 4 + 0.25, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_of_scaled_features() -> None:
    """Covariances Σ and s²Σ commute, so the distance is (s − 1)² tr Σ, plus that of the means."""
    x = features(200)
    means = (2 * x.mean(0)).square().sum().item()
    assert frechet_distance(3 * x, x) == pytest.approx(4 * x.T.cov().trace().item() + means, rel=1e-9)


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    x, y = features(300), features(200, seed=1)
    first, second = np.cov(x.numpy(), rowvar=False), np.cov(y.numpy(), rowvar=False)
    values, vectors = np.linalg.eigh(first)
    root = vectors * np.sqrt(values) @ vectors.T
    # tr (Σ₁ Σ₂)^½ is the trace of the root of the symmetric Σ₁^½ Σ₂ Σ₁^½.
    covariances = np.trace(first + second) - 2 * np.sqrt(np.linalg.eigvalsh(root @ second @ root)).sum()
    means = ((x.mean(0) - y.mean(0)) ** 2).sum().item()
    assert frechet_distance(x, y) == pytest.approx(means + covariances, rel=1e-9)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-9)


@pytest.mark.parametrize("times", [1, 3, 10])
def test_frechet_distance_of_fewer_features_than_dimensions_is_exact(times: int) -> None:
    """Some eigenvalues are zero, and the roots of what rounding makes of them would add up.

    The second set repeats the first, scaled: its covariance is s²Σ, and the distance (s − 1)² tr Σ plus the means'.
    """
    x = features(5, dim=30)
    y = 3 * x.repeat(times, 1) + 1
    s = 3 * (times * 4 / (times * 5 - 1)) ** 0.5
    expected = (s - 1) ** 2 * x.T.cov().trace().item() + (2 * x.mean(0) + 1).square().sum().item()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-12)


# --- kernel distance -------------------------------------------------------------------------------------------------


def unbiased_mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """Bińkowski et al. 2018, equation 4, for sets of equal size."""
    n = len(x)

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def without_diagonal(gram: np.ndarray) -> float:
        return float((gram.sum() - np.trace(gram)) / (n * (n - 1)))

    return without_diagonal(kernel(x, x)) + without_diagonal(kernel(y, y)) - 2 * float(kernel(x, y).mean())


def test_kernel_distance_of_whole_sets() -> None:
    """Fewer rows than a subset: every subset is the whole set, in another order."""
    x, y = features(40), features(40, seed=1)
    mean, deviation = kernel_distance(x, y, subsets=3)
    assert mean == pytest.approx(unbiased_mmd2(x.numpy(), y.numpy()), rel=1e-9)
    assert deviation == pytest.approx(0, abs=1e-9 * mean)


def test_kernel_distance_draws_as_torch_fidelity_does() -> None:
    x, y = features(60), features(50, seed=1)
    rng = np.random.RandomState(2020)
    expected = []
    for _ in range(4):
        a = x.numpy()[rng.choice(60, 20, replace=False)]
        b = y.numpy()[rng.choice(50, 20, replace=False)]
        expected.append(unbiased_mmd2(a, b))
    mean, deviation = kernel_distance(x, y, subsets=4, subset_size=20)
    assert mean == pytest.approx(np.mean(expected), rel=1e-9)
    assert deviation == pytest.approx(np.std(expected), rel=1e-9)
    assert kernel_distance(x, y, subsets=4, subset_size=20) == (mean, deviation)


def test_kernel_distance_takes_the_smaller_set_as_subset() -> None:
    x, y = features(60), features(50, seed=1)
    assert kernel_distance(x, y, subsets=2) == kernel_distance(x, y, subsets=2, subset_size=50)


def test_kernel_distance_is_not_clamped() -> None:
    x = features(40)
    assert kernel_distance(x, x, subsets=2)[0] == pytest.approx(unbiased_mmd2(x.numpy(), x.numpy()), rel=1e-9)
    assert kernel_distance(x, x, subsets=2)[0] < 0


# --- precision and recall --------------------------------------------------------------------------------------------


def on_a_line(*positions: float) -> Tensor:
    return torch.tensor([(position, 0.0) for position in positions], dtype=torch.float64)


def test_precision_and_recall_by_hand() -> None:
    """With k = 1, the real balls are 0 ± 1, 1 ± 1, 3 ± 2; the generated ones 0.5 ± 0.25, 0.75 ± 0.25, 9 ± 8.25."""
    real, generated = on_a_line(0, 1, 3), on_a_line(0.5, 0.75, 9)
    assert precision_recall(generated, real, k=1) == pytest.approx((2 / 3, 2 / 3))  # 9 and 0 are left out
    assert precision_recall(real, generated, k=1) == pytest.approx((2 / 3, 2 / 3))


def test_precision_and_recall_tell_quality_from_variety() -> None:
    real = features(80)
    narrow = real.mean(0) + 0.01 * features(60, seed=1)
    precision, recall = precision_recall(narrow, real)
    assert precision == 1
    assert recall < 0.1
    assert precision_recall(real + 1000, real) == (0, 0)
    assert precision_recall(real, real) == (1, 1)


def test_more_neighbors_never_lose_a_feature() -> None:
    x, y = features(50), features(40, seed=1)
    values = [precision_recall(x, y, k=k) for k in (1, 3, 9)]
    assert [p for p, _ in values] == sorted(p for p, _ in values)
    assert [r for _, r in values] == sorted(r for _, r in values)


def test_blocks_of_distances_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = features(50), features(40, seed=1)
    whole = precision_recall(x, y)
    monkeypatch.setattr("colornet.metrics.distribution._PRC_ROWS", 7)
    assert precision_recall(x, y) == whole


# --- what all have in common -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", DISTANCES)
def test_float32_is_close_to_float64(distance: Callable[[Tensor, Tensor], object]) -> None:
    x, y = features(90), features(80, seed=1)
    assert distance(x.float(), y.float()) == pytest.approx(distance(x, y), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("distance", DISTANCES)
def test_features_with_gradients_are_welcome(distance: Callable[[Tensor, Tensor], object]) -> None:
    x, y = features(20), features(20, seed=1)
    assert distance(x.clone().requires_grad_(), y) == distance(x, y)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (features(9), features(9)[0], r"\(N, D\) and \(M, D\), not \(9, 6\) and \(6,\)"),
        (features(9), features(9, dim=5), r"not \(9, 6\) and \(9, 5\)"),
        (features(9), features(1), "at least two rows"),
        (features(9)[:, :1], features(9)[:, :1], "two columns"),
        (features(9), features(9).float(), "of one type"),
        (features(9).half(), features(9).half(), "float32 or float64"),
        (features(9) / 0, features(9), "not finite"),
        (features(9), features(9) * torch.nan, "not finite"),
    ],
)
def test_what_no_distance_can_be_told_of_is_refused(
    distance: Callable[[Tensor, Tensor], object], first: Tensor, second: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        distance(first, second)


@pytest.mark.parametrize("k", [0, 8])
def test_neighbors_that_are_not_there_are_refused(k: int) -> None:
    with pytest.raises(ValueError, match=f"not {k}"):
        precision_recall(features(9), features(8), k=k)


@pytest.mark.parametrize(("subsets", "size"), [(0, 5), (5, 1)])
def test_subsets_without_pairs_are_refused(subsets: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"not {subsets} of {size}"):
        kernel_distance(features(9), features(8), subsets=subsets, subset_size=size)


# --- Wasserstein distance --------------------------------------------------------------------------------------------


def test_wasserstein_distance_by_hand() -> None:
    x = torch.tensor([1.0, 2.0, 4.0])
    assert wasserstein_distance(x, x.flip(0)) == 0
    assert wasserstein_distance(x + 3, x) == pytest.approx(3)
    assert wasserstein_distance(torch.tensor([0.0]), torch.tensor([-1.0, 3.0])) == pytest.approx(2)  # (1 + 3) / 2
    assert wasserstein_distance(x, x.repeat(5)) == pytest.approx(0, abs=1e-12)


def test_wasserstein_distance_is_that_of_scipy() -> None:
    x, y = features(300)[:, 0], features(170, seed=1)[:, 1]
    expected = scipy.stats.wasserstein_distance(x.numpy(), y.numpy())
    assert wasserstein_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_wasserstein_distance_prefers_the_right_spread_to_a_dull_one() -> None:
    """The mean absolute difference of pairs is smaller for one number for all than for a draw from the truth itself."""
    truth = torch.randn(5000, generator=torch.Generator().manual_seed(0)).mul(10).add(30)
    drawn, dull = truth.roll(1), torch.full_like(truth, 30)
    assert (dull - truth).abs().mean() < (drawn - truth).abs().mean()
    assert wasserstein_distance(drawn, truth) == 0 < wasserstein_distance(dull, truth)


@pytest.mark.parametrize("values", [torch.empty(0), torch.tensor([1.0, float("nan")])])
def test_wasserstein_distance_refuses_what_has_none(values: Tensor) -> None:
    with pytest.raises(ValueError, match="finite"):
        wasserstein_distance(values, torch.ones(3))
