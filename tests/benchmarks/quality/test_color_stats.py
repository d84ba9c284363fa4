"""The colors of images in numbers: strength, sepia, and the angle between hues, against colors that are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from benchmarks.quality.color_stats import color_histograms, color_scores
from colornet.color import lab_to_rgb, to_uint8
from colornet.metrics.image import image_metrics, summarize


def flat(*colors: tuple[float, float]) -> Tensor:
    """Make an image of 8 × 8 pixels of each (a*, b*) at L* = 60: uint8 (N, 3, 8, 8)."""
    lab = torch.tensor([(60.0, a, b) for a, b in colors])[:, :, None, None].expand(-1, -1, 8, 8)
    return to_uint8(lab_to_rgb(lab))


BROWN, YELLOW, GREEN, BLUE, PALE, GRAY = (15.0, 25.0), (0.5, 40.0), (-30.0, 25.0), (5.0, -30.0), (1.5, 2.5), (0.0, 0.0)


def test_only_colored_pixels_between_orange_and_yellow_are_sepia() -> None:
    images = flat(BROWN, YELLOW, GREEN, BLUE, PALE, GRAY)
    scores = color_scores(images, images)
    shares = image_metrics(images.repeat(1, 1, 2, 2), images.repeat(1, 1, 2, 2))
    assert shares["sepia"].tolist() == [1, 1, 0, 0, 0, 0]
    assert shares["colored"].tolist() == [1, 1, 1, 1, 0, 0]
    assert shares["sepia_truth"].equal(shares["sepia"])
    assert summarize(shares)["sepia_of_colored"] == 0.5
    gray = image_metrics(flat(GRAY).repeat(1, 1, 2, 2), flat(BROWN).repeat(1, 1, 2, 2))
    assert "sepia_of_colored" not in summarize(gray)  # of nothing
    assert summarize(gray)["sepia_of_colored_truth"] == 1
    assert scores["chroma"][0].item() == pytest.approx(29.15, abs=0.6)  # of 8-bit pixels
    assert (scores["mean_a"][2].item(), scores["mean_b"][2].item()) == pytest.approx((-30, 25), abs=0.6)
    assert torch.equal(scores["chroma"], scores["chroma_truth"])


def test_hue_error_is_the_shorter_angle_and_nothing_without_color() -> None:
    truth = flat((30, 0), (30, -3), (0, 30), (20, 0), (0, 0), (20, 20))
    output = flat((0, 30), (30, 3), (0, -30), (40, 0), (20, 20), (0, 0))
    angles = color_scores(output, truth)["hue_error"]
    assert angles[:4].tolist() == pytest.approx([90, 11.4, 180, 0], abs=2)
    assert color_scores(flat(GRAY), flat(GRAY))["hue_error"].item() < 180


def test_strong_pixels_count_more_in_the_hue_error() -> None:
    strong, weak = flat((40.0, 0.0)), flat((4.0, 0.0))
    truth = torch.cat((strong, weak), dim=3)
    output = torch.cat((strong, flat((-4.0, 0.0))), dim=3)  # the weak half is opposite
    assert color_scores(output, truth)["hue_error"].item() == pytest.approx(180 / 11, abs=2)


def test_histograms_count_every_pixel_once() -> None:
    plane, hues = color_histograms(flat(BROWN, BLUE, GRAY))
    assert plane.sum() == 3 * 64
    assert hues.sum() == 2 * 64  # gray has none
    assert hues[5] == 64  # 59°
    assert hues[27] == 64  # 279.5°
    assert plane[int((25 + 110) / 220 * 64), int((15 + 110) / 220 * 64)] == 64
