"""The section that sets quality against speed."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.benchmarks.report.records import make, quality_record, throughput_record, write_quality


def test_files_of_a_device_share_a_point_a_model(tmp_path: Path) -> None:
    """Each preset may have been timed by itself, as benchmarks/gpu.sh does."""
    write_quality(tmp_path / "results", quality_record())
    for preset in ("ae", "cgan"):
        record = throughput_record()
        record["rows"] = [row for row in record["rows"] if row["preset"] == preset]
        (tmp_path / "results" / f"{preset}.json").write_text(json.dumps(record), encoding="utf-8")
    page, _ = make(tmp_path / "results", tmp_path / "out")
    (drawing,) = re.findall(r'aria-label="FD v2 on cifar10-jpeg, speed on.*?</svg>', page, re.DOTALL)
    assert re.findall(r">(ae|cgan|notebook-ae)</text>", drawing) == ["ae", "cgan"]
