"""The validation of evaluators: the sweeps change what they say, and a small study from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.baselines.reference_rows import reference_rows
from benchmarks.evaluator.measures import MEASURES, describe_measures
from benchmarks.evaluator.validate import SWEEPS, alter_colors, is_increasing
from colornet.color import rgb_to_lab, to_float
from colornet.metrics.evaluator import SHIPPED
from tests.benchmarks.report.records import make, table_after
from tests.images import photos


@pytest.mark.parametrize("sweep", SWEEPS)
def test_a_sweep_begins_with_the_images_and_leads_away_from_them(sweep: str) -> None:
    truth = rgb_to_lab(to_float(photos()))
    off = [
        (rgb_to_lab(to_float(alter_colors(photos(), sweep, amount))) - truth)[:, 1:].abs().mean().item()
        for amount in SWEEPS[sweep]
    ]
    assert off[0] < 0.05
    assert is_increasing(off)


def test_a_larger_share_of_swapped_images_contains_a_smaller() -> None:
    changed = [(alter_colors(photos(), "swapped", share) != photos()).flatten(1).any(1) for share in (0, 0.25, 1)]
    assert [int(found.sum()) for found in changed] == [0, 10, 40]
    assert torch.equal(changed[1] & changed[2], changed[1])


def test_equal_values_do_not_increase() -> None:
    assert is_increasing([1, 2, 3])
    assert not is_increasing([1, 2, 2])


def test_small_validation_end_to_end(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results"
    main(["validate", "--data", str(folder), "--cpu", "--out", str(out)])
    assert {path.name for path in out.iterdir()} == {"validation.json", "validation.md", "validation.png"}
    record = json.loads((out / "validation.json").read_text())
    assert (record["kind"], record["data"]["images"]) == ("evaluator-validation", 6)
    assert [*record["evaluators"]] == [*SHIPPED]
    names = [row.name for row in reference_rows() if row.kind != "truth"]
    for found in record["evaluators"].values():
        assert [*found["rows"]] == names
        assert sorted(found["ranking"]) == sorted(names)
        assert found["ranking"][0] == "oracle, true ab"
        for sweep, values in found["sweeps"].items():
            assert values["amounts"] == [*SWEEPS[sweep]]
            assert values["fd"][0] == pytest.approx(0, abs=1e-4)
            assert values["monotone"] == is_increasing(values["fd"])
    assert [*record["measures"]] == [name for name in MEASURES if name != "accuracy"]  # not CIFAR-10's classes
    strength, error = (record["measures"][name] for name in ("w1_cf", "ciede2000"))
    assert strength["sweeps"]["less chroma"]["monotone"]
    assert "real, other images" in strength["rows"].keys() - error["rows"].keys()
    assert error["sweeps"]["swapped"]["values"][0] < 0.1
    gray = f"{record['evaluators']['v2-dev']['rows']['gray']:.3f}"
    assert gray in capsys.readouterr().out
    with Image.open(out / "validation.png") as picture:
        assert picture.width > 1000

    page, markdown = make(out, tmp_path / "page")
    assert table_after(markdown, "Fréchet distances")["gray"]["v2-dev"] == gray
    assert page.count("<svg") == len(SWEEPS)
    assert table_after(markdown, "Measures")["W1(CF)"]["worse with less chroma"] == "yes"
    value = f"{strength['rows']['gray']:.1f}"
    assert table_after(markdown, "Measures of every set")["gray"]["W1(CF)"] == value


def test_a_measure_that_is_blind_or_prefers_a_sanity_check_is_told_so() -> None:
    sweeps = {"hue": (0.0, 90.0, 180.0), "swapped": (0.0, 0.5, 1.0)}
    values = {"hue 0": 90.0, "hue 90": 70.0, "hue 180": 75.0, "swapped 0": 90.0, "swapped 0.5": 90.0,
              "swapped 1": 60.0, "ae": 80.0,
              "cgan": 84.0, "sanity check, a": 80.0, "sanity check, b": 40.0}  # fmt: skip
    scores = {name: {"accuracy": value, "w1_cf": 1.0} for name, value in values.items()}
    checks = ("sanity check, a", "sanity check, b")
    described = describe_measures(scores, sweeps, checks, ("ae", "cgan"))
    assert [*described] == ["w1_cf", "accuracy"]
    accuracy, blind = described["accuracy"], described["w1_cf"]
    assert (accuracy["sweeps"]["hue"]["until"], accuracy["sweeps"]["hue"]["monotone"]) == (90.0, False)
    assert (accuracy["sweeps"]["swapped"]["until"], accuracy["sweeps"]["swapped"]["monotone"]) == (1.0, True)
    assert (blind["sweeps"]["hue"]["until"], blind["preferred"]) == (0.0, [*checks])
    assert accuracy["preferred"] == ["sanity check, a"]
    assert describe_measures(scores, sweeps, checks, ())["accuracy"]["preferred"] == []
