"""The metrics against their papers, scikit-image, plain NumPy, numbers derived by hand, and the reference table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage import color as skcolor
from skimage import metrics as skmetrics
from torch import Tensor

from colornet.color import Gray, lab_to_rgb, rgb_to_lab, to_float, to_gray, to_uint8
from colornet.metrics.image import ciede2000, colorfulness, image_metrics, ssim, summarize
from tests.images import photos, random_pixels

# The 34 pairs of Sharma, Wu & Dalal 2005, table 1: L1, a1, b1, L2, a2, b2, ΔE00. 9-16 straddle opposite hues.
SHARMA = torch.tensor(
    [
        (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
        (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
        (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
        (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
        (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
        (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
        (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045),
        (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
        (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
        (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
        (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
        (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
        (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
        (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
        (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
        (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
        (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
        (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
        (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
        (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
        (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
        (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
        (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
        (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
    ],
    dtype=torch.float64,
)


def random_lab(n: int, seed: int) -> Tensor:
    lab = torch.rand(3, 1, n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return lab * torch.tensor((100.0, 220.0, 220.0)).view(3, 1, 1) - torch.tensor((0.0, 110.0, 110.0)).view(3, 1, 1)


def as_numpy(images: Tensor) -> np.ndarray:
    return images.movedim(-3, -1).numpy()


def floor(truth: Tensor, kind: Gray) -> Tensor:
    return to_uint8(to_gray(to_float(truth), kind))


# --- colorfulness ---------------------------------------------------------------------------------------------------


def two_colors(first: tuple[int, int, int], second: tuple[int, int, int]) -> Tensor:
    image = torch.empty(1, 3, 4, 4, dtype=torch.uint8)
    image[0, :, :2] = torch.tensor(first, dtype=torch.uint8).view(3, 1, 1)
    image[0, :, 2:] = torch.tensor(second, dtype=torch.uint8).view(3, 1, 1)
    return image


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((70, 70, 70), (180, 180, 180), 0),  # gray
        ((200, 100, 50), (200, 100, 50), 0.3 * math.hypot(100, 100)),  # constant: rg = 100, yb = 100
        ((255, 0, 0), (0, 255, 0), 255 + 0.3 * 127.5),  # rg = ±255, whose mean is 0; yb = 127.5
        ((0, 0, 255), (255, 255, 0), 255),  # rg = 0; yb = ±255
        # rg is 255 and 0, yb is 127.5 and -255
        ((255, 0, 0), (0, 0, 255), math.hypot(127.5, 191.25) + 0.3 * math.hypot(127.5, 63.75)),
    ],
)
def test_colorfulness_by_hand(first: tuple[int, int, int], second: tuple[int, int, int], expected: float) -> None:
    assert colorfulness(two_colors(first, second)).tolist() == pytest.approx([expected], abs=1e-12)


def test_colorfulness_against_numpy() -> None:
    images = torch.cat((random_pixels(5), photos()))
    expected = []
    for image in as_numpy(images).astype(np.float64):
        rg = image[..., 0] - image[..., 1]
        yb = 0.5 * (image[..., 0] + image[..., 1]) - image[..., 2]
        expected.append(math.sqrt(rg.std() ** 2 + yb.std() ** 2) + 0.3 * math.hypot(rg.mean(), yb.mean()))
    np.testing.assert_allclose(colorfulness(images).numpy(), expected, rtol=1e-12)


# --- CIEDE2000 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("swap", [False, True])
def test_ciede2000_published_pairs(swap: bool) -> None:
    first, second = SHARMA[:, :3].T.unsqueeze(1), SHARMA[:, 3:6].T.unsqueeze(1)  # (3, 1, 34) each
    difference = ciede2000(second, first) if swap else ciede2000(first, second)
    assert difference.shape == (1, 34)
    np.testing.assert_allclose(difference[0].numpy(), SHARMA[:, 6].numpy(), atol=5.1e-5, rtol=0)


@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-9), (torch.float32, 2e-3)])
def test_ciede2000_against_skimage(dtype: torch.dtype, atol: float) -> None:
    first, second = random_lab(20_000, seed=1), random_lab(20_000, seed=2)
    near = first + random_lab(20_000, seed=3) / 100  # small differences, as between an image and its coloring
    first, second = torch.cat((first, first), -1), torch.cat((second, near), -1)
    first[1:, :, ::50] = 0  # colors without hue
    expected = skcolor.deltaE_ciede2000(as_numpy(first), as_numpy(second))
    difference = ciede2000(first.to(dtype), second.to(dtype))
    assert difference.dtype == dtype
    np.testing.assert_allclose(difference.numpy(), expected, atol=atol, rtol=0)


def test_ciede2000_is_symmetric_and_zero_for_equal_colors() -> None:
    first, second = random_lab(5_000, seed=1), random_lab(5_000, seed=2)
    torch.testing.assert_close(ciede2000(first, second), ciede2000(second, first), atol=1e-10, rtol=0)
    assert (ciede2000(first, first) == 0).all()
    black, white = rgb_to_lab(torch.zeros(3, 1, 1)), rgb_to_lab(torch.ones(3, 1, 1))
    assert ciede2000(black, white).item() == pytest.approx(100, abs=1e-3)


# --- SSIM and PSNR ---------------------------------------------------------------------------------------------------


def skimage_ssim(x: Tensor, y: Tensor) -> list[float]:
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    pairs = zip(as_numpy(x.double()), as_numpy(y.double()), strict=True)
    return [skmetrics.structural_similarity(a, b, channel_axis=-1, **options) for a, b in pairs]


@pytest.mark.parametrize("size", [(11, 11), (17, 23), (32, 32)])
def test_ssim_against_skimage(size: tuple[int, int]) -> None:
    x, noise = to_float(random_pixels(3, *size)), to_float(random_pixels(3, *size, seed=1))
    for y in (noise, 0.9 * x + 0.1 * noise, 1 - x, x * 0 + 0.5):
        np.testing.assert_allclose(ssim(x, y).numpy(), skimage_ssim(x, y), atol=1e-9, rtol=0)


def test_ssim_of_equal_and_of_small_images() -> None:
    x = to_float(random_pixels(2))
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=torch.float64), atol=1e-12, rtol=0)
    for size in ((10, 32), (32, 10)):
        small = torch.zeros(1, 3, *size)
        with pytest.raises(ValueError, match="at least 11"):
            ssim(small, small)


def test_psnr_l1_and_ssim_of_photos_against_skimage() -> None:
    truth = photos()
    output = (
        (truth.int() + torch.randint(-9, 10, truth.shape, generator=torch.Generator().manual_seed(0)))
        .clamp(0, 255)
        .to(torch.uint8)
    )
    values = image_metrics(output, truth)
    pairs = list(zip(as_numpy(truth), as_numpy(output), strict=True))
    expected = [skmetrics.peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    np.testing.assert_allclose(values["psnr"].numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(
        values["mse"].numpy(), [skmetrics.mean_squared_error(a / 255, b / 255) for a, b in pairs]
    )
    np.testing.assert_allclose(values["l1"].numpy(), [np.abs(a / 255 - b / 255).mean() for a, b in pairs])
    np.testing.assert_allclose(values["ssim"].numpy(), skimage_ssim(output / 255, truth / 255), atol=1e-6)


# --- a whole image, a whole data set ---------------------------------------------------------------------------------


def test_image_metrics_have_one_float64_value_an_image() -> None:
    values = image_metrics(random_pixels(3), random_pixels(3, seed=1))
    assert set(values) == {"mse", "psnr", "l1", "ssim", "ciede2000", "lightness", "accuracy_at_2", "accuracy_at_5",
                           "cf", "cf_truth", "colored", "colored_truth", "sepia", "sepia_truth"}  # fmt: skip
    assert all(value.shape == (3,) and value.dtype == torch.float64 for value in values.values())


def test_identical_images() -> None:
    truth = photos()
    values = image_metrics(truth, truth.clone())
    assert values["psnr"].isposinf().all()
    assert not any(values[name].any() for name in ("mse", "l1", "ciede2000", "lightness"))
    assert all((values[name] == 1).all() for name in ("accuracy_at_2", "accuracy_at_5"))
    assert torch.equal(values["cf"], values["cf_truth"])
    summary = summarize(values)
    assert (summary["psnr"], summary["psnr_pooled"]) == (100, math.inf)  # the cap is of the mean over images alone
    assert summary["ssim"] == pytest.approx(1, abs=1e-12)
    assert summary["delta_cf"] == summary["delta_cf_image"] == 0


def test_values_do_not_depend_on_the_batch() -> None:
    output, truth = random_pixels(37), random_pixels(37, seed=1)
    whole = image_metrics(output, truth)
    parts = [image_metrics(*pair) for pair in zip(output.split(5), truth.split(5), strict=True)]
    for name, value in whole.items():
        torch.testing.assert_close(torch.cat([part[name] for part in parts]), value, atol=1e-12, rtol=1e-12, msg=name)


def test_values_do_not_depend_on_autocast() -> None:
    output, truth = floor(photos(), "mean"), photos()
    expected = image_metrics(output, truth)
    with torch.autocast("cpu", torch.bfloat16):
        values = image_metrics(output, truth)
    assert all(torch.equal(values[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("output", "truth"),
    [
        (torch.zeros(2, 3, 32, 32), torch.zeros(2, 3, 32, 32)),  # floats, which would be read as 0 … 255 or 0 … 1
        (random_pixels(2), torch.zeros(2, 3, 32, 32)),
        (random_pixels(2)[:, :1], random_pixels(2)),  # would broadcast
        (random_pixels(1), random_pixels(2)),
        (random_pixels(2).movedim(1, -1), random_pixels(2).movedim(1, -1)),
        (random_pixels(2, 8, 8), random_pixels(2, 8, 8)),
    ],
)
def test_image_metrics_refuse_what_they_would_misread(output: Tensor, truth: Tensor) -> None:
    with pytest.raises(ValueError, match=r"uint8|differ in shape|at least 11"):
        image_metrics(output, truth)


def test_summary_by_hand() -> None:
    def values(*numbers: float) -> Tensor:
        return torch.tensor(numbers, dtype=torch.float64)

    summary = summarize(
        {
            "mse": values(1e-2, 1e-4),
            "psnr": values(20, 40),
            "l1": values(0.1, 0.3),
            "ssim": values(0.5, 1),
            "ciede2000": values(2, 6),
            "lightness": values(0.5, 1),
            "cf": values(10, 33),
            "cf_truth": values(20, 20),
            "colored": values(0.5, 0.25),
            "sepia": values(0.125, 0.25),
            "colored_truth": values(1, 1),
            "sepia_truth": values(0, 0.5),
        }
    )
    assert summary == pytest.approx(
        {
            "psnr": 30,
            "psnr_pooled": 22.96708621881,  # -10 log10(0.00505)
            "l1": 0.2,
            "ssim": 0.75,
            "ciede2000": 4,
            "lightness": 0.75,
            "cf": 21.5,
            "cf_truth": 20,
            "delta_cf": 1.5,
            "delta_cf_image": 11.5,
            "w1_cf": 11.5,
            "sepia_of_colored": 0.5,  # of the pixels of both images, not the mean of the images' shares
            "sepia_of_colored_truth": 0.25,
        }
    )
    assert all(type(number) is float for number in summary.values())


def test_summary_does_not_depend_on_the_order() -> None:
    values = image_metrics(random_pixels(40), photos())
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    shuffled = summarize({name: value[order] for name, value in values.items()})
    assert shuffled == pytest.approx(summarize(values), rel=1e-12)


def lightness_and_accuracy(output: Tensor, truth: Tensor) -> dict[str, list[float]]:
    values = image_metrics(output, truth)
    return {name: values[name].tolist() for name in ("lightness", "accuracy_at_2", "accuracy_at_5")}


def test_lightness_and_accuracy_by_hand() -> None:
    """A quarter of the pixels each: equal, and ΔL of about 1, 4 and 9."""
    truth = torch.full((1, 3, 16, 16), 119, dtype=torch.uint8)
    output = truth.clone()
    light = skcolor.rgb2lab(np.arange(256, dtype=np.uint8).repeat(3).reshape(256, 1, 3))[:, 0, 0]
    chosen = [int(np.abs(light - light[119] - step).argmin()) for step in (1, 4, 9)]
    for row, level in zip((4, 8, 12), chosen, strict=True):
        output[:, :, row : row + 4] = level
    found = lightness_and_accuracy(output, truth)
    assert found["lightness"] == pytest.approx([(light[chosen] - light[119]).sum() / 4], rel=1e-4)
    assert (found["accuracy_at_2"], found["accuracy_at_5"]) == ([0.5], [0.75])


def test_lightness_and_accuracy_against_skimage() -> None:
    output, truth = photos().roll(1, 3), photos()
    found = lightness_and_accuracy(output, truth)
    errors = np.abs(skcolor.rgb2lab(as_numpy(output)) - skcolor.rgb2lab(as_numpy(truth)))  # (40, 32, 32, 3)
    np.testing.assert_allclose(found["lightness"], errors[..., 0].mean((1, 2)), rtol=1e-4)
    errors = np.abs(skcolor.rgb2lab(as_numpy(output)).round() - skcolor.rgb2lab(as_numpy(truth)).round())
    for limit in (2, 5):
        right = (errors <= np.array((limit, 2.2 * limit, 2.2 * limit))).all(-1).mean((1, 2))
        assert 0 < right.mean() < 1
        name = f"accuracy_at_{limit}"
        np.testing.assert_allclose(found[name], right, atol=2 / 1024)  # a pixel or two may round otherwise


def test_a_wrong_color_alone_is_wrong_for_the_accuracy() -> None:
    """|Δa| and |Δb| may be 2.2 t, and each of them counts."""
    gray = torch.full((1, 3, 16, 16), 119, dtype=torch.uint8)
    for ab, right in (
        ((4.0, 0), (1, 1)),
        ((0, -4.0), (1, 1)),
        ((0, 8.0), (0, 1)),
        ((-8.0, 0), (0, 1)),
        ((0, 13), (0, 0)),
    ):
        lab = rgb_to_lab(to_float(gray))
        lab[:, 1:] += torch.tensor(ab)[:, None, None]
        found = lightness_and_accuracy(to_uint8(lab_to_rgb(lab)), gray)
        assert (found["accuracy_at_2"], found["accuracy_at_5"]) == ([right[0]], [right[1]])
        assert found["lightness"][0] < 0.3
