"""What `growth` refuses before it measures anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.commands import refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "vae"], "--preset is 'vae'"),
        (["--sizes", "10", "0"], "--sizes is 0: it must be at least 1"),
        (["--width", "0"], "--width is 0: it must be at least 1"),
        (["--steps", "0"], "--steps is 0"),
        (["--batch-size", "60000"], "--batch-size is 60000: it must be at most 10000"),
        (["--resident-limit", "-1"], "--resident-limit is -1: it must be at least 0"),
        (["--mixed-precision", "fp16", "--cpu"], "--mixed-precision fp16 needs a GPU"),
        (["--scratch", "setup.cfg"], "--scratch setup.cfg is a file"),
        (["--out", "growth.png"], "--out growth.png is the name of the plot"),
        (["--data", "nowhere"], "'nowhere'"),
    ],
)
def test_mistakes_are_named(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    assert words in refused(capsys, "growth", *options)
