"""The color conversions against scikit-image and PIL, and the properties that the rest of the package relies on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import color as skcolor
from torch import Tensor

from colornet.color import (
    Gray,
    LabSpace,
    RgbSpace,
    gamut_map_to_rgb,
    lab_to_rgb,
    rgb_to_lab,
    to_float,
    to_gray,
    to_uint8,
)

FIXTURE = Path(__file__).parents[1] / "fixtures" / "cifar10_jpeg_test_40.png"


def as_numpy(images: Tensor) -> np.ndarray:
    return images.movedim(-3, -1).numpy()


def random_rgb(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(*shape, dtype=dtype, generator=torch.Generator().manual_seed(0))


def cube(step: int) -> Tensor:
    """All uint8 colors whose channels are multiples of `step`, or 255: (3, n, n * n)."""
    levels = torch.tensor(sorted({*range(0, 256, step), 255}), dtype=torch.uint8)
    return torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).flatten(2)


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """The fixture's 40 photos in one image, uint8 (1, 3, 128, 320)."""
    with Image.open(FIXTURE) as montage:
        return torch.from_numpy(np.array(montage)).movedim(-1, 0).unsqueeze(0)


# --- sRGB and CIELAB -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-10), (torch.float32, 1e-4)])
def test_lab_against_skimage(dtype: torch.dtype, atol: float) -> None:
    rgb = torch.cat((random_rgb(3, 100, 100), cube(15).flatten(1).unfold(1, 100, 100).double() / 255), dim=1)
    lab = rgb_to_lab(rgb.to(dtype))
    assert lab.dtype == dtype
    assert lab.shape == rgb.shape
    np.testing.assert_allclose(as_numpy(lab), skcolor.rgb2lab(as_numpy(rgb)), atol=atol, rtol=0)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-7), (torch.float32, 1e-5)])
def test_rgb_against_skimage(dtype: torch.dtype, atol: float) -> None:
    lab = torch.from_numpy(skcolor.rgb2lab(as_numpy(random_rgb(3, 100, 100)))).movedim(-1, 0)
    rgb = lab_to_rgb(lab.to(dtype))
    assert rgb.dtype == dtype
    np.testing.assert_allclose(as_numpy(rgb), skcolor.lab2rgb(as_numpy(lab)), atol=atol, rtol=0)


def test_round_trip_is_exact_for_every_color() -> None:
    levels = torch.arange(256, dtype=torch.uint8)
    plane = torch.stack(torch.meshgrid(levels, levels, indexing="ij"))  # (2, 256, 256): all of green and blue
    for red in range(256):
        rgb = torch.cat((torch.full_like(plane[:1], red), plane))
        assert torch.equal(to_uint8(lab_to_rgb(rgb_to_lab(to_float(rgb)))), rgb), red


def test_out_of_gamut_is_clipped() -> None:
    lab = torch.tensor(((100.0, 0.0, 50.0), (110.0, -110.0, 110.0), (-110.0, 110.0, -110.0))).view(3, 1, 3)
    rgb = lab_to_rgb(lab)
    assert rgb.min() == 0
    assert rgb.max() == 1


def test_gamut_mapping_takes_no_more_than_the_chroma_that_does_not_fit() -> None:
    random = torch.Generator().manual_seed(0)
    lab = torch.rand(2, 3, 24, 24, generator=random) * torch.tensor((90, 220, 220)).view(3, 1, 1)
    lab = lab + torch.tensor((5, -110, -110)).view(3, 1, 1)  # L* from 5 to 95, a* and b* from -110 to 110
    mapped, clipped = gamut_map_to_rgb(lab), lab_to_rgb(lab)
    fits = ((clipped > 0) & (clipped < 1)).all(1)  # (2, 24, 24)
    assert 0.1 < fits.float().mean() < 0.9
    assert torch.equal(mapped.movedim(1, 0)[:, fits], clipped.movedim(1, 0)[:, fits])
    found = rgb_to_lab(mapped)
    torch.testing.assert_close(found[:, :1], lab[:, :1], atol=0.02, rtol=0)
    share = found[:, 1:].norm(dim=1) / lab[:, 1:].norm(dim=1)  # (2, 24, 24)
    torch.testing.assert_close(found[:, 1:], share[:, None] * lab[:, 1:], atol=0.05, rtol=0)  # the hue is the same
    more = lab_to_rgb(torch.cat((lab[:, :1], (share + 1 / 128)[:, None] * lab[:, 1:]), dim=1))
    assert ((more <= 0) | (more >= 1)).any(1)[~fits].all()


