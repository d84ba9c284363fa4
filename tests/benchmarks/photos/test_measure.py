"""A small study of photographs from end to end: its record, its tables and its section."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.core.sections import blocks_text
from benchmarks.photos import measure as photo_study
from benchmarks.photos.degradations import DEFECTS
from benchmarks.photos.report import tables
from tests.benchmarks.photos.photographs import small_photo
from tests.benchmarks.report.records import make, table_after
from tests.runs import save_run


def test_small_study_end_to_end(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(photo_study, "sample_photos", lambda: {"chelsea": small_photo(48), "coffee": small_photo(64)})
    run, out = save_run(tmp_path / "tiny"), tmp_path / "photos.json"
    main(["photos", "--models", str(run), "--data", str(folder), "--images", "12", "--sizes", "40", "--scales", "16",
          "--out", str(out), "--megapixels", "0.2", "--cpu"])  # fmt: skip
    record = json.loads(out.read_text(encoding="utf-8"))
    assert (record["kind"], record["data"]["images"]) == ("photos", 12)
    assert record["scans"].keys() == {"tiny"}
    rows = record["scans"]["tiny"]
    assert rows.keys() == DEFECTS.keys()
    assert rows["clean"]["moved"] == rows["clean"]["moved_photos"] == 0
    assert all(row["moved"] > 0 for name, row in rows.items() if name != "clean")
    assert record["enlarging"].keys() == {"40", "full"}
    assert len(record["enlarging"]["full"]) == 7
    (memory,) = record["memory"]
    assert memory["megapixels"] == pytest.approx(0.2, rel=0.02)
    assert 50 * 2**20 < memory["peak_memory_bytes"] < 4 * 2**30
    printed = capsys.readouterr().out
    assert blocks_text(tables(record)) in printed
    assert "Memory of" in printed
    with pytest.raises(SystemExit) as refused:
        main(["photos", "--data", str(folder), "--out", str(out)])
    assert refused.value.code == 2
    assert capsys.readouterr().err == f"error: --out {out} exists already: choose another name or remove it.\n"

    page, markdown = make(tmp_path, tmp_path / "page")
    shown = table_after(markdown, "#### Degraded scans")
    assert shown["sepia"]["tiny: e"] == f"{rows['sepia']['e']:.3f}"
    assert shown["gray, no model"]["tiny: ΔE00"] == f"{record['gray']['ciede2000']:.2f}"
    assert record["gray"]["cf"] == pytest.approx(0, abs=0.5)
    assert table_after(markdown, "#### Upsampling of colors")["gray"].keys() >= {"ΔE00, 40 px", "edges, full size"}
    assert "<h2>Photographs</h2>" in page
