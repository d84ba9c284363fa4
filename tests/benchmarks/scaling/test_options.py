"""What `scaling` refuses before it measures anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.commands import refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--presets", "vae"], "--presets is 'vae': it must be one of"),
        (["--processes", "0"], "--processes is 0: it must be at least 1"),
        (["--bucket-mb", "25", "0"], "--bucket-mb is 0: it must be above 0"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--link-bandwidth", "-1"], "--link-bandwidth is -1: it must be above 0"),
        (
            ["--compute", "nowhere.json"],
            "no file nowhere.json: give a JSON that `throughput` wrote to --compute",
        ),
        (["--batch-sizes", "40000"], "more than an epoch"),
        (["--mixed-precision", "fp16", "--cpu"], "--mixed-precision fp16 needs a GPU"),
        (["--out", "scaling.png"], "--out scaling.png is the name of the plot"),
        (["--compute", "setup.cfg"], "--compute setup.cfg has no training steps of ae"),
    ],
)
def test_mistakes_are_named(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    assert words in refused(capsys, "scaling", *options)


def test_a_plot_of_before_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "scaling.png"
    picture.write_bytes(b"of before")
    said = refused(capsys, "scaling", "--out", str(tmp_path / "scaling.json"), "--data", "sample")
    assert f"--out {picture} exists already" in said
    assert picture.read_bytes() == b"of before"
