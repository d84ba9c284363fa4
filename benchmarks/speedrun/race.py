"""One training of `speedrun --to-quality`, in one process or several."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
import torch.distributed as dist
from accelerate.utils import broadcast, broadcast_object_list, gather_object
from torch import Tensor

from benchmarks.core.processes import launch
from benchmarks.core.record import Record
from benchmarks.core.steps import release, start_trainer
from benchmarks.core.timing import Stopwatch
from benchmarks.speedrun.images import load_images
from benchmarks.speedrun.options import Recipe, SpeedrunOptions
from colornet.bar import Bar
from colornet.data import Dataset
from colornet.errors import DivergedError
from colornet.evaluation.loop import colorize_with
from colornet.models.unet import count_parameters


def start(options: SpeedrunOptions, recipe: Recipe, gray: float, dataset: Dataset) -> Record:
    """Train a recipe in this process, or in several new ones."""
    if recipe.processes > 1:
        return launch(work, recipe.processes, options, recipe, gray)[0]
    return run(options, recipe, gray, dataset)


def work(options: SpeedrunOptions, recipe: Recipe, gray: float) -> Record:
    """Train a recipe in one of several processes."""
    dataset, _ = load_images(options, recipe.config.batch_size)
    result = run(options, recipe, gray, dataset)
    dist.destroy_process_group()
    return result


def run(options: SpeedrunOptions, recipe: Recipe, gray: float, dataset: Dataset) -> Record:
    """Train a recipe from scratch until an evaluation is at or below the target, or its epochs are over.

    `gray` is the distance of gray images, of which e is a share.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(recipe.threads or threads)
    try:
        return Race(options, recipe, gray, dataset).run()
    finally:
        torch.set_num_threads(threads)
        release()


class Race:
    """One training with its clocks."""

    def __init__(self, options: SpeedrunOptions, recipe: Recipe, gray: float, dataset: Dataset) -> None:
        assert options.to_quality is not None
        self.target, self.recipe, self.gray = options.to_quality, recipe, gray
        self.trainer = trainer = start_trainer(recipe.config, dataset)
        device = trainer.accelerator.device
        self.compilation, self.training, self.evaluation = (Stopwatch(device) for _ in range(3))
        self.colorize = colorize_with(trainer.ema, trainer.space, trainer.accelerator)
        self.steps_between = max(1, round(options.eval_images / recipe.config.batch_size))
        self.curve: list[Record] = []

    def run(self) -> Record:
        """Train until the target is reached or the last step is done; return the run."""
        trainer, config = self.trainer, self.recipe.config
        with self.compilation.running():
            trainer.warm_up_ddp()
        batches = itertools.chain.from_iterable(map(trainer.loader.epoch, range(config.epochs)))
        reason = None
        total, batch, title = trainer.last_step, config.batch_size, f"{self.recipe.name}, {config.seed}"
        shown = trainer.accelerator.is_main_process
        with Bar(total=total * batch, desc=title, unit="img", unit_scale=True, shown=shown) as bar:
            try:
                reached = self.evaluate()
                while trainer.step < total and not reached:
                    self.train(itertools.islice(batches, self.steps_between))
                    reached = self.evaluate()
                    bar.update(trainer.step * batch - bar.n)
                    bar.set_postfix_str(f"e {self.curve[-1]['e']:.3f}, target {self.target:g}")
            except DivergedError:
                reached, reason = False, f"The loss was not finite after {trainer.step} steps: lower --lr."
        if not reached and reason is None:
            reason = f"The lowest e in {config.epochs} epochs was {min(point['e'] for point in self.curve):.3f}."
        return {
            "recipe": self.recipe.name,
            "seed": config.seed,
            "threads": torch.get_num_threads(),
            "reached": reached,
            "reason": reason,
            **self.times(),
            "steps": trainer.step,
            "images": trainer.step * batch,
            "parameters": {name: count_parameters(network) for name, network in trainer.objective.networks.items()},
            "compile_seconds": self.compilation.seconds if config.compile == "on" else None,
            "evaluation_seconds": self.evaluation.seconds,
            "curve": self.curve,
        }

    def train(self, batches: Iterator[list[Tensor]]) -> None:
        """Make some steps on the clock."""
        with self.training.running():
            for microbatches in batches:
                self.trainer.train_step(microbatches)

    def evaluate(self) -> bool:
        """Add a point to the curve; return whether the target is reached, the same in all processes."""
        trainer = self.trainer
        with self.evaluation.running():
            trainer.check_finite()
            for buffer in trainer.ema.buffers():  # batch statistics differ between processes
                broadcast(buffer)
            e = trainer.score.distance(self.colorize) / self.gray
        images = trainer.step * self.recipe.config.batch_size
        self.curve.append({"step": trainer.step, "images": images, **self.times(), "e": e})
        (reached,) = broadcast_object_list([e <= self.target])
        return bool(reached)

    def times(self) -> dict[str, float | None]:
        """Return the wall clock of the training so far, and the processor time of all processes."""
        cpu_seconds = gather_object([self.training.cpu_seconds])
        total = None if None in cpu_seconds else sum(cpu_seconds)
        return {"seconds": self.training.seconds, "cpu_seconds": total}