def test_quantising_rounds_and_clips() -> None:
    images = torch.tensor((-0.5, 0.0, 0.4 / 255, 0.6 / 255, 254.6 / 255, 1.0, 1.5))
    assert to_uint8(images).tolist() == [0, 0, 0, 1, 255, 255, 255]
    levels = torch.arange(256, dtype=torch.uint8)
    assert to_float(levels).dtype == torch.float32
    assert torch.equal(to_uint8(to_float(levels)), levels)


# --- gradients, precision, compilation -------------------------------------------------------------------------------

# The corners of the cube, the knees of the transfer functions, and what a network may overshoot to.
RGB_EDGES = torch.cat((cube(255).flatten(1), torch.tensor((0.04045, 0.04, 0.041, 1e-8, -0.2, 1.2)).expand(3, 6)), dim=1)
LAB_EDGES = torch.cat(
    (
        rgb_to_lab(RGB_EDGES.unsqueeze(1)).squeeze(1),
        torch.tensor(
            ((0.0, 0.0, 0.0), (8.0, 0.0, 0.0), (100.0, 0.0, 0.0), (0.0, 110.0, -110.0), (100.0, -110.0, 110.0))
        ).T,
    ),
    dim=1,
)


@pytest.mark.parametrize(("convert", "edges"), [(rgb_to_lab, RGB_EDGES), (lab_to_rgb, LAB_EDGES)])
def test_gradients_are_finite_at_the_edges(convert: Callable[[Tensor], Tensor], edges: Tensor) -> None:
    for channel in range(3):
        images = edges.unsqueeze(1).clone().requires_grad_()  # (3, 1, n)
        convert(images)[channel].sum().backward()
        assert images.grad is not None
        assert images.grad.isfinite().all()
        assert images.grad.abs().max() > 0


@pytest.mark.parametrize("convert", [rgb_to_lab, lambda rgb: lab_to_rgb(rgb_to_lab(rgb) * 0.9)])
def test_gradients_are_right(convert: Callable[[Tensor], Tensor]) -> None:
    images = random_rgb(3, 4, 4).mul(0.8).add(0.1).requires_grad_()
    assert torch.autograd.gradcheck(convert, images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_are_computed_in_float32(dtype: torch.dtype) -> None:
    rgb = random_rgb(2, 3, 16, 16).to(dtype)
    lab = rgb_to_lab(rgb.float())
    gray, ab = LabSpace().encode(rgb.float())
    expected = [lab, lab_to_rgb(lab.to(dtype).float()), to_gray(rgb.float(), "lightness"), gray, ab]
    expected.append(LabSpace().decode(gray.to(dtype).float(), ab.to(dtype).float()))
    for autocast in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            results = [rgb_to_lab(rgb), lab_to_rgb(lab.to(dtype)), to_gray(rgb, "lightness"), *LabSpace().encode(rgb)]
            results.append(LabSpace().decode(gray.to(dtype), ab.to(dtype)))
        for result, value in zip(results, expected, strict=True):
            assert result.dtype == torch.float32
            assert torch.equal(result, value)


@pytest.mark.parametrize("convert", [rgb_to_lab, lab_to_rgb])
@pytest.mark.parametrize("autocast", [False, True])
def test_conversions_compile_to_one_graph(convert: Callable[[Tensor], Tensor], autocast: bool) -> None:
    images = random_rgb(2, 3, 8, 8, dtype=torch.float32)
    compiled = torch.compile(convert, fullgraph=True, backend="eager")
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        assert torch.equal(compiled(images), convert(images))


# --- gray ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lightness", "mean", "rec601"])
def test_gray_has_three_equal_channels_and_keeps_gray(kind: Gray) -> None:
    gray = to_gray(random_rgb(2, 3, 8, 8, dtype=torch.float32), kind)
    assert gray.shape == (2, 3, 8, 8)
    torch.testing.assert_close(gray[:, :1].expand_as(gray), gray, atol=1e-4, rtol=0)
    levels = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)
    assert torch.equal(to_uint8(to_gray(to_float(levels), kind)), levels)


