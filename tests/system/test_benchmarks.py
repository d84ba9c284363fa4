"""Benchmarks in two processes."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

from benchmarks.__main__ import main
from colornet.training.build import compose_trainer
from tests.benchmarks.quality.test_inception import distances, draw_images, extract, write_weights
from tests.conftest import small
from tests.system.server import Server

pytestmark = pytest.mark.system

# What a benchmark does on each rank; rank 0 leaves the features.
RANK_SCRIPT = """
import sys
from pathlib import Path
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from tests.benchmarks.quality.test_inception import extract

folder = Path(sys.argv[1])
features = extract(folder / "weights.pth", sys.argv[2], load_file(folder / "images.safetensors"))
accelerator = Accelerator(cpu=True)
if accelerator.is_main_process:
    save_file(features, folder / "features.safetensors")
accelerator.end_training()
"""


# Scores with a cache of each rank's own; rank 1 lacks the weights of Inception.
SCORE_SCRIPT = """
import sys
from pathlib import Path
import torch
from accelerate import Accelerator
from benchmarks.quality import scorer
from benchmarks.quality.options import QualityOptions
from colornet.data import Dataset
from tests.images import photos

def load_inception(*_):
    if accelerator.process_index == 1:
        raise scorer.MissingWeightsError("Not on this machine")
    return lambda images: images.float().mean((2, 3))

scorer.load_inception = load_inception
accelerator = Accelerator(cpu=True)
cache = Path(sys.argv[1]) / str(accelerator.process_index)
options = QualityOptions(data="photos", cpu=True, cache_dir=cache, batch_size=16, inception="on")
found = scorer.Scorer(options, accelerator, Dataset("photos", photos().flip(3), photos()[:4], photos(), "0"))
values = found(photos().flip(2)).values
accelerator.wait_for_everyone()
if accelerator.is_main_process:
    print(values["fd_cifar10_v2"], values["fid"], found.reasons["fid"])
accelerator.end_training()
"""


def test_two_processes_extract_the_same_features(server: Server, tmp_path: Path) -> None:
    weights, images = write_weights(tmp_path / "weights.pth"), draw_images()
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    save_file(images, tmp_path / "images.safetensors")
    (tmp_path / "rank.py").write_text(RANK_SCRIPT)
    server.run(2, str(tmp_path / "rank.py"), [str(tmp_path), sha256], tmp_path / "out.txt")
    together = load_file(tmp_path / "features.safetensors")
    assert distances(together) == pytest.approx(distances(extract(weights, sha256, images)), rel=1e-6)


def test_two_processes_measure_the_same_quality(folder: Path, server: Server, tmp_path: Path) -> None:
    runs = []
    for preset, seed in (("ae", 0), ("ae", 1), ("notebook-ae", 0)):
        runs.append(str(tmp_path / f"{preset}-{seed}"))
        compose_trainer(small(preset, folder, Path(runs[-1]), epochs=1, seed=seed)).fit()
    main(["quality", *runs, "--out", str(tmp_path / "alone"), "--cpu"])
    arguments = [*runs, "--out", str(tmp_path / "together"), "--cpu", "--batch-size", "7"]
    server.run(2, "benchmarks.__main__", ["quality", *arguments], tmp_path / "out.txt")
    alone, together = (
        {row["name"]: row["values"] for row in json.loads((tmp_path / out / "quality.json").read_text())["rows"]}
        for out in ("alone", "together")
    )
    assert together.keys() == alone.keys()
    for row, values in together.items():
        for name, value in values.items():
            expected = alone[row][name]
            assert (value is None) == (expected is None), (row, name)
            if value is not None:
                assert value["members"] == pytest.approx(expected["members"], rel=1e-6, abs=1e-7), (row, name)


def test_ranks_whose_caches_and_weights_differ_decide_alike(server: Server, tmp_path: Path) -> None:
    (tmp_path / "rank.py").write_text(SCORE_SCRIPT)

    def score(name: str) -> str:
        said = server.run(2, str(tmp_path / "rank.py"), [str(tmp_path)], tmp_path / name)
        assert len([*tmp_path.glob("0/features/*")]) == 2
        return said.strip()

    said = score("first.txt")
    assert said.endswith(" None Not on this machine.")
    assert score("second.txt") == said  # rank 0 finds the features, rank 1 does not
    (tmp_path / "0").rename(tmp_path / "1")
    assert score("third.txt") == said  # the reverse


def test_two_real_processes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scaling.json"
    options = "--presets cgan --batch-sizes 4 8 --width 8 --blocks 1 --image-size 16 --rounds 1 --steps 2 --warmup 1"
    main(["scaling", *options.split(), "--data", str(folder), "--cpu", "--out", str(out)])
    record = json.loads(out.read_text())
    assert [(p["processes"], p["images"]) for p in record["points"]] == [(1, 4), (1, 8), (2, 4), (2, 8)]
    alone, _, four, eight = record["points"]
    assert alone["weak_efficiency"] == alone["strong_efficiency"] == 1
    # Four images each on two processes are as many in all as eight on one; sixteen were not measured.
    assert four["strong_efficiency"] > 0
    assert eight["strong_efficiency"] is None
    assert four["images_per_second"] == pytest.approx(8 / four["seconds"]["step"])
    assert four["seconds"]["communication"] == pytest.approx(
        max(0, four["seconds"]["step"] - four["seconds"]["compute"])
    )
    (model,) = record["models"]
    assert model["gradient_bytes"] == four["gradient_bytes"]
    first = model["predictions"][0]
    assert first["weak"] == first["strong"] == {"low": 1, "high": 1, "here": 1}
    assert re.search(r"^\| cgan +\| +2 \| +8 \| +25 \|", capsys.readouterr().out, re.MULTILINE)
    with Image.open(out.with_suffix(".png")) as picture:
        assert picture.width > 800


def test_a_recipe_of_two_processes_races_to_a_quality(folder: Path, tmp_path: Path) -> None:
    """It sees the images of one process, in the same order, and stops at the same evaluation."""
    out = tmp_path / "race.json"
    recipe = "ae --width 8 --multipliers 1 2 --blocks 1 --batch-size 8 --warmup-steps 0 --epochs 3 --lr 3e-3"
    recipes = [f"{count}: {recipe} --mixed-precision no --processes {count}" for count in (1, 2)]
    options = ["--recipes", *recipes, "--seeds", "1", "--eval-images", "24", "--image-size", "16", "--cpu"]
    main(["speedrun", "--to-quality", "0.5", *options, "--data", str(folder), "--out", str(out)])
    one, two = json.loads(out.read_text())["runs"]
    assert one["reached"]
    assert two["reached"]
    assert [point["images"] for point in one["curve"]] == [point["images"] for point in two["curve"]]
    assert [point["e"] for point in one["curve"]] == pytest.approx([point["e"] for point in two["curve"]], rel=1e-3)
