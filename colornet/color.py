"""Conversions between sRGB, CIELAB and gray, and the two color spaces in which a network can work.

All are pure functions of tensors, computed in at least float32 regardless of autocast: in bf16, Lab values would be off
by up to 3 units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Gray = Literal["lightness", "mean", "rec601"]

# IEC 61966-2-1 primaries and the D65 white point (2° observer): the constants of scikit-image, the tests' reference.
# XYZ is taken relative to white, so that gray maps to x = y = z. Plain floats: nothing to copy to a device.
_PRIMARIES = np.array(((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227)))
_WHITE = np.array((0.95047, 1.0, 1.08883))
_XYZ_FROM_RGB: list[list[float]] = (_PRIMARIES / _WHITE[:, None]).tolist()
_RGB_FROM_XYZ: list[list[float]] = (np.linalg.inv(_PRIMARIES) * _WHITE).tolist()

_XYZ_KNEE = 0.008856  # below it the cube root of CIELAB is a line
_LAB_KNEE = 7.787 * _XYZ_KNEE + 16 / 116
_SRGB_KNEE = 0.04045  # below it the sRGB transfer function is a line
_LINEAR_KNEE = 0.0031308

_BISECTIONS = 8  # steps of the search for the largest chroma in gamut: to 1/256


def to_float(images: Tensor) -> Tensor:
    """Map uint8 images of any shape to float32 in [0, 1]."""
    return images.to(torch.float32) / 255


def to_uint8(images: Tensor) -> Tensor:
    """Quantize images of any shape in [0, 1] to the nearest of 256 levels, clipping what lies outside."""
    return images.clamp(0, 1).mul(255).round().to(torch.uint8)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """Convert sRGB (…, 3, H, W) in [0, 1] to CIELAB under D65: L* in [0, 100], a* and b* within about ±110.

    Formulas: IEC 61966-2-1 (sRGB), CIE 15 (CIELAB). Half precision is computed in float32; float64 stays float64.
    """
    with torch.autocast(rgb.device.type, enabled=False):
        rgb = at_least_float32(rgb)
        # `where` differentiates both branches and a fractional power has no gradient at 0: clamp before the power.
        gamma = ((rgb.clamp(min=_SRGB_KNEE) + 0.055) / 1.055) ** 2.4
        linear = torch.where(rgb > _SRGB_KNEE, gamma, rgb / 12.92)
        xyz = _mix_channels(linear, _XYZ_FROM_RGB)
        root = xyz.clamp(min=_XYZ_KNEE) ** (1 / 3)
        x, y, z = torch.where(xyz > _XYZ_KNEE, root, 7.787 * xyz + 16 / 116).unbind(-3)
        return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-3)  # (…, 3, H, W)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIELAB (…, 3, H, W) under D65 to sRGB in [0, 1]; colors outside the gamut are clipped by channel.

    The inverse of `rgb_to_lab`: the round trip is exact for all 2²⁴ uint8 colors.
    """
    with torch.autocast(lab.device.type, enabled=False):
        lightness, a, b = at_least_float32(lab).unbind(-3)
        y = (lightness + 16) / 116
        roots = torch.stack((y + a / 500, y, y - b / 200), dim=-3)
        xyz = torch.where(roots > _LAB_KNEE, roots**3, (roots - 16 / 116) / 7.787)
        linear = _mix_channels(xyz, _RGB_FROM_XYZ)
        gamma = 1.055 * linear.clamp(min=_LINEAR_KNEE) ** (1 / 2.4) - 0.055
        return torch.where(linear > _LINEAR_KNEE, gamma, 12.92 * linear).clamp(0, 1)  # (…, 3, H, W)


