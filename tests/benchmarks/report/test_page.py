"""The report: its page as HTML, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.report.records import (
    Outline,
    make,
    quality_record,
    refused,
    throughput_record,
    write_quality,
    write_run,
)


def test_page_is_whole_and_needs_nothing_else(page: str) -> None:
    outline = Outline(page)
    assert len(outline.ids) == len({*outline.ids})
    for reference in outline.references:
        assert reference.startswith(("#", "data:image/png;base64,"))
        assert not reference.startswith("#") or reference[1:] in outline.ids
    assert "<script" not in page


def test_page_shows_all_parts(page: str) -> None:
    outline = Outline(page)
    assert outline.headings == [
        "Quality on cifar10-jpeg", "Pictures", "At a glance", "All numbers", "Colors",
        "Throughput on NVIDIA H100 80GB HBM3", "Training", "Speed against quality", "Provenance",
    ]  # fmt: skip
    assert outline.captions[:2] == ["FD v2, lower is better", "CF, nearer to the real images is better"]
    assert {"validation/cf", "loss/reconstruction"} <= {*outline.captions}
    assert not {"validation/cf_truth", "validation/psnr", "lr/generator"} & {*outline.captions}
    assert page.count("<img ") == 7 * 2
    assert 'alt="cgan: ship"' in page
    assert (
        "ae (3 runs), cgan (3 runs) and notebook-ae on the 10,000 test images of cifar10-jpeg, 32 × 32 pixels" in page
    )
    assert "commit 663bc84f0000+." in page  # shortened, with the + of files that differ


def test_seeds_of_a_model_share_its_color(page: str) -> None:
    legend = re.findall(r'<i style="background: (#\w+)"></i>([\w-]+)', page)
    assert [name for _, name in legend] == ["ae", "cgan"]
    assert len({color for color, _ in legend}) == 2
    bars = page.partition("FD v2 of")[2].partition("</svg>")[0]
    assert all(f"fill: {color}" in bars for color, _ in legend)


def test_parts_without_data_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "quality.json").write_text(json.dumps(quality_record()))
    page, _ = make(tmp_path, tmp_path / "out")
    assert Outline(page).headings == ["Quality on cifar10-jpeg", "At a glance", "All numbers", "Provenance"]

    write_run(tmp_path / "runs" / "ae-0", 13.0)
    page, _ = make(tmp_path / "runs", tmp_path / "out-2")
    assert Outline(page).headings == ["Training", "Provenance"]


def test_names_are_escaped(tmp_path: Path) -> None:
    name = '<b>&"$x$ *a* | `c` </svg>'
    record = quality_record()
    del record["rows"][1:4]
    record["rows"][2]["name"] = "runs/of-a-very-long-name/" * 6
    record["rows"][1]["name"] = record["columns"]["cf"]["about"] = record["pictures"]["labels"][0] = name
    record["device"] = record["data"]["name"] = name
    page, markdown = make(write_quality(tmp_path, record), tmp_path / "out")
    Outline(page)
    assert "<b>" not in page + markdown
    assert page.count("&lt;b&gt;") > 5
    assert '| &lt;b&gt;&amp;"\\$x\\$ \\*a\\* \\| \\`c\\` &lt;/svg&gt; |' in markdown


def test_control_characters_reach_neither_page_nor_markdown(tmp_path: Path) -> None:
    record = quality_record()
    record["rows"][4]["name"] = record["device"] = record["data"]["name"] = record["columns"]["cf"]["about"] = (
        "\x1b[31m# red\u202e\n- item"
    )
    page, markdown = make(write_quality(tmp_path, record), tmp_path / "out")
    Outline(page)
    assert not {"\x1b", "\u202e"} & {*page, *markdown}
    assert "\n- item" not in markdown
    assert "x1b" in page


def test_two_results_of_a_kind_are_both_shown(tmp_path: Path) -> None:
    for folder, cf in (("first", 11.1), ("second", 22.2)):
        record = quality_record()
        record["rows"][4]["values"]["cf"]["mean"] = cf
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "quality.json").write_text(json.dumps(record), encoding="utf-8")
        (tmp_path / folder / "throughput.json").write_text(json.dumps(throughput_record()))
    page, markdown = make(tmp_path, tmp_path / "out")
    headings = Outline(page).headings
    for section in ("Quality on cifar10-jpeg", "Throughput on NVIDIA H100 80GB HBM3"):
        assert {f"{section} (1)", f"{section} (2)"} <= {*headings}
    for text in ("11.1", "22.2", "first/quality.json", "second/quality.json", "second/throughput.json"):
        assert text in page
        assert text in markdown
    ids = Outline(page).ids
    assert len(ids) == len({*ids})


def test_no_folder_of_this_machine_is_shown(tmp_path: Path) -> None:
    record = quality_record() | {"command": f"python -m benchmarks quality {tmp_path}/runs/ae-0 --out '{tmp_path}/q'"}
    write_quality(tmp_path, record)
    write_run(tmp_path / "runs" / "ae-0", 13.0)
    page, markdown = make(tmp_path, tmp_path / "out")
    assert str(tmp_path) not in page + markdown
    assert f"{tmp_path.name}/quality.json" in page
    assert "python -m benchmarks quality ae-0 --out &#39;q&#39;" in page


def test_existing_output_is_left_as_it_is(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("report.html", "report.md"):
        out = tmp_path / name.replace(".", "-")
        out.mkdir()
        (out / name).write_text("mine")
        assert f"already holds {name}" in refused(results, out, capsys)
        assert [path.name for path in out.iterdir()] == [name]
        assert (out / name).read_text() == "mine"


def test_out_that_is_a_file(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert "is a file: choose a folder" in refused(results, tmp_path / "file", capsys)


def test_folder_without_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other.json").write_text("{}")
    assert f"{tmp_path} holds no results" in refused(tmp_path, tmp_path / "out", capsys)
    assert f"{tmp_path / 'nowhere'} does not exist" in refused(tmp_path / "nowhere", tmp_path / "out", capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("quality.json", "{", "quality.json is damaged"),
        ("quality.json", "[" * 5000, "quality.json is damaged"),
        ("throughput.json", '{"kind": "throughput", "peak": NaN}', "a number is not finite"),
        ("speedrun.json", '{"kind": ["speedrun"], "x": 1e999}', "a number is not finite"),
        ("quality.json", '{"kind": "quality", "rows": []}', "lacks data, columns"),
        ("throughput.json", '{"kind": "throughput", "device": "cpu", "rows": [{"preset": "ae"}]}', "mode, batch_size"),
        ("throughput.json", '{"kind": "throughput", "device": "cpu", "rows": [], "rooflines": [{}]}', "batch_size"),
        ("speedrun.json", '{"kind": "speedrun", "device": "cpu"}', "lacks data, target"),
        ("quality.safetensors", "{", "quality.safetensors is damaged"),
        ("run/metrics.jsonl", '{"step": 1}\n{\n{"step": 3}\n', "metrics.jsonl is damaged in line 2"),
        ("run/config.json", "{}", "config.json cannot be used"),
    ],
)
def test_damaged_files_are_named(
    file: str, content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_quality(tmp_path, quality_record())
    write_run(tmp_path / "run", 13.0)
    (tmp_path / file).write_text(content)
    sentence = refused(tmp_path, tmp_path / "out", capsys)
    assert str(tmp_path / file) in sentence
    assert words in sentence
    assert not (tmp_path / "out").exists()


def test_pipes_are_named_and_folders_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "results" / "folder.json").mkdir(parents=True)
    assert "holds no results" in refused(tmp_path / "results", tmp_path / "out", capsys)
    os.mkfifo(tmp_path / "results" / "pipe.json")
    assert "pipe.json cannot be read: it is not a regular file" in refused(
        tmp_path / "results", tmp_path / "out", capsys
    )


def test_options_are_checked_without_torch() -> None:
    code = "import sys, benchmarks.report.options; sys.exit('torch' in sys.modules or 'matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
