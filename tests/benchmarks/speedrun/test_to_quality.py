"""The speedrun to a quality: where runs stop, what is counted of them, what is refused and what is continued."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.core.record import Record
from benchmarks.core.steps import training_flops
from benchmarks.speedrun import race as race_module
from benchmarks.speedrun import to_quality
from benchmarks.speedrun.options import SpeedrunOptions, read_recipes
from benchmarks.speedrun.to_quality import check_target, interleaved
from colornet.config import PRESETS
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_with
from colornet.training.build import compose_trainer
from tests.benchmarks.cases import dataset
from tests.benchmarks.commands import refused
from tests.benchmarks.speedrun.conftest import RECIPE, TO_QUALITY
from tests.conftest import small

Race = tuple[Path, Record]


def runs_of(race: Race, *recipes: str) -> list[Record]:
    return [run for run in race[1]["runs"] if run["recipe"] in recipes]


def test_runs_stop_at_the_first_evaluation_at_the_target(race: Race) -> None:
    for run in runs_of(race, "plain", "adversarial"):
        *before, last = run["curve"]
        assert run["reached"]
        assert last["e"] <= 0.5 < min(point["e"] for point in before)
        assert [point["images"] for point in run["curve"]] == list(range(0, run["images"] + 1, 54))
        assert run["seconds"] == last["seconds"] > 0 == run["curve"][0]["seconds"]
        assert run["cpu_seconds"] == last["cpu_seconds"] > 0


def test_a_recipe_that_does_not_get_there_says_how_far_it_came(race: Race) -> None:
    (run, _) = runs_of(race, "still")
    assert (run["reached"], run["images"]) == (False, 3 * 54)
    assert run["reason"].startswith("The lowest e in 3 epochs was 1.0")
    still = race[1]["recipes"]["still"]
    assert (still["reached"], still["seeds"]) == (0, 2)
    assert still["median"] == {"seconds": None, "images": None, "flops": None}


def test_every_recipe_is_what_its_command_line_says(race: Race) -> None:
    plain, adversarial, _ = race[1]["recipes"].values()
    assert plain["changed"].items() >= {"width": 8, "batch_size": 9, "epochs": 3, "lr": 3e-3}.items()
    assert (adversarial["preset"], adversarial["changed"]["batch_size"], adversarial["threads"]) == ("cgan", 6, 1)


def test_a_recipe_has_its_threads_and_the_next_one_those_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    class Noted:
        def __init__(self, *_: Any) -> None:
            self.threads = torch.get_num_threads()

        def run(self) -> Record:
            return {"threads": self.threads}

    monkeypatch.setattr(race_module, "Race", Noted)
    options = SpeedrunOptions(to_quality=0.5, recipes=("ae --threads 3", "cgan"), data="sample")
    found = [race_module.run(options, recipe, 1.0, dataset(1)) for recipe in read_recipes(options)]
    assert [run["threads"] for run in found] == [3, 1]


def test_flops_are_those_of_the_images_until_then(race: Race) -> None:
    options = SpeedrunOptions(to_quality=0.5, recipes=(f"plain: ae {RECIPE}",), image_size=16, data="sample", cpu=True)
    (recipe,) = read_recipes(options)
    per_image = training_flops(recipe.config)
    for run in runs_of(race, "plain"):
        assert run["flops"] == pytest.approx(per_image * run["images"])
    images = statistics.median(run["images"] for run in runs_of(race, "plain"))
    assert race[1]["recipes"]["plain"]["median"]["flops"] == pytest.approx(per_image * images)


def test_e_is_that_of_the_validation_and_gray_is_one(race: Race, folder: Path, tmp_path: Path) -> None:
    floors = race[1]["floors"]
    assert floors["gray"]["e"] == 1
    trainer = compose_trainer(small("ae", folder, tmp_path / "run"))
    untrained = trainer.score(colorize_with(trainer.ema, trainer.space, trainer.accelerator))
    e = untrained["fd_cifar10_v2_dev"] / floors["gray"]["fd"]
    assert race[1]["recipes"]["plain"]["untrained_e"] == pytest.approx(e, rel=1e-6)
    assert trainer.score.distance(colorize_with(trainer.ema, trainer.space, trainer.accelerator)) == pytest.approx(
        untrained["fd_cifar10_v2_dev"], rel=1e-6
    )


def test_recipes_take_turns_in_alternating_order() -> None:
    options = SpeedrunOptions(to_quality=0.5, recipes=("a: ae", "b: cgan"), data="sample")
    order = [f"{recipe.name}{seed}" for seed, recipe in interleaved(read_recipes(options), 3)]
    assert order == ["a0", "b0", "b1", "a1", "a2", "b2"]


def test_the_same_command_continues_with_the_runs_that_are_missing(
    race: Race, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, out = race[0].with_suffix(".runs.json"), tmp_path / "again.json"
    out.with_suffix(".runs.json").write_bytes(kept.read_bytes())
    trained: list[tuple[str, int]] = []

    def start(options: Any, recipe: Any, *rest: Any) -> Record:
        trained.append((recipe.name, recipe.config.seed))
        return {**runs_of(race, recipe.name)[0], "seed": recipe.config.seed}

    monkeypatch.setattr(to_quality, "start", start)
    recipes = [f"{name}: {recipe['command']}" for name, recipe in race[1]["recipes"].items()]
    arguments = ["speedrun", *TO_QUALITY, "--recipes", *recipes, "--data", str(folder), "--out", str(out)]
    main([*arguments, "--seeds", "3"])
    assert trained == [("plain", 2), ("adversarial", 2), ("still", 2)]
    out.unlink()
    out.with_suffix(".png").unlink()
    assert "again.runs.json holds runs of another speedrun" in refused(capsys, *arguments, "--eval-images", "27")


def test_a_diverged_run_misses_the_target(folder: Path) -> None:
    options = SpeedrunOptions(
        to_quality=0.5, recipes=(f"ae {RECIPE} --lr 1e30 --max-grad-norm None",), image_size=16, data=str(folder),
        seeds=1, eval_images=54, cpu=True,
    )  # fmt: skip
    (run,) = to_quality.measure(options)["runs"]
    assert (run["reached"], run["reason"][:28]) == (False, "The loss was not finite afte")


@pytest.mark.parametrize("target", [0.9, 1.0])
def test_a_target_that_needs_no_training_is_refused(target: float) -> None:
    floors = {"gray": {"e": 1.0}, "data set's mean ab": {"e": 0.867}}
    check_target(0.86, floors)
    with pytest.raises(InputError, match=r"needs no training \(data set's mean ab: e 0\.867\): choose less"):
        check_target(target, floors)


def test_gray_is_refused_before_anything_trains(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(race_module, "run", lambda *_: pytest.fail("trained"))
    arguments = [*TO_QUALITY, "--to-quality", "1", "--recipes", f"ae {RECIPE}", "--data", str(folder)]
    assert "--to-quality is 1, which needs no training (gray: e 1.000)" in refused(capsys, "speedrun", *arguments)


# Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--to-quality", "nan"], "--to-quality is nan: it must be from 0 to 1"),
        (["--to-quality", "0.2", "--width", "8"], "--width has no meaning with --to-quality: write it into --recipes"),
        (["--to-quality", "0.2", "--split", "test"], "--split has no meaning with --to-quality: leave it out"),
        (["--eval-images", "7"], "--eval-images has no meaning without --to-quality"),
        (["--to-quality", "0.2", "--eval-images", "0"], "--eval-images is 0: it must be at least 1"),
        (["--to-quality", "0.2", "--recipes", "ea"], "--recipes 'ea' names no preset first"),
        (["--to-quality", "0.2", "--recipes", "a: ae", "a: cgan"], "--recipes has two named 'a'"),
        (["--to-quality", "0.2", "--recipes", "a: ae --seed 3"], "'a' has --seed, which the speedrun sets"),
        (["--to-quality", "0.2", "--recipes", "a: ae --threads 0"], "'a' has --threads 0: it must be at least 1"),
        (["--to-quality", "0.2", "--recipes", "a: ae --threads x"], "'a' cannot be read"),
        (["--to-quality", "0.2", "--recipes", "a: ae --lr 'x"], "'a' cannot be read (No closing quotation)"),
        (["--to-quality", "0.2", "--recipes", "a: ae --lr -1"], "--lr is -1.0: it must be a positive number"),
        (["--to-quality", "0.2", "--recipes", "ae --processes 3"], "cannot be divided by 3 processes"),
        (["--to-quality", "0.2", "--recipes", "ae --mixed-precision fp16", "--cpu"], "fp16, which needs a GPU"),
    ],
)
def test_bad_options(options: Sequence[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in " ".join(refused(capsys, "speedrun", "--data", "sample", *options).split())


def test_a_recipe_may_have_every_option_of_a_training() -> None:
    line = "x: cgan --compile on --mixed-precision bf16 --lr-schedule constant --processes 2 --threads 1 --batch-size 8"
    (recipe,) = read_recipes(SpeedrunOptions(to_quality=0.2, recipes=(line,), data="sample", cpu=True))
    assert (recipe.name, recipe.preset, recipe.processes, recipe.threads) == ("x", "cgan", 2, 1)
    assert (recipe.config.compile, recipe.config.lr_schedule, recipe.config.batch_size) == ("on", "constant", 8)
    assert recipe.config.reconstruction_weight >= PRESETS["cgan"].config.reconstruction_weight
