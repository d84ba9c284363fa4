"""Scaling: the model's limits, its fits against what they were made of, and a real measurement on two processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.scaling import options as scaling
from benchmarks.scaling.model import (
    BACKWARD_SHARE,
    Compute,
    Link,
    efficient_batch,
    fit_compute,
    fit_link,
    hidden_share,
    predict_step,
)

COMPUTE = Compute(fixed=0.002, per_image=1e-4)
LINK = Link(latency=2e-5, bandwidth=1e10)
SIZE = 4e7


def test_one_process_sums_nothing() -> None:
    assert predict_step(COMPUTE, LINK, SIZE, 0.0, 1, 64) == COMPUTE.step(64)


def test_a_ring_moves_twice_the_bytes_however_many_processes() -> None:
    free = Link(latency=0.0, bandwidth=1e9)
    assert free.all_reduce(2, 1e9) == pytest.approx(1)
    assert free.all_reduce(1000, 1e9) == pytest.approx(2, rel=2e-3)


def test_no_more_is_hidden_than_the_backward_pass_takes() -> None:
    slow = Link(latency=0.0, bandwidth=1e6)  # 40 s
    alone = COMPUTE.step(64)
    assert predict_step(COMPUTE, slow, SIZE, 1.0, 2, 64) == pytest.approx(40 + alone * (1 - BACKWARD_SHARE))
    fast = Link(latency=0.0, bandwidth=1e12)
    assert predict_step(COMPUTE, fast, SIZE, 1.0, 2, 64) == pytest.approx(alone)


def test_fits_find_what_made_the_measurements() -> None:
    compute = fit_compute({images: COMPUTE.step(images) for images in (8, 32, 256)})
    assert (compute.fixed, compute.per_image) == pytest.approx((COMPUTE.fixed, COMPUTE.per_image))
    sums = [(n, size, LINK.all_reduce(n, size)) for n in (2, 3, 4) for size in (4096, SIZE)]
    link = fit_link(sums)
    assert (link.latency, link.bandwidth) == pytest.approx((LINK.latency, LINK.bandwidth))


def test_noise_never_makes_a_part_negative() -> None:
    assert fit_compute({32: 1.0, 64: 2.5}).fixed == 0
    assert fit_compute({64: 2.0}).step(32) == pytest.approx(1)
    link = fit_link([(2, 1e6, 0.001), (2, 1e7, 0.02)])
    assert link.latency >= 0
    assert link.bandwidth > 0


@pytest.mark.parametrize(("summed", "exposed", "share"), [(2.0, 0.5, 0.75), (1.0, 3.0, 0.0), (1.0, -0.1, 1.0)])
def test_hidden_share(summed: float, exposed: float, share: float) -> None:
    assert hidden_share(summed, exposed) == share


@pytest.mark.parametrize("processes", [2, 8, 64])
@pytest.mark.parametrize("hidden", [0.0, 0.5, 1.0])
def test_the_efficient_batch_is_the_smallest(processes: int, hidden: float) -> None:
    images = efficient_batch(COMPUTE, LINK, SIZE, hidden, processes)
    assert images is not None

    def efficiency(count: int) -> float:
        return COMPUTE.step(count) / predict_step(COMPUTE, LINK, SIZE, hidden, processes, count)

    assert efficiency(images) >= 0.9
    assert images == 1 or efficiency(images - 1) < 0.9


def test_a_link_may_be_too_slow_for_any_batch() -> None:
    assert efficient_batch(COMPUTE, Link(1000.0, 1e10), SIZE, 0.0, 2) is None


def test_steps_of_another_device_are_taken_from_throughput(folder: Path, tmp_path: Path) -> None:
    rows = [
        {"preset": "ae", "mode": "train", "batch_size": size, "precision": "bf16", "compile": True, "width": 64,
         "blocks": 2, "images_per_second": speed}
        for size, speed in ((256, 10_000.0), (1024, 20_000.0))
    ]  # fmt: skip
    steps, out = tmp_path / "throughput.json", tmp_path / "scaling.json"
    steps.write_text(json.dumps({"kind": "throughput", "rows": rows}))
    options = "--presets ae --processes 1 --batch-sizes 4 --width 8 --image-size 16 --rounds 1 --steps 1 --warmup 1"
    link = ["--compute", str(steps), "--link-bandwidth", "50", "--link-latency", "10"]
    scaling.main([*options.split(), *link, "--data", str(folder), "--cpu", "--out", str(out)])
    record = json.loads(out.read_text())
    (model,) = record["models"]
    assert record["link"] == {
        "latency": pytest.approx(1e-5),
        "bandwidth": 5e10,
        "assumed": ["link_latency", "link_bandwidth"],
    }
    assert model["single_steps"] == [{"images": 256, "seconds": 0.0256}, {"images": 1024, "seconds": 0.0512}]
    assert model["gradient_bytes"] > 10e6  # of full width, not of the one that was measured here
    assert set(model["hidden_share"]) == {"low", "high"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--presets", "vae"], "--presets names 'vae'"),
        (["--processes", "0"], "--processes is (0,)"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--link-bandwidth", "-1"], "--link-bandwidth is -1.0"),
        (["--compute", "nowhere.json"], "--compute nowhere.json is no file"),
        (["--batch-sizes", "40000"], "more than an epoch"),
        (["--mixed-precision", "fp16", "--cpu"], "--mixed-precision fp16 needs a GPU"),
        (["--out", "scaling.png"], "--out scaling.png is the name of the plot"),
        (["--compute", "setup.cfg"], "--compute setup.cfg has no training steps of ae"),
    ],
)
def test_mistakes_are_named(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    with pytest.raises(SystemExit) as caught:
        scaling.main(options)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_plot_of_before_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "scaling.png"
    picture.write_bytes(b"of before")
    with pytest.raises(SystemExit) as caught:
        scaling.main(["--out", str(tmp_path / "scaling.json"), "--data", "sample"])
    assert caught.value.code == 2
    assert f"--out {picture} exists already" in capsys.readouterr().err
    assert picture.read_bytes() == b"of before"