def test_rec601_is_the_luma_of_pil() -> None:
    rgb = to_uint8(random_rgb(3, 500, 500))
    expected = np.asarray(Image.fromarray(as_numpy(rgb)).convert("L"))
    off = np.abs(to_uint8(to_gray(to_float(rgb), "rec601"))[0].numpy().astype(int) - expected)
    assert off.max() <= 1  # PIL has 16-bit weights: a value next to a half may round the other way
    assert np.mean(off > 0) < 1e-3


def test_mean_is_the_mean() -> None:
    rgb = cube(5)
    expected = np.rint(as_numpy(rgb).astype(np.float64).mean(-1))
    assert np.array_equal(to_uint8(to_gray(to_float(rgb), "mean"))[0].numpy(), expected)


def test_lightness_keeps_lightness() -> None:
    rgb = random_rgb(3, 50, 50)
    gray = skcolor.rgb2lab(as_numpy(to_gray(rgb, "lightness")))
    np.testing.assert_allclose(gray[..., 0], skcolor.rgb2lab(as_numpy(rgb))[..., 0], atol=1e-3)
    np.testing.assert_allclose(gray[..., 1:], 0, atol=1e-2)


# --- color spaces of a network --------------------------------------------------------------------------------------


def test_lab_space_loses_only_the_8_bits_of_lightness(photo: Tensor) -> None:
    space = LabSpace()
    gray, ab = space.encode(to_float(photo))
    assert gray.shape == (1, 1, 128, 320)
    assert ab.shape == (1, space.color_channels, 128, 320)
    assert gray.abs().max() <= 1
    assert ab.abs().max() <= 1
    error = to_uint8(space.decode(gray, ab)).double() - photo.double()
    psnr = 10 * torch.log10(255**2 / error.square().mean())
    assert 60 < psnr < 70  # above would mean that the condition leaks more than 8 bits


def test_lab_space_condition_has_256_levels() -> None:
    gray, _ = LabSpace().encode(to_float(cube(5)))
    levels = (gray.double() + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-4, rtol=0)
    assert levels.min() == 0
    assert levels.max() == 255
    assert 200 < gray.unique().numel() <= 256


def test_lab_space_keeps_lightness_under_any_color_in_gamut() -> None:
    rgb = random_rgb(1, 3, 64, 64, dtype=torch.float32)
    gray, ab = LabSpace().encode(rgb)
    noise = torch.randn(ab.shape, generator=torch.Generator().manual_seed(1)) / 10  # 11 units of a* and b*
    output = LabSpace().decode(gray, ab + noise)
    inside = ((output > 0) & (output < 1)).all(1, keepdim=True)
    assert inside.float().mean() > 0.5
    assert (output - rgb).abs()[inside.expand_as(output)].mean() > 0.02  # the colors did change
    lightness = rgb_to_lab(output)[:, :1]
    torch.testing.assert_close(lightness[inside], ((gray + 1) * 50)[inside], atol=1e-3, rtol=0)


def test_rgb_space() -> None:
    space = RgbSpace()
    rgb = random_rgb(2, 3, 8, 8, dtype=torch.float32)
    gray, color = space.encode(rgb)
    assert color.shape[1] == space.color_channels
    torch.testing.assert_close(gray, rgb.sum(1, keepdim=True) / 3)
    assert torch.equal(space.decode(gray, color), rgb)
    assert torch.equal(space.decode(gray, color * 4 - 1), (rgb * 4 - 1).clamp(0, 1))
    assert space.decode(gray, color.bfloat16()).dtype == torch.float32