def gamut_map_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIELAB (N, 3, H, W) to sRGB in [0, 1]; outside the gamut, chroma is reduced, L* and hue are kept."""
    rgb = lab_to_rgb(lab)
    clipped = ((rgb <= 0) | (rgb >= 1)).any(1)  # (N, H, W)
    if not clipped.any():
        return rgb
    outside = lab.movedim(1, 0)[:, clipped][..., None]  # (3, K, 1)
    low, high = torch.zeros_like(outside[0]), torch.ones_like(outside[0])  # (K, 1); without chroma, colors are in gamut
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        tried = lab_to_rgb(torch.stack((outside[0], outside[1] * middle, outside[2] * middle)))  # (3, K, 1)
        fits = ((tried > 0) & (tried < 1)).all(0)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    mapped = lab_to_rgb(torch.stack((outside[0], outside[1] * low, outside[2] * low)))  # (3, K, 1)
    rgb.movedim(1, 0)[:, clipped] = mapped.squeeze(-1)
    return rgb


def to_gray(rgb: Tensor, kind: Gray = "lightness") -> Tensor:
    """Make the gray version (…, 3, H, W) in [0, 1] of sRGB images (…, 3, H, W) in [0, 1].

    `lightness` keeps the CIELAB L* with a* = b* = 0, `mean` is the mean of the three channels, `rec601` is the luma
    0.299 R + 0.587 G + 0.114 B that PIL's mode L holds.
    """
    if kind == "lightness":
        lightness = rgb_to_lab(rgb)[..., :1, :, :]
        return lab_to_rgb(torch.cat((lightness, torch.zeros_like(rgb[..., :2, :, :])), dim=-3))
    rgb = at_least_float32(rgb)
    weights = {"mean": (1 / 3, 1 / 3, 1 / 3), "rec601": (0.299, 0.587, 0.114)}[kind]
    return _mix_channels(rgb, [weights]).expand_as(rgb)


def lightness_input(rgb: Tensor) -> Tensor:
    """Make the common input on which colorizers are compared: gray images (…, 3, H, W) with L* at 8 bits.

    That is what a gray file holds of sRGB images (…, 3, H, W) in [0, 1]; unquantized L* would identify most RGB values.
    """
    lightness = (rgb_to_lab(rgb)[..., :1, :, :] * 2.55).round() / 2.55
    return lab_to_rgb(torch.cat((lightness, torch.zeros_like(rgb[..., :2, :, :])), dim=-3))


class LabSpace:
    """CIELAB: L* in, a*b* out. The result has the lightness of the input.

    The condition is L* at 8 bits, as in `lightness_input`, mapped to [-1, 1]; color is a*b* / 110, within about ±1.
    """

    color_channels = 2

    def encode(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        lab = rgb_to_lab(rgb)
        lightness = (lab[..., :1, :, :] * 2.55).round() / 255  # (N, 1, H, W) in [0, 1]
        return lightness * 2 - 1, lab[..., 1:, :, :] / 110

    def decode(self, gray: Tensor, color: Tensor) -> Tensor:
        gray, color = at_least_float32(gray), at_least_float32(color)
        return lab_to_rgb(torch.cat(((gray + 1) * 50, color * 110), dim=-3))


class RgbSpace:
    """RGB from the mean of the channels, all in [0, 1], as in the original notebooks."""

    color_channels = 3

    def encode(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        rgb = at_least_float32(rgb)
        return rgb.mean(-3, keepdim=True), rgb

    def decode(self, gray: Tensor, color: Tensor) -> Tensor:
        return at_least_float32(color).clamp(0, 1)


ColorSpace = LabSpace | RgbSpace
"""The input and output of a network: `encode` splits sRGB (N, 3, H, W) in [0, 1] into the gray condition (N, 1, H, W)
and the color (N, color_channels, H, W), `decode` joins them to sRGB in [0, 1]."""


def at_least_float32(images: Tensor) -> Tensor:
    """Return float64 images as they are, all others in float32."""
    return images if images.dtype == torch.float64 else images.float()


def _mix_channels(images: Tensor, matrix: Sequence[Sequence[float]]) -> Tensor:
    """Multiply the channel axis of (…, 3, H, W) by a (C, 3) matrix."""
    r, g, b = images.unbind(-3)
    return torch.stack([wr * r + wg * g + wb * b for wr, wg, wb in matrix], dim=-3)
