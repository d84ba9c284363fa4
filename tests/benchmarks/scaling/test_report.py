"""What is shown of scaling: its points, its link and what is predicted."""

from __future__ import annotations

from pathlib import Path

from benchmarks.core.record import Record, Result
from benchmarks.scaling.measure import add_efficiency, describe_link, describe_model
from benchmarks.scaling.model import Compute, Link
from benchmarks.scaling.options import ScalingOptions
from benchmarks.scaling.report import draw, section, summarize, tables
from benchmarks.scaling.worker import SMALL
from tests.benchmarks.commands import cells, colors, drawings, table
from tests.benchmarks.report.records import ORIGIN

COMPUTE, LINK = Compute(0.002, 1e-4), Link(2e-5, 2.5e9)


def scaling_record() -> Record:
    """Make a result of the kind "scaling" of points that are set, as the suite does of those that it measures."""
    options = ScalingOptions(presets=("ae",), batch_sizes=(32, 64), width=8, blocks=1, predict=(1, 2, 64))
    points: list[Record] = []
    for processes in (1, 2):
        for images in (32, 64):
            alone = COMPUTE.step(images)
            seconds = {"step": alone, "input": 1e-4}
            size = 800_000
            if processes > 1:
                summed = LINK.all_reduce(processes, size)
                seconds |= {"compute": alone, "communication": summed / 2, "step": alone + summed / 2}
                seconds |= {"all_reduce": summed, "small_all_reduce": LINK.all_reduce(processes, SMALL)}
            points.append({"preset": "ae", "processes": processes, "images": images, "bucket_mb": 25.0,
                           "gradient_bytes": size, "seconds": seconds,
                           "images_per_second": processes * images / seconds["step"]})  # fmt: skip
    for point in points:
        add_efficiency(point, points)
    record = {"kind": "scaling", **ORIGIN, "data": {"name": "sample"}, "points": points}
    link = describe_link(options, points)
    assert link is not None
    return record | {"link": link, "models": [describe_model(options, points, "ae", link)]}


def test_points_are_shown_as_they_were_measured() -> None:
    record = scaling_record()
    lines = table(tables(record), "Measured").lines
    assert len(lines) == len(record["points"])
    row = [lines[2].name.text, *(cell.text for cell in lines[2].cells)]
    point = record["points"][2]
    assert row[:4] == ["ae", "2", "32", "25"]
    assert row[5] == f"{1000 * point['seconds']['step']:.1f}"
    assert row[9:] == [f"{100 * point['weak_efficiency']:.0f} %", f"{100 * point['strong_efficiency']:.0f} %"]
    assert lines[3].cells[-1].text == "–"  # no process had 128 images alone


def test_link_and_predictions_are_those_of_the_model() -> None:
    record = scaling_record()
    assert "Link, measured: 20 µs a message, 2.50 GB/s." in summarize(record)
    ninety = cells(table(tables(record), "ae: images per process for a predicted efficiency of 90 %"))
    for row in record["models"][0]["images_for_90_percent"]:
        assert ninety[str(row["processes"])]["no overlap"].replace(",", "") == str(row["low"] or "none")


def test_weak_and_strong_scaling_are_drawn() -> None:
    found = drawings(section(Result(Path("scaling.json"), scaling_record(), {}), colors()).blocks)
    assert [*found] == ["ae, weak scaling", "ae, strong scaling"]
    assert "64 images per process" in found["ae, weak scaling"]
    assert "64 images in all" in found["ae, strong scaling"]


def test_without_a_link_there_are_points_alone(tmp_path: Path) -> None:
    record = scaling_record() | {"link": None, "models": []}
    assert "No model of more" in summarize(record)
    assert len(tables(record)) == 1
    assert drawings(section(Result(Path("scaling.json"), record, {}), colors()).blocks) == {}
    assert draw(record, tmp_path / "scaling.png") is None
    assert not list(tmp_path.iterdir())
