"""The benchmark of coloring small images: all variants color alike, and the record says what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks.inference.measure import METHOD, Variant, build_variants, describe, time_interleaved
from benchmarks.inference.options import InferenceOptions
from colornet.inference.colorizer import Colorizer
from tests.benchmarks.cases import CPU
from tests.benchmarks.commands import refused, run_command


def images(count: int) -> Tensor:
    ramp = torch.linspace(0, 255, 32).expand(count, 1, 32, 32)
    shift = torch.arange(count)[:, None, None, None] * 5
    return ((ramp + shift) / 2).to(torch.uint8).expand(-1, 3, -1, -1).contiguous()


def test_variants_color_alike() -> None:
    variants = build_variants(InferenceOptions(batch_sizes=(4,)), CPU)
    assert [(v.name, v.precision, v.batch_size) for v in variants] == [
        ("loop", "no", 1), ("eager", "no", 4), ("Colorizer", "no", 4), ("Colorizer", "bf16", 4),
    ]  # fmt: skip
    loop, eager, fp32, bf16 = (variant.run(images(6)).int() for variant in variants)
    assert (loop - eager).abs().max() <= 1
    assert (loop - loop.float().mean(1, keepdim=True)).abs().max() > 5  # there are colors
    assert (bf16 - fp32).abs().max() <= 4
    assert (bf16 - fp32).abs().float().mean() < 0.2
    # Colorizer keeps the lightness of what sRGB cannot show, the plain variant clips it: few pixels differ.
    assert ((loop - fp32).abs().amax(1) <= 1).float().mean() > 0.9


def test_bf16_is_computed_and_returned_as_float() -> None:
    seen: list[torch.dtype] = []
    colorizer = Colorizer.load("cgan", CPU, bf16=True)
    assert isinstance(colorizer.network, torch.nn.Module)
    colorizer.network.register_forward_hook(lambda *call: seen.append(call[2].dtype))
    assert colorizer.colorize(images(1).float() / 255).dtype == torch.float32
    assert seen == [torch.bfloat16]


def test_variants_are_interleaved_over_all_images() -> None:
    order: list[tuple[str, int]] = []

    def noting(name: str) -> Variant:
        def colorize(batch: Tensor) -> Tensor:
            order.append((name, len(batch)))
            return batch

        return Variant(name, "no", 4, colorize)

    speeds = time_interleaved([noting("a"), noting("b")], images(6), 2, CPU)
    assert speeds.shape == (2, 2)
    assert order == [("a", 4), ("a", 2), ("b", 4), ("b", 2)] * 3
    row = describe(noting("b"), speeds[:, 1], speeds[:, 0])
    assert row["ratio_to_loop"] == pytest.approx((speeds[:, 1] / speeds[:, 0]).mean())


def test_record_and_table(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["inference", "--data", str(folder), "--images", "3", "--batch-sizes", "2", "--passes", "1", "--cpu"]
    record = run_command(tmp_path / "a.json", *options)
    assert record["kind"] == "inference"
    assert record["data"]["images"] == 3
    assert record["method"] == METHOD
    assert record["rows"][0]["ratio_to_loop"] == 1
    assert record["difference"]["largest"] <= 4
    assert "| Colorizer | bf16      |     2 |" in capsys.readouterr().out
    assert "exists already" in refused(capsys, *options, "--out", str(tmp_path / "a.json"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--images", "0"], "--images is 0: it must be at least 1"),
        (["--batch-sizes", "0"], "--batch-sizes is 0: it must be at least 1"),
        (["--model", "cgna"], "neither a released one"),
    ],
)
def test_bad_options(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refused(capsys, "inference", *options)
