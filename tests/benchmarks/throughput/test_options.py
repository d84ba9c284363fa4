"""What `throughput` refuses before it measures anything."""

from __future__ import annotations

import pytest

from tests.benchmarks.commands import refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--presets", "ea"], "--presets is 'ea': it must be one of ae, cgan"),
        (["--batch-sizes", "0"], "--batch-sizes is 0: it must be at least 1"),
        (["--batch-sizes", "45001"], "at most 45,000"),
        (["--compile"], "--compile is empty: name at least one"),
        (["--steps", "0"], "--steps is 0: it must be at least 1"),
        (["--warmup", "-1"], "--warmup is -1"),
        (["--width", "0"], "--width is 0"),
        (["--notebook-width", "0"], "--notebook-width is 0"),
        (
            ["--image-size", "24", "--presets", "ae"],
            "--image-size is 24: the notebooks' network needs a multiple of 16",
        ),
        (["--image-size", "30"], "--image-size is 30: it must be a multiple of 4"),
        (["--data", "sampel"], "did you mean 'sample'?"),
        (["--precisions", "fp16", "--cpu"], "--precisions fp16 needs a GPU"),
        (["--batch-granularity", "0"], "--batch-granularity is 0"),
        (["--find-batch", "--memory-limit", "0"], "--memory-limit is 0: it must be above 0"),
        (["--memory-limit", "1"], "--memory-limit is for --find-batch only"),
        (["--find-batch", "--cpu"], "--find-batch on a CPU needs --memory-limit"),
        (["--find-batch", "--cpu", "--memory-limit", "1e6"], "--memory-limit is 1e+06: it must be at most"),
    ],
)
def test_bad_options(options: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in refused(capsys, "throughput", *options)
