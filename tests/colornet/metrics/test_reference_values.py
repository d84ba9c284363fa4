"""The values of the gray floors, as other code computed them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from colornet.color import Gray, to_float, to_gray, to_uint8
from colornet.metrics.image import image_metrics, summarize
from tests.images import cifar10_jpeg_test_images, photos


def floor(truth: Tensor, kind: Gray) -> Tensor:
    return to_uint8(to_gray(to_float(truth), kind))


# Gray floors of the 40 fixture images, made with NumPy, PIL and scikit-image 0.26 alone. automobile/0002 (index 11) is
# a gray photo, which every gray version reproduces: its PSNR is infinite and counts as 100 dB; `psnr` is of the others.
FIXTURE_CF = 33.7695
FIXTURE_FLOORS: dict[Gray, dict[str, float]] = {
    "mean": {"psnr": 24.2417, "psnr_pooled": 21.9258, "l1": 0.053535, "ssim": 0.94678, "ciede2000": 11.4512, "cf": 0},
    "rec601": {"psnr": 23.7343, "psnr_pooled": 21.5261, "l1": 0.053330, "ssim": 0.94434, "ciede2000": 11.2782, "cf": 0},
    "lightness": {
        "psnr": 23.4690,
        "psnr_pooled": 21.2974,
        "l1": 0.053570,
        "ssim": 0.94034,
        "ciede2000": 11.2468,
        "cf": 0.073186,
    },
}


@pytest.mark.parametrize("kind", FIXTURE_FLOORS)
def test_gray_floors_of_the_fixture(kind: Gray) -> None:
    values = image_metrics(floor(photos(), kind), photos())
    finite = values["psnr"].isfinite()
    assert (~finite).nonzero().flatten().tolist() == [11]
    summary = summarize(values)
    assert summary["cf_truth"] == pytest.approx(FIXTURE_CF, rel=1e-5)
    measured = {**summary, "psnr": (summary["psnr"] * 40 - 100) / 39}
    for name, expected in FIXTURE_FLOORS[kind].items():
        # What CF "lightness" has comes from the few pixels whose channels fall to both sides of a rounding step.
        assert measured[name] == pytest.approx(expected, rel=2e-5, abs=1e-4 if name == "cf" else 0), name


# Rows of the reference table, made on the 10,000 test images with separate code. 113 of them are gray photos with an
# infinite PSNR; the table counts these as 100 dB.
REFERENCE: dict[Gray, dict[str, str]] = {
    "mean": {
        "psnr": "26.160",
        "psnr_pooled": "22.632",
        "l1": "0.04909",
        "ssim": "0.9576",
        "ciede2000": "10.644",
        "cf": "0.00",
    },
    "rec601": {
        "psnr": "25.725",
        "psnr_pooled": "22.203",
        "l1": "0.04848",
        "ssim": "0.9551",
        "ciede2000": "10.485",
        "cf": "0.00",
    },
    "lightness": {
        "psnr": "25.494",
        "psnr_pooled": "21.956",
        "l1": "0.04860",
        "ssim": "0.9526",
        "ciede2000": "10.461",
        "cf": "0.08",
    },
}


@pytest.mark.parametrize("kind", REFERENCE)
def test_reference_values_of_the_10_000_test_images(kind: Gray) -> None:
    cifar10_jpeg = cifar10_jpeg_test_images()
    assert cifar10_jpeg.shape == (10_000, 3, 32, 32)
    parts = [image_metrics(floor(truth, kind), truth) for truth in cifar10_jpeg.split(500)]
    values = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    summary = summarize(values)
    if kind == "lightness":
        assert f"{values['accuracy_at_5'].mean():.1%}" == "56.2%"
    assert values["psnr"].isinf().sum() == 113
    assert f"{summary['cf_truth']:.2f}" == "30.61"
    expected = REFERENCE[kind]
    assert {name: f"{summary[name]:.{len(digits.split('.')[1])}f}" for name, digits in expected.items()} == expected
