"""The metrics of single images, each defined once.

Images are compared as the uint8 pixels that a user would save: a metric of unrounded network output is another metric.
`image_metrics` computes in float64 regardless of autocast, so the values of an image are the same in any batch and on
any process; they can be gathered from all processes and reduced by `summarize`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from colornet.color import rgb_to_lab
from colornet.metrics.distribution import wasserstein_distance

COLORED = 5.0
"""C* above which a pixel has a color: paler ones look gray, and their hue is rounding noise of 8 bits."""

SEPIA = (40.0, 90.0)
"""Hues of sepia and brown, from orange to yellow, degrees."""

_WINDOW = 11  # pixels of SSIM's window
_SIGMA = 1.5  # its standard deviation
_PSNR_CAP = 100.0  # dB that an identical image counts in the mean
_C1, _C2 = 0.01**2, 0.03**2  # keep SSIM's fractions finite where an image is black or flat


def colorfulness(images: Tensor) -> Tensor:
    """Measure the colorfulness M³ of uint8 sRGB images (N, 3, H, W): float64 (N,), 0 for gray.

    Observers called 15 slightly, 33 moderately, 59 quite and 109 extremely colorful. Raises ValueError unless the
    images are uint8. Formula: Hasler & Süsstrunk 2003, "Measuring colorfulness in natural images", with signed
    opponent channels and the population variance within each image.
    """
    check_pixels(images)
    r, g, b = images.double().unbind(1)  # (N, H, W) each
    opponents = torch.stack((r - g, (r + g) / 2 - b), dim=1).flatten(2)  # (N, 2, H * W): red-green, yellow-blue
    spread = opponents.var(-1, correction=0).sum(1).sqrt()  # (N,)
    offset = opponents.mean(-1).square().sum(1).sqrt()  # (N,)
    return spread + 0.3 * offset


def ciede2000(lab1: Tensor, lab2: Tensor) -> Tensor:
    """Measure the color difference ΔE00 between the pixels of two CIELAB images (…, 3, H, W): (…, H, W).

    0 for equal colors, about 1 for a just noticeable difference, 100 from black to white; symmetric; kL = kC = kH = 1.
    Computed in the precision of the inputs. Formula, names and equation numbers: Sharma, Wu & Dalal 2005, "The
    CIEDE2000 color-difference formula: implementation notes, supplementary test data, and mathematical observations".
    """
    l1, a1, b1 = lab1.unbind(-3)  # (…, H, W) each
    l2, a2, b2 = lab2.unbind(-3)

    # a' stretches a* where colors are pale (2-7). Hues are in [0, 2π], which decides between two opposite means below.
    g = 0.5 * (1 - _chroma_ramp((a1.hypot(b1) + a2.hypot(b2)) / 2))
    a1, a2 = (1 + g) * a1, (1 + g) * a2
    c1, c2 = a1.hypot(b1), a2.hypot(b2)
    h1, h2 = torch.atan2(b1, a1) % math.tau, torch.atan2(b2, a2) % math.tau

    # Differences (8-11) and means (12-14), those of hue along the shorter arc. The paper's special case of a color
    # without chroma changes nothing: `dh` is 0 there, and with it all that depends on the mean hue.
    turn = h2 - h1
    turn = torch.where(turn.abs() > math.pi, turn - turn.sign() * math.tau, turn)
    dl, dc, dh = l2 - l1, c2 - c1, 2 * (c1 * c2).sqrt() * torch.sin(turn / 2)
    lightness, chroma, hue = (l1 + l2) / 2, (c1 + c2) / 2, h1 + turn / 2

    # Weights of the three differences (15, 18-20), and the term that rotates the ellipses of blue (16, 17, 21).
    t = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    l_term = dl / (1 + 0.015 * (lightness - 50) ** 2 / (20 + (lightness - 50) ** 2).sqrt())
    c_term = dc / (1 + 0.045 * chroma)
    h_term = dh / (1 + 0.015 * chroma * t)
    from_blue = (hue.rad2deg() % 360 - 275) / 25
    rotation = -2 * _chroma_ramp(chroma) * torch.sin(math.radians(60) * torch.exp(-(from_blue**2)))
    return (l_term**2 + c_term**2 + h_term**2 + rotation * c_term * h_term).sqrt()  # (…, H, W); |rotation| < 2: no NaN


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Measure the structural similarity of two batches of images (N, C, H, W) in [0, 1]: float64 (N,).

    1 for equal images, about 0 for unrelated ones. 11 × 11 Gaussian window with σ = 1.5, without padding; mean over
    windows and channels. Raises ValueError for images smaller than the window. Formula: Wang et al. 2004, "Image
    quality assessment: from error visibility to structural similarity", with K1 = 0.01 and K2 = 0.03.
    """
    if min(x.shape[-2:]) < _WINDOW:
        raise ValueError(f"SSIM needs images of at least {_WINDOW} x {_WINDOW} pixels, not {tuple(x.shape[-2:])}")
    x, y = x.double(), y.double()  # a small variance is the difference of large squares; autocast leaves float64 alone
    offsets = torch.arange(_WINDOW, dtype=x.dtype, device=x.device) - _WINDOW // 2
    weights = torch.softmax(-(offsets**2) / (2 * _SIGMA**2), dim=0)  # (11,), a Gaussian whose sum is 1
    maps = torch.cat((x, y, x * x, y * y, x * y), dim=1)  # (N, 5 * C, H, W)
    kernel = weights.expand(maps.shape[1], 1, 1, _WINDOW)
    maps = F.conv2d(maps, kernel, groups=len(kernel))  # (N, 5 * C, H, W - 10)
    maps = F.conv2d(maps, kernel.mT, groups=len(kernel))  # (N, 5 * C, H - 10, W - 10)
    mu_x, mu_y, xx, yy, xy = maps.chunk(5, dim=1)  # (N, C, H - 10, W - 10) each
    luminance = (2 * mu_x * mu_y + _C1) / (mu_x**2 + mu_y**2 + _C1)
    structure = (2 * (xy - mu_x * mu_y) + _C2) / (xx - mu_x**2 + yy - mu_y**2 + _C2)
    return (luminance * structure).mean((1, 2, 3))


