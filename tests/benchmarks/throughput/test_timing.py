"""Which cases are timed."""

from __future__ import annotations

import dataclasses

from benchmarks.throughput.options import ThroughputOptions
from benchmarks.throughput.timing import plan
from tests.benchmarks.cases import CPU


def test_plan_settles_what_is_left_open_and_names_no_case_twice() -> None:
    options = ThroughputOptions(presets=("ae", "ae"), batch_sizes=(8,), compile=("auto", "off", "on"), width=16)
    cases = plan(dataclasses.replace(options, precisions=("no",), cpu=True), CPU)
    assert [(c.mode, c.config.compile) for c in cases] == [
        ("train", "off"), ("inference", "off"), ("train", "on"), ("inference", "on"),
    ]  # fmt: skip
    assert all(c.config.width == c.config.discriminator_width == 16 for c in cases)
    (automatic, _) = plan(dataclasses.replace(options, compile=("off",), cpu=True), CPU)
    assert automatic.config.mixed_precision in ("no", "bf16")
