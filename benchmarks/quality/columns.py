"""The columns of the quality table: their headings and definitions, in the order of the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Column:
    """A column: heading, decimals shown, which direction is better (`truth`: near that row's value), definition."""

    label: str
    decimals: int
    better: Literal["lower", "higher", "truth", None]
    about: str


def fd_column(suffix: str) -> str:
    """Name the column of the Fréchet distance on the features that a suffix stands for: "" is Inception's."""
    return f"fd{suffix}" if suffix else "fid"


def distance_names(suffix: str) -> tuple[str, ...]:
    """Name the columns on the features of one network: to the true images themselves, then to the training images."""
    fd = fd_column(suffix)
    return fd, f"kid{suffix}", f"precision{suffix}", f"recall{suffix}", f"{fd}_train", f"kid{suffix}_train"


def _distances(network: str, suffix: str, label: str, decimals: int = 2) -> dict[str, Column]:
    """Describe the columns of `distance_names`."""
    fd = f"FD{label}" if suffix else "FID"
    columns = (
        Column(fd, decimals, "lower", f"Fréchet distance of {network} features to the true images of the same set."),
        Column(f"KID{label}", 4, "lower",
               f"Kernel distance (unbiased MMD², cubic kernel) of {network} features to the same true images."),
        Column(f"Prec.{label}", 3, "higher",
               f"Share of the images within the 3-nearest-neighbor manifold of the true, {network} features."),
        Column(f"Recall{label}", 3, "higher",
               f"Share of the true images within the 3-nearest-neighbor manifold of these, {network} features."),
        Column(f"{fd} train", decimals, "lower", f"Fréchet distance of {network} features to the training images."),
        Column(f"KID{label} train", 4, "lower", f"Kernel distance of {network} features to the training images."),
    )  # fmt: skip
    return dict(zip(distance_names(suffix), columns, strict=True))


COLUMNS: dict[str, Column] = {
    "e_cifar10_v2": Column("e", 3, "lower", "fd_cifar10_v2 as a share of the gray image's: 0 is real, 1 is gray."),
    **_distances("cifar10-v2", "_cifar10_v2", " v2", decimals=3),
    "e_cifar10_v2_train": Column("e train", 3, "lower", "(FD − real) / (gray − real) of fd_cifar10_v2_train."),
    **_distances("Inception", "", ""),
    **_distances("DINOv2 (ViT-L/14)", "_dinov2", "-DINOv2"),
    "accuracy": Column("Acc. %", 1, "higher", "Images whose class the cifar10-v2 classifier names, per cent."),
    "accuracy_share": Column(
        "Acc. share %",
        0,
        "higher",
        "Accuracy on the way from the gray image's (0) to what a classifier of gray images reaches (100), per cent.",
    ),
    "cf": Column("CF", 1, "truth", "Colorfulness M³ (Hasler & Süsstrunk 2003), mean over images."),
    "delta_cf": Column("ΔCF", 1, None, "Mean colorfulness less that of the true images."),
    "delta_cf_image": Column(
        "|ΔCF|",
        1,
        None,
        "Mean over images of the absolute difference in colorfulness. It ranks nothing: one dull guess "
        "for all is nearer to each image than a draw from the true distribution.",
    ),
    "w1_cf": Column(
        "W1(CF)", 1, "lower", "Wasserstein distance between the distributions of colorfulness of these and true images."
    ),
    "mean_a": Column("a*", 1, None, "Mean a* of all pixels: above 0 is red, below it green."),
    "mean_b": Column("b*", 1, None, "Mean b* of all pixels: above 0 is yellow, below it blue."),
    "chroma": Column("C*", 1, None, "Mean chroma of all pixels: their distance from gray in the a*b* plane."),
    "colored": Column("colored %", 1, None, "Pixels with C* > 5, per cent."),
    "sepia": Column("sepia %", 1, None, "Pixels with C* > 5 and a hue from 40° to 90° (orange to yellow), per cent."),
    "sepia_of_colored": Column("sepia of colored %", 1, None, "Sepia pixels among the colored, per cent."),
    "fd_cifar10_v2_mean": Column("FD v2, mean", 3, "lower", "FD v2 where the input is the mean of the channels."),
    "fd_cifar10_v2_rec601": Column("FD v2, 601", 3, "lower", "FD v2 where the input is the luma of Rec. 601."),
    "psnr": Column("PSNR", 2, "higher", "Mean over images of the PSNR in dB; an image equal to the truth counts 100."),
    "psnr_pooled": Column("PSNR pooled", 2, "higher", "PSNR in dB of the mean squared error of all images."),
    "ssim": Column("SSIM", 4, "higher", "Structural similarity, Gaussian window 11 × 11, σ 1.5, mean over channels."),
    "l1": Column("L1", 4, "lower", "Mean absolute error of RGB in [0, 1]."),
    "ciede2000": Column("ΔE00", 2, "lower", "CIEDE2000 color difference, mean over pixels."),
    "lightness": Column("ΔL", 2, "lower", "Mean absolute error of L* (0 to 100): what the output does to the input."),
    "lpips": Column("LPIPS", 4, "lower", "LPIPS with AlexNet, images upsampled bilinearly to 64 × 64."),
    "accuracy_at_2": Column(
        "@2 %", 1, "higher", "Pixels with |ΔL| ≤ 2 and |Δa|, |Δb| ≤ 4.4 of rounded Lab, per cent (Nazeri et al. 2018)."
    ),
    "accuracy_at_5": Column(
        "@5 %", 1, "higher", "Pixels with |ΔL| ≤ 5 and |Δa|, |Δb| ≤ 11 of rounded Lab, per cent (Nazeri et al. 2018)."
    ),
}

DISTINCT = ("fid", "fd_cifar10_v2", "e_cifar10_v2", "accuracy", "cf", "delta_cf", "delta_cf_image", "psnr",
            "psnr_pooled", "ssim", "ciede2000")  # fmt: skip
"""Columns that are also measured without the images that have a near-duplicate among the training images."""

PAIRED = ("accuracy", "delta_cf_image", "psnr", "psnr_pooled", "ssim", "l1", "ciede2000", "lightness", "lpips",
          "accuracy_at_2", "accuracy_at_5")  # fmt: skip
"""Columns that compare each image with its own truth or class."""

SHARES = ("accuracy", "accuracy_at_2", "accuracy_at_5", "colored", "sepia")
"""Columns that are means of shares: 0 to 1 for each image and per cent in the table."""

BOOTSTRAPPED = (
    "cf", "delta_cf", "delta_cf_image", "mean_a", "mean_b", "chroma", "psnr", "psnr_pooled", "ssim", "l1",
    "ciede2000", "lightness", "lpips", *SHARES,
)  # fmt: skip
"""Columns that are functions of per-image values, for which resampling the images gives an interval."""
