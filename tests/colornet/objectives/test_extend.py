"""The objective of docs/extend.md, exactly as it stands there, from a file outside the package."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from colornet import evaluate, train
from colornet.errors import InputError
from colornet.inference.colorizer import Colorizer
from colornet.objectives.find import find_objective
from colornet.runs.run import Run

PAGE = Path(__file__).parents[3] / "docs" / "extend.md"
DESCRIPTION = "autoencoder with a penalty on total variation"
OPTIONS = ["--image-size", "16", "--width", "8", "--multipliers", "1", "2", "--blocks", "1", "--batch-size", "8",
           "--mixed-precision", "no", "--log-every", "2", "--cpu"]  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (block,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    path = tmp_path_factory.mktemp("own") / "total_variation.py"
    path.write_text(block, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def run(folder: Path, file: Path) -> Path:
    """Train six steps, three of them after a restart; then remove the file, as if the model was passed on."""
    run = file.parent / "smooth"
    arguments = ["ae", "--objective", f"{file}:TotalVariation", "--data", str(folder), "--run-dir", str(run)]
    train.main([*arguments, *OPTIONS, "--epochs", "1", "--max-steps", "3"])
    moved = file.with_name("elsewhere") / file.name
    moved.parent.mkdir()
    shutil.move(file, moved)
    arguments[2] = f"{moved}:TotalVariation"
    train.main([*arguments, *OPTIONS, "--epochs", "1", "--resume", "auto"])
    moved.unlink()
    return run


def test_its_curves_are_logged_and_share_its_charts(run: Path) -> None:
    records = [record for record in Run(run).records if "loss/total_variation" in record]
    assert [record["step"] for record in records] == [
        2,
        4,
        6,
    ]  # that of step 3, where the first start ended, is part of the next
    events = EventAccumulator(str(run), size_guidance={"tensors": 0}).Reload()
    layout = Layout.FromString(events.Tensors("custom_scalars__config__")[-1].tensor_proto.string_val[0])
    charts = {category.title: [chart.title for chart in category.chart] for category in layout.category}
    assert charts["losses"] == ["reconstruction", "total variation"]
    assert "balance of the GAN" not in charts


def test_its_model_card_calls_it_by_its_own_description(run: Path) -> None:
    assert f"trained as an {DESCRIPTION} on images of 16×16 pixels" in (run / "README.md").read_text(encoding="utf-8")


def test_its_model_is_evaluated_and_colors_without_its_file(run: Path, tmp_path: Path) -> None:
    evaluate.main([str(run), "--out", str(tmp_path / "out"), "--cpu"])
    rows = json.loads((tmp_path / "out/comparison.json").read_text())["rows"]
    assert rows["smooth"]["psnr"] > 0
    assert Colorizer.load(run, "cpu").colorize(torch.rand(1, 20, 20)).shape == (3, 20, 20)


def test_no_code_that_a_run_folder_names_is_run(run: Path, tmp_path: Path) -> None:
    """A model that was passed on without its logs is called by the name of the class."""
    evidence = tmp_path / "ran"
    trap = tmp_path / "trap.py"
    trap.write_text(f"import os\nos.mkdir({str(evidence)!r})\nclass Trap: ...\n")
    copy = shutil.copytree(run, tmp_path / "copy", ignore=shutil.ignore_patterns("provenance.json"))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "objective": f"{trap}:Trap"}))
    shared = Run(copy)
    shared.load_generator()
    assert shared.approach == "Trap"
    assert not evidence.exists()


def test_mistakes_are_named(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.py").write_text("")
    with pytest.raises(InputError, match=r"names the class Mine, which .*mine\.py does not define"):
        find_objective(f"{tmp_path / 'mine.py'}:Mine")
    with pytest.raises(SystemExit, match="2"):
        train.main(["ae", "--data", str(folder), "--objective", f"{tmp_path / 'nowhere.py'}:Mine"])
    assert "nowhere.py, which does not exist: correct the path." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def f(:\n", r"SyntaxError: invalid syntax \(own.py, line 1\)"),
        ("\nimport no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module' in line 2"),
        ("Own = 7\n", "does not define"),
        ("class Own: pass\n", "which lacks training_step: define it"),
        (
            "from colornet.objectives.base import GeneratorObjective\nclass Own(GeneratorObjective): pass\n",
            "lacks loss",
        ),
    ],
)
def test_a_file_that_cannot_be_run_is_a_mistake_of_one_sentence(code: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(code)
    with pytest.raises(InputError, match=rf"^--objective names .*{reason}"):
        find_objective(f"{tmp_path / 'own.py'}:Own")
