"""Distances between two sets: of features, by torch-fidelity's undocumented reducers, and of numbers.

The values are those of `torch_fidelity.calculate_metrics`, but for the rounding of the Fréchet distance of a set with
fewer rows than columns, which is exact here. With features of Inception's last pooling they are FID and KID; with
others they need other names. They are computed on the CPU, in the precision of the features: published values use
float64 (`features.double()`). The library is imported when it is first used, since that takes seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Rows and columns of a block of distances. The library's 10,000 take 3 GB in float64 instead of 0.9 and half as long
# again; the shares among two sets of 10,000 came out the same.
_PRC_ROWS = 2000


def frechet_distance(features: Tensor, reference: Tensor) -> float:
    """Measure the Fréchet distance |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½) between features (N, D) and (M, D).

    0 for sets of equal mean and covariance, up to rounding, which may leave −1e-13; from float32, the relative error is
    about 5e-6. Raises ValueError for features without a distance. Formula: Heusel et al. 2017, "GANs trained by a two
    time-scale update rule converge to a local Nash equilibrium".
    """
    features, reference = _checked(features, reference)
    if min(len(features), len(reference)) < features.shape[1]:
        return _frechet_distance_of_few(features.double(), reference.double())
    from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

    statistics = [fid_features_to_statistics(values) for values in (features, reference)]
    return float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


def _frechet_distance_of_few(features: Tensor, reference: Tensor) -> float:
    """Measure the Fréchet distance of sets of which one has fewer rows than columns: fast, and to the last digits.

    With centered sets A and B, Σ₁ = Aᵀ A and Σ₂ = Bᵀ B, and tr (Σ₁ Σ₂)^½ is the sum of the singular values of A Bᵀ. The
    library's eigenvalues of Σ₁ Σ₂ take cubic time in the columns, and the roots of those that are 0 add up to 1e-6.
    """
    means = [values.mean(0) for values in (features, reference)]
    few, other = sorted(
        ((values - mean) / (len(values) - 1) ** 0.5 for values, mean in zip((features, reference), means, strict=True)),
        key=len,
    )
    if len(other) > other.shape[1]:
        other = torch.linalg.qr(other, mode="r").R  # (D, D), with the same Bᵀ B
    root = torch.linalg.svdvals(few @ other.T).sum()
    return ((means[0] - means[1]).square().sum() + few.square().sum() + other.square().sum() - 2 * root).item()


def kernel_distance(
    features: Tensor, reference: Tensor, *, subsets: int = 100, subset_size: int = 1000
) -> tuple[float, float]:
    """Measure the squared maximum mean discrepancy between features (N, D) and (M, D): mean and deviation over subsets.

    The kernel is (x · y / D + 1)³, the estimator unbiased and not clamped: equal distributions give values around 0, of
    either sign. Subsets are drawn with torch-fidelity's own seed, so the result depends on the order of the rows; they
    have at most as many rows as the smaller set. In float32 a value of 2e-6 is off by 4 %. Raises ValueError for
    features without a distance, and for no subset or one of fewer than two rows. Formula: Bińkowski et al. 2018,
    "Demystifying MMD GANs".
    """
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric

    features, reference = _checked(features, reference)
    if subsets < 1 or subset_size < 2:
        raise ValueError(f"expected at least 1 subset of at least 2 rows, not {subsets} of {subset_size}")
    size = min(subset_size, len(features), len(reference))
    result = kid_features_to_metric(features, reference, kid_subsets=subsets, kid_subset_size=size, verbose=False)
    return result[KEY_METRIC_KID_MEAN], result[KEY_METRIC_KID_STD]


def precision_recall(generated: Tensor, real: Tensor, *, k: int = 3) -> tuple[float, float]:
    """Measure the share of generated features (N, D) that lie among real ones (M, D), and the reverse, in [0, 1].

    A feature lies among a set if it is no farther from one of its members than that member's k-th nearest neighbor in
    the set. Raises ValueError for features without a distance, and for sets of `k` rows or fewer. Formula:
    Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models".
    """
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    generated, real = _checked(generated, real)
    if not 1 <= k < min(len(generated), len(real)):
        raise ValueError(f"expected k from 1 to less than {len(generated)} and {len(real)} rows, not {k}")
    # `save_cpu_ram`: otherwise it keeps all distances, 8 bytes a pair, three times.
    options = {"prc_neighborhood": k, "prc_batch_size": _PRC_ROWS, "save_cpu_ram": True, "verbose": False}
    result = prc_features_to_metric(generated, real, **options)
    return result[KEY_METRIC_PRECISION], result[KEY_METRIC_RECALL]


def wasserstein_distance(values: Tensor, reference: Tensor) -> float:
    """Measure the 1-Wasserstein distance ∫ |F(x) − G(x)| dx between numbers (N,) and (M,), in their unit, in float64.

    F and G are the shares of the numbers that are at most x. 0 for equal sets, the shift for shifted ones. Raises
    ValueError for an empty set and for numbers that are not finite. Formula: Vallender 1974, "Calculation of the
    Wasserstein distance between probability distributions on the line".
    """
    values, reference = values.detach().double().cpu(), reference.detach().double().cpu()
    if not (values.numel() and reference.numel() and values.isfinite().all() and reference.isfinite().all()):
        raise ValueError("expected two sets of finite numbers, neither of them empty")
    places = torch.cat((values, reference)).sort().values  # (N + M,)
    below, expected = (
        torch.searchsorted(numbers.sort().values, places[:-1], right=True).double() / numbers.numel()
        for numbers in (values, reference)
    )
    return ((below - expected).abs() * places.diff()).sum().item()


def _checked(features: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Return both sets on the CPU, or raise ValueError if the reducers would fail or return meaningless values."""
    shapes = f"{tuple(features.shape)} and {tuple(reference.shape)}"
    if features.ndim != 2 or reference.ndim != 2 or features.shape[1] != reference.shape[1]:
        raise ValueError(f"expected features (N, D) and (M, D), not {shapes}")
    if min(*features.shape, *reference.shape) < 2:
        raise ValueError(f"expected at least two rows and two columns of features, not {shapes}")
    if features.dtype != reference.dtype or features.dtype not in (torch.float32, torch.float64):
        dtypes = f"{features.dtype} and {reference.dtype}"
        raise ValueError(f"expected features of one type, float32 or float64, not {dtypes}")
    features, reference = features.detach().cpu(), reference.detach().cpu()
    if not (features.isfinite().all() and reference.isfinite().all()):
        raise ValueError("some features are not finite numbers")
    return features, reference