def colored_shares(lab: Tensor) -> tuple[Tensor, Tensor]:
    """Measure the shares of colored and of sepia pixels of CIELAB images (N, 3, H, W): float64 (N,) each.

    Colored pixels have C* > `COLORED`; sepia are those of them whose hue is in `SEPIA`.
    """
    a, b = lab[:, 1:].flatten(2).unbind(1)  # (N, H * W) each
    colored, hue = a.hypot(b) > COLORED, torch.atan2(b, a).rad2deg()
    return colored.double().mean(1), (colored & (hue >= SEPIA[0]) & (hue <= SEPIA[1])).double().mean(1)


def image_metrics(output: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Compare colored images with the true ones, both uint8 sRGB (N, 3, H, W): name to float64 values (N,).

    `mse`, `l1` and `ssim` are of RGB in [0, 1], `psnr` is in dB (inf where two images are identical), `ciede2000` is
    the mean ΔE00 over the pixels, `lightness` the mean |ΔL*|, `cf` and `cf_truth` are the colorfulness of each.
    `accuracy_at_2` and `accuracy_at_5` are the shares of pixels with |ΔL*| ≤ t and |Δa*|, |Δb*| ≤ 2.2 t for t = 2 and
    5, of Lab values rounded to integers (Nazeri et al. 2018, "Image colorization using generative adversarial
    networks", by their code). `colored`, `sepia` and those of the truth, `colored_truth` and `sepia_truth`, are the
    shares of `colored_shares`. Raises ValueError for other dtypes or unequal shapes, and for images smaller than SSIM's
    window.
    """
    check_pixels(output, truth)
    if output.shape != truth.shape:
        raise ValueError(f"output and truth differ in shape: {tuple(output.shape)} and {tuple(truth.shape)}")
    x, y = output.double() / 255, truth.double() / 255
    mse = ((x - y) ** 2).mean((1, 2, 3))
    lab_x, lab_y = rgb_to_lab(x), rgb_to_lab(y)
    errors = (lab_x - lab_y).abs()  # (N, 3, H, W)
    rounded = (lab_x.round() - lab_y.round()).abs()  # (N, 3, H, W), as Nazeri's code does: 2 points more than without
    limits = errors.new_tensor((1, 2.2, 2.2))[:, None, None]
    (colored, sepia), (colored_truth, sepia_truth) = colored_shares(lab_x), colored_shares(lab_y)
    return {
        "mse": mse,
        "psnr": -10 * mse.log10(),
        "l1": (x - y).abs().mean((1, 2, 3)),
        "ssim": ssim(x, y),
        "ciede2000": ciede2000(lab_x, lab_y).mean((1, 2)),
        "lightness": errors[:, 0].mean((1, 2)),
        "accuracy_at_2": (rounded <= 2 * limits).all(1).double().mean((1, 2)),
        "accuracy_at_5": (rounded <= 5 * limits).all(1).double().mean((1, 2)),
        "cf": colorfulness(output),
        "cf_truth": colorfulness(truth),
        "colored": colored,
        "sepia": sepia,
        "colored_truth": colored_truth,
        "sepia_truth": sepia_truth,
    }


def summarize(per_image: Mapping[str, Tensor]) -> dict[str, float]:
    """Reduce the values of `image_metrics` for a data set, in any order, to the numbers of a table row.

    Means over the images, and: `psnr_pooled`, the dB of the mean `mse`, several dB below the mean of `psnr`;
    `delta_cf`, the signed difference of the mean colorfulness (output - truth); `delta_cf_image`, the mean over images
    of the absolute difference; `w1_cf`, the Wasserstein distance between the two distributions of colorfulness, which
    asks whether images are as colorful as true ones, not which of them; `sepia_of_colored` and
    `sepia_of_colored_truth`, the shares of sepia among the colored pixels of all images, where there are any: the cast
    of the colors, whatever their strength. In the mean `psnr`, an image counts at most 100 dB, since gray images may be
    matched exactly.
    """
    names = ("ssim", "l1", "ciede2000", "lightness", "cf", "cf_truth")
    summary = {name: per_image[name].double().mean().item() for name in names}
    summary["psnr"] = per_image["psnr"].double().clamp(max=_PSNR_CAP).mean().item()
    summary["psnr_pooled"] = -10 * per_image["mse"].double().mean().log10().item()
    delta_cf = per_image["cf"].double() - per_image["cf_truth"].double()
    summary["w1_cf"] = wasserstein_distance(per_image["cf"], per_image["cf_truth"])
    for end in ("", "_truth"):
        colored, sepia = per_image[f"colored{end}"].sum().item(), per_image[f"sepia{end}"].sum().item()
        if colored:
            summary[f"sepia_of_colored{end}"] = sepia / colored
    return summary | {"delta_cf": delta_cf.mean().item(), "delta_cf_image": delta_cf.abs().mean().item()}


def check_pixels(*images: Tensor) -> None:
    """Raise ValueError unless all are batches of uint8 images (N, 3, H, W)."""
    for pixels in images:
        if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[1] != 3:
            raise ValueError(f"expected uint8 images (N, 3, H, W), not {pixels.dtype} {tuple(pixels.shape)}")


def _chroma_ramp(chroma: Tensor) -> Tensor:
    """Rise from 0 for gray to 1 for saturated colors, around a chroma of 25: what (4) and (17) of CIEDE2000 share."""
    power = chroma**7
    return (power / (power + 25**7)).sqrt()
