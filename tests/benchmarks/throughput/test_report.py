"""What is shown of throughput: rows beside the notebook pipeline, least times, layers and largest batches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.core import timing
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Details, Note, blocks_text
from benchmarks.throughput import largest_batch
from benchmarks.throughput.measure import measure
from benchmarks.throughput.options import ThroughputOptions
from benchmarks.throughput.report import section, summarize, tables
from benchmarks.throughput.roofline import GROUPS, Pass, bound
from tests.benchmarks.commands import cells, colors, table
from tests.benchmarks.report.records import throughput_record


@pytest.fixture(scope="module")
def rooflines(folder: Path) -> Record:
    """Let the suite time two tiny presets and find their largest batches, of which those up to 100 images fit."""
    options = ThroughputOptions(
        presets=("ae", "notebook-cgan"), batch_sizes=(4,), precisions=("no",), width=8, blocks=1, image_size=16,
        steps=1, warmup=0, notebook_pipeline=False, memory=False, roofline=True, find_batch=True, batch_granularity=32,
        memory_limit=0.5, data=str(folder), cpu=True,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(timing.PEAK_SIDE, "cpu", 128)
        patch.setattr(largest_batch, "peak_memory", lambda case, _: 2**28 if case.config.batch_size <= 100 else None)
        return dict(json.loads(json.dumps(measure(options))))


def test_rows_stand_beside_the_notebook_pipeline() -> None:
    blocks = tables(throughput_record())
    shown = table(blocks, "Images per second")
    heads = [heading.text for heading in shown.headings]
    rows = {}
    for line in shown.lines:
        row = dict(zip(heads, [line.name, *line.cells], strict=True))
        rows[row["preset"].text, row["mode"].text] = row
    assert [line.ranked for line in shown.lines] == [False] + [True] * 8
    assert rows["notebook pipeline", "train"]["images/s"].text == "2,346"
    assert rows["cgan", "train"]["images/s"].text == "23,457"
    assert rows["cgan", "train"]["× notebook"].text == f"{23_456.7 / 2_345.6:.2f}"
    assert rows["notebook-cgan", "train"]["images/s"].text == "–"
    memory = rows["notebook-cgan", "train"]["memory MiB"]
    assert (memory.text, memory.note, shown.notes) == ("–", 1, ["Does not fit in memory."])
    assert Note("Measured peak of matrix products and convolutions: 610.0 TFLOP/s in bf16.") in blocks


def test_terminal_lines_up_and_tells_what_is_not_the_presets_own(measured: Record) -> None:
    assert "--width 8 --blocks 1, not the presets' own" in summarize(measured)
    text = blocks_text(tables(measured)[:3])
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(line) for line in lines}) == 1
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "notebook pipeline", "ae", "ae", "notebook-cgan", "notebook-cgan",
    ]  # fmt: skip
    assert text.count("[1]") == 5  # four rows and the reason
    assert "its 5 segments made" in text


def test_least_times_add_up_to_their_total(rooflines: Record) -> None:
    shown = cells(table(tables(rooflines), "Least time of a step"))
    assert [*shown][: len(GROUPS)] == [*GROUPS]
    for row, name in zip(rooflines["rooflines"], ("ae, 4, fp32", "notebook-cgan, 4, fp32"), strict=True):
        column = {head: line[name] for head, line in shown.items()}
        total = float(column["least time together"])
        rounding = 0.5 * 10 ** -len(column["least time together"].partition(".")[2])
        assert sum(float(column[group]) for group in GROUPS) == pytest.approx(total, abs=5 * rounding)
        assert total == pytest.approx(1000 * row["seconds"], abs=1.01 * rounding)
        step = float(column["measured step"].replace(",", ""))
        assert step == pytest.approx(1000 * 4 / row["measured_images_per_second"], rel=0.001)
        assert column["least time ÷ measured step"] == f"{100 * row['share_of_bound']:.1f} %"
        assert total / step == pytest.approx(row["share_of_bound"], rel=0.01)


def test_step_that_was_not_measured_has_no_share(rooflines: Record) -> None:
    unknown = dict.fromkeys(("measured_images_per_second", "share_of_bound", "input_seconds", "input_share"))
    record = rooflines | {"rooflines": [rooflines["rooflines"][0] | unknown]}
    shown = cells(table(tables(record), "Least time of a step"))
    assert [line["ae, 4, fp32"] for line in shown.values()][-3:] == ["–", "–", "–"]


def test_layers_of_the_largest_batch_are_shown(rooflines: Record) -> None:
    passes = [Pass("generator.stem", "convolution", "convolutions", flops=10, activations=10)]
    rows = [
        {"preset": "ae", "precision": "no", "compile": False, "batch_size": size, "share_of_bound": None,
         "measured_images_per_second": None, "input_seconds": None, **bound(passes, size, "no", 1e3, 1e3)}
        for size in (64, 256, 256)
    ]  # fmt: skip
    record = rooflines | {"rooflines": rows}
    (layers,) = (table([block], "Layers") for block in tables(record) if getattr(block, "title", "").startswith("Lay"))
    assert layers.title.endswith("ae, 256, fp32")
    assert cells(layers)["generator.stem"]["share"] == cells(layers)["convolutions"]["share"] == "100.0 %"
    assert [line.name.bold for line in layers.lines] == [False] + [True] * len(GROUPS)
    # On the page they are folded away.
    blocks = section(Result(Path("a.json"), record, {}), colors()).blocks
    assert [block.summary for block in blocks if isinstance(block, Details)] == [layers.title]
    assert layers not in blocks


def test_largest_batches_are_shown(rooflines: Record) -> None:
    shown = cells(table(tables(rooflines), "Largest batches"))
    assert [*shown] == ["ae", "notebook-cgan"]
    expected = {"largest batch": "96", "memory MiB": "256", "limit MiB": "512", "steps of": "32"}
    assert shown["ae"].items() >= expected.items()


def test_no_roofline_and_no_largest_batch_without_them() -> None:
    text = blocks_text(tables(throughput_record()))
    assert "Least time" not in text
    assert "Largest batches" not in text
