"""Mistakes in the options of kills and machines are found before anything is started."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kills", "--processes", "0"], "--processes is 0: it must be at least 1"),
        (["kills", "--kills", "1", "2"], "--kills has 2 numbers for 3 --processes: give one, or as many"),
        (["kills", "--preset", "gan"], "--preset is 'gan': it must be one of ae, cgan"),
        (["machines", "--machines", "0"], "--machines is 0: it must be from 1 to 254"),
        (["machines", "--machines", "255"], "--machines is 255: it must be from 1 to 254"),  # addresses of 10.0.0.0/24
        (["machines", "--steps", str(10**20)], "--steps is 1e+20: it must be at most 1e+12"),
        (["machines", "--preset", "gan"], "--preset is 'gan': it must be one of ae, cgan"),
        (["machines", "--out", __file__], "exists already"),
    ],
)
def test_mistakes(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert words in capsys.readouterr().err
