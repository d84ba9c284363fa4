"""The record of `speedrun --to-quality`: how long recipes train until their colorings are as good as asked for."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.baselines.reference_rows import reference_rows, score_rows
from benchmarks.core.record import Record, read_json, start_record
from benchmarks.core.steps import choose_device, settle, start_accelerator, training_flops
from benchmarks.core.timing import tf32_setting
from benchmarks.speedrun.images import load_images
from benchmarks.speedrun.options import Recipe, SpeedrunOptions, read_recipes
from benchmarks.speedrun.race import start
from colornet.config import PRESETS
from colornet.data import Dataset
from colornet.errors import InputError
from colornet.evaluation.validation import ValidationScore
from colornet.files import finite_or_none, write_json
from colornet.metrics.evaluator import evaluator_card

METHOD = {
    "e": "fd_cifar10_v2_dev of the colorings of all validation images as a share of that of their gray versions; of "
    "the moving average, in the gray of the recipe, outputs at 8 bits",
    "run": "from scratch; evaluated before the first step, after every --eval-images training images and at the end; "
    "stops at the first evaluation at or below the target",
    "seconds": "wall clock of training steps, the device waited for, after an untimed step that is not kept; "
    "evaluations and compilation are not part of it",
    "cpu_seconds": "processor time of the same steps, all threads of all processes; None on a GPU",
    "flops": "of the images until then: forward and backward passes of one real step, a multiply-add as two",
    "interleaved": "all recipes with one seed, then with the next, every second time in reverse order",
    "median": "over all seeds; one that misses the target counts as infinitely slow",
    "floors": "e without training; a target must be below all of them",
}


def measure(options: SpeedrunOptions) -> Record:
    """Train every recipe with every seed until it reaches the target; return the record.

    Raises `InputError` for a target that needs no training, and for options that do not go with the device or the data.
    """
    assert options.to_quality is not None
    device = choose_device(options.cpu)
    recipes = [recipe._replace(config=settle(recipe.config, device)) for recipe in read_recipes(options)]
    if (most := max(recipe.processes for recipe in recipes)) > 1 and device.type == "cuda":
        raise InputError(f"--processes {most} of --recipes is for CPUs: leave it out, or add --cpu.")
    dataset, _ = load_images(options, max(recipe.config.batch_size for recipe in recipes))
    flops = {recipe.name: training_flops(recipe.config) for recipe in recipes}
    score = ValidationScore(dataset, start_accelerator(recipes[0].config), batch_size=options.eval_batch_size)
    floors = measure_floors(score, dataset)
    check_target(options.to_quality, floors)
    begun = {
        **start_record("speedrun-to-quality", device, options),
        "data": {
            "name": dataset.name,
            "image_size": options.image_size,
            "training_images": len(dataset.train),
            "fingerprint": dataset.fingerprint,
        },
    }
    runs = []
    gray = floors["gray"]["fd"]
    kept = KeptRuns(options.out, begun)
    for seed, recipe in interleaved(recipes, options.seeds):
        run = kept.find(recipe.name, seed)
        if run is None:
            seeded = recipe._replace(config=dataclasses.replace(recipe.config, seed=seed))
            run = start(options, seeded, gray, dataset)
            run["flops"] = run["images"] * flops[recipe.name]
            kept.add(run)
        runs.append(run)
    return {
        **begun,
        "method": METHOD,
        "evaluator": evaluator_card("v2-dev"),
        "target": {"e": options.to_quality, "split": "validation", "images": len(score.images)},
        "floors": floors,
        "recipes": {recipe.name: describe(recipe, device, flops[recipe.name], runs) for recipe in recipes},
        "runs": runs,
    }


def interleaved(recipes: list[Recipe], seeds: int) -> Iterator[tuple[int, Recipe]]:
    """Yield the trainings in their order: whatever slows the machine for a while affects all recipes."""
    for seed in range(seeds):
        for recipe in recipes if seed % 2 == 0 else reversed(recipes):
            yield seed, recipe


def measure_floors(score: ValidationScore, dataset: Dataset) -> dict[str, Record]:
    """Return what no training reaches, by row: the distance `fd` and `e`; raise `InputError` for gray images."""
    scores = score_rows(score, dataset, ("floor",))
    if len(score.images) < 2 or not (gray := scores["gray"]["fd_cifar10_v2_dev"]) > 0:
        raise InputError("--to-quality needs at least two validation images in color: choose other --data.")
    about = {row.name: row.about for row in reference_rows()}
    found = {name: values["fd_cifar10_v2_dev"] for name, values in scores.items()}
    return {name: {"about": about[name], "fd": fd, "e": fd / gray} for name, fd in found.items()}


def check_target(target: float, floors: dict[str, Record]) -> None:
    """Raise `InputError` for a target that images without a model reach."""
    name = min(floors, key=lambda name: floors[name]["e"])
    if target >= floors[name]["e"]:
        raise InputError(
            f"--to-quality is {target:g}, which needs no training ({name}: e {floors[name]['e']:.3f}): choose less."
        )


class KeptRuns:
    """Finished runs beside `out`, from which the same command continues after an interruption.

    Raises `InputError` if the file holds runs of another speedrun, or of another version of the code.
    """

    def __init__(self, out: Path | None, begun: Record) -> None:
        self.path = out and out.with_suffix(".runs.json")
        options = {name: value for name, value in begun["options"].items() if name not in ("seeds", "out")}
        same = {name: begun[name] for name in ("commit", "device", "data")} | {"options": options}
        self.content: Record = {**same, "runs": []}
        if self.path is None or not self.path.exists():
            return
        found = read_json(self.path)
        if not isinstance(found, dict) or {name: found.get(name) for name in same} != same:
            raise InputError(f"{self.path} holds runs of another speedrun: remove it, or choose another --out.")
        self.content = found

    def find(self, recipe: str, seed: int) -> Record | None:
        """Return a run, None if it is not finished."""
        return next((run for run in self.content["runs"] if (run["recipe"], run["seed"]) == (recipe, seed)), None)

    def add(self, run: Record) -> None:
        """Keep a finished run."""
        self.content["runs"].append(run)
        if self.path is not None:
            write_json(self.path, self.content)


def describe(recipe: Recipe, device: torch.device, flops: float, runs: list[Record]) -> Record:
    """Describe a recipe and the medians of its runs."""
    values, original = dataclasses.asdict(recipe.config), dataclasses.asdict(PRESETS[recipe.preset].config)
    mine = [run for run in runs if run["recipe"] == recipe.name]
    medians = {
        key: finite_or_none(statistics.median([run[key] if run["reached"] else math.inf for run in mine]))
        for key in ("seconds", "images", "flops")
    }
    return {
        "command": recipe.command,
        "preset": recipe.preset,
        "changed": {name: value for name, value in values.items() if value != original[name] and name != "data"},
        "threads": mine[0]["threads"],
        "processes": recipe.processes,
        "tf32": tf32_setting(recipe.config.mixed_precision, device),
        "training_flops_per_image": flops,
        "untrained_e": statistics.median([run["curve"][0]["e"] for run in mine]),
        "reached": sum(run["reached"] for run in mine),
        "seeds": len(mine),
        "median": medians,
    }
