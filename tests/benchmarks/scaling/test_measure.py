"""Real measurements of scaling: on two processes, and with the steps of another device."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.benchmarks.commands import run_command


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
    record = run_command(out, "scaling", *options.split(), *link, "--data", str(folder), "--cpu")
    (model,) = record["models"]
    assert record["link"] == {
        "latency": pytest.approx(1e-5),
        "bandwidth": 5e10,
        "assumed": ["link_latency", "link_bandwidth"],
    }
    assert model["single_steps"] == [{"images": 256, "seconds": 0.0256}, {"images": 1024, "seconds": 0.0512}]
    assert model["gradient_bytes"] > 10e6  # of full width, not of the one that was measured here
    assert set(model["hidden_share"]) == {"low", "high"}
