"""A real measurement of growth on small sizes."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.benchmarks.commands import run_command


def test_a_real_measurement(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "growth.json"
    options = (
        "--width 4 --batch-size 4 --sizes 20 40 --rounds 2 --steps 2 --warmup 1 --blocks 1 --image-size 16 "
        "--mixed-precision no --resident-limit 0.00002"
    )
    record = run_command(out, "growth", *options.split(), "--data", str(folder), "--cpu")
    points = [(p["width"], p["batch_size"], p["images"], p["source"], p["cold"]) for p in record["points"]]
    assert points == [
        (4, 4, 20, "resident", False),
        (4, 4, 20, "mapped", False),
        (4, 4, 20, "streamed", False),
        (4, 4, 40, "mapped", True),
        (4, 4, 40, "streamed", True),
    ]
    by_source = {(p["images"], p["source"]): p for p in record["points"]}
    resident = by_source[20, "resident"]
    assert resident["share_of_resident"] is None
    for at, point in by_source.items():
        assert min(point["rounds"]) <= point["images_per_second"] <= max(point["rounds"])
        assert point["input_images_per_second"] > 0
        if at[1] != "resident":  # the 40 images are too many for --resident-limit: they are compared with the 20
            shares = [a / b for a, b in zip(point["rounds"], resident["rounds"], strict=True)]
            assert point["share_rounds"] == pytest.approx(shares)
            assert point["share_of_resident"] == pytest.approx(sum(shares) / 2)
    assert record["file_bytes"] > 40 * 3 * 16 * 16
    assert record["write_seconds"] > 0
    assert "| 40     | streamed, cold |" in capsys.readouterr().out
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.width > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["growth.json", "growth.png"]  # no images are left
