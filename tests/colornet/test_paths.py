"""Paths on command lines: `~` is the home folder in every option of every command, as far as it is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from PIL import Image

from benchmarks.__main__ import COMMANDS
from benchmarks.core.command import options_class
from colornet import colorize, train
from colornet.colorize import ColorizeConfig
from colornet.command import expand_home, parse
from colornet.config import PRESETS
from colornet.demo import DemoConfig
from colornet.errors import InputError
from colornet.evaluate import EvaluateConfig
from colornet.export import ExportConfig
from tests.images import photo
from tests.runs import save_run

OPTIONS = [ColorizeConfig, DemoConfig, EvaluateConfig, ExportConfig,
           *(options_class(name, command) for name, command in COMMANDS.items())]  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.__name__)
def test_every_path_of_every_command_is_expanded(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    kinds = get_type_hints(options)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(options):
        if "Path" in str(kinds[field.name]):
            values[field.name] = (Path("~/x"), Path("y")) if "tuple" in str(kinds[field.name]) else Path("~/x")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            values[field.name] = "~/x"
    expanded = expand_home(options(**values))
    for name, value in values.items():
        found = getattr(expanded, name)
        assert found == type(value)((Path("/home/me/x"), Path("y")) if isinstance(value, tuple) else "/home/me/x")


def test_options_joined_by_an_equals_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    call = ["a.png", "~/b.png", "--out=~/out", "--model=~/run"]
    options = parse(ColorizeConfig, call, prog="", description="", quiet=False)
    assert options.photos == (Path("a.png"), tmp_path / "b.png")
    assert (options.out, options.model) == (tmp_path / "out", str(tmp_path / "run"))
    config = train.parse(["ae", "--run-dir=~/run", "--cache-dir=~/cache", "--data=~/images", "--init-from=~/other"])
    assert config.run_dir == str(tmp_path / "run")
    assert config.cache_dir == str(tmp_path / "cache")
    assert config.data == str(tmp_path / "images")
    assert config.init_from == str(tmp_path / "other")


def test_a_home_folder_that_is_not_known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^The home folder in '~nobody-of-this-name/x' is not known: give the full"):
        expand_home(dataclasses.replace(PRESETS["ae"].config, run_dir="~nobody-of-this-name/x"))
    Path("~sketch.png").touch()
    assert expand_home(ColorizeConfig((Path("~sketch.png"),), Path("out"))).photos == (Path("~sketch.png"),)


def test_a_mistaken_home_makes_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        colorize.main(["a.png", "--out=~nobody-of-this-name/out"])
    assert "give the full path" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_utf_8_and_names_of_full_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_run(tmp_path / "run")
    album, out = tmp_path / "album-\udcff", tmp_path / "out-\udcfe"
    album.mkdir()
    for name in ("\udce4.png", "x" * 251 + ".png"):
        Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
        (tmp_path / "a.png").rename(album / name)
    colorize.main([str(album), "--out", str(out), "--model", str(tmp_path / "run")])
    assert sorted(path.name for path in out.iterdir()) == ["x" * 251 + ".png", "\udce4.png"]
    assert capsys.readouterr().out.startswith("2 of 2 colored, in ")
