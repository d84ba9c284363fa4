"""Sanity-check baselines that beat models: what is said of the data set, and of the models."""

from __future__ import annotations

from benchmarks.core.ranking import ranking_verdicts

BASELINES = {"nearest ab": 0.323, "gradient": 0.9}


def test_nothing_is_said_where_every_model_is_better() -> None:
    assert ranking_verdicts("photos", "e", BASELINES, {"ae": 0.3, "cgan": 0.1}) == []
    assert ranking_verdicts("photos", "e", {}, {"ae": 2.0}) == ranking_verdicts("photos", "e", BASELINES, {}) == []


def test_data_set_that_prefers_a_baseline_cannot_rank() -> None:
    (said,) = ranking_verdicts("sample", "e", BASELINES, {"ae": 0.583, "cgan": 0.6})
    assert said.startswith("sample cannot rank colorizers: by e, the sanity-check baseline “nearest ab” (0.323) beats")
    assert "ae (0.583) and cgan (0.600)" in said


def test_model_behind_a_baseline_is_named() -> None:
    (said,) = ranking_verdicts("photos", "e", BASELINES, {"ae": 0.2, "cgan": 0.6, "gan": 0.323})
    assert "“nearest ab” (0.323) beats cgan (0.600) and gan (0.323)" in said
    assert "cannot rank" not in said
