"""The training loop: it moves batches through an objective, watches, evaluates, saves and resumes.

It never asks which objective it runs, and nothing in the per-step path waits for the device: losses are summed there
and read when they are logged.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast, broadcast_object_list
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from colornet.checkpoint import find_checkpoint, list_checkpoints, load_checkpoint, save_checkpoint
from colornet.classifier import CIFAR10_CLASSES
from colornet.color import ColorSpace
from colornet.config import TrainConfig
from colornet.data import Dataset, DeviceLoader
from colornet.distances import frechet_distance
from colornet.errors import DivergedError, InputError
from colornet.evaluation import Colorize, colorize_with, gray_floor, map_images, sample_grid
from colornet.features import load_evaluator
from colornet.files import remove_leftovers, replacing
from colornet.logs import RunLog
from colornet.metrics import image_metrics, summarize
from colornet.models import count_parameters
from colornet.objectives import Objective
from colornet.optimization import learning_rate_factor, update_ema
from colornet.preemption import StopVote, noting_stop_signals
from colornet.provenance import provenance, write_json

__all__ = ["Trainer"]

# The final values of these stand beside the hyperparameters in TensorBoard.
HEADLINES = (
    "validation/fd_cifar10_dev",
    "validation/cf",
    "validation/delta_cf",
    "validation/ciede2000",
    "validation/psnr",
)
SAMPLES = 12  # validation images shown at every evaluation, in rows of three


class Trainer:
    """One run; `fit` takes it from wherever it stands to its end."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        dataset: Dataset,
        objective: Objective,
        ema: nn.Module,
        space: ColorSpace,
    ) -> None:
        self.config = config
        self.accelerator = accelerator
        self.dataset = dataset
        self.objective = objective
        self.ema = ema
        self.space = space
        self.run_dir = Path(config.run_dir)
        self.checkpoints = self.run_dir / "checkpoints"
        self.marker = self.run_dir / "preempted"
        self.loader = DeviceLoader(
            dataset.train,
            batch_size=config.batch_size,
            device=accelerator.device,
            seed=config.seed,
            flip=config.flip,
            shift=config.shift,
            accumulation_steps=config.accumulation_steps,
            rank=accelerator.process_index,
            world_size=accelerator.num_processes,
        )
        self.generator = accelerator.unwrap_model(objective.generator)
        self.evaluator = load_evaluator("dev").to(accelerator.device)
        self.true_features: Tensor | None = None  # of the validation images, computed at the first evaluation
        self.base_lrs = {name: optimizer.param_groups[0]["lr"] for name, optimizer in objective.optimizers.items()}
        total_steps = config.epochs * len(self.loader)
        self.last_step = min(total_steps, config.max_steps or total_steps)
        self.step = 0  # updates done
        self.sums: dict[str, Tensor] = {}  # of what the steps since the last log returned
        self.first_bad_step = torch.zeros((), dtype=torch.int64, device=accelerator.device)  # 0: none
        self.clock = (time.perf_counter(), 0)
        self.preempted = False  # whether a signal ended `fit` before the last step

    def fit(self) -> None:
        """Resume if asked to, then train until the last step, logging, evaluating and saving on the way.

        SIGTERM or SIGUSR1 to any process ends it early, on all of them after the same step, with a checkpoint and the
        file `preempted` beside it.
        """
        with noting_stop_signals() as asked:
            if self.accelerator.num_processes > 2:
                self.rehearse()
            resumed = self.config.resume == "auto" and self.resume()
            if self.accelerator.is_main_process:
                self.describe("resuming" if resumed else "starting")
            if self.step < self.last_step:
                self.train(StopVote(asked, self.accelerator.num_processes))

    def rehearse(self) -> None:
        """Make one update and undo it, so that DDP has chosen its buckets before the first update that counts.

        DDP orders them anew by when gradients arrived in its first backward pass. The order decides the order of
        summation over three or more processes: without this, a resumed run would differ by rounding.
        """
        before = copy.deepcopy(self.state())
        self.objective.training_step(next(self.loader.epoch(0)))
        self.restore(before)

    def train(self, vote: StopVote) -> None:
        """Train from where the run stands until the last step or until a signal asks to stop."""
        steps_per_epoch = len(self.loader)
        log = RunLog(self.run_dir, self.config, self.step, HEADLINES) if self.accelerator.is_main_process else None
        bar = tqdm(
            total=self.last_step * self.config.batch_size,
            initial=self.step * self.config.batch_size,
            desc=self.run_dir.name,
            unit="img",
            unit_scale=True,
            dynamic_ncols=True,
            disable=None if self.accelerator.is_main_process else True,  # None: quiet when not on a terminal
        )
        self.clock = (time.perf_counter(), self.step)
        try:
            for epoch in range(self.step // steps_per_epoch, self.config.epochs):
                for microbatches in self.loader.epoch(epoch, start=self.step - epoch * steps_per_epoch):
                    self.train_step(microbatches)
                    bar.update(self.config.batch_size)

                    # Maintenance, all of it outside the step. Every rank takes part; rank 0 writes.
                    last = self.step == self.last_step
                    stop = vote.passed() and not last
                    if last or stop or self.step % self.config.log_every == 0:
                        self.log_training(log, bar)
                    if last or self.step % (self.config.eval_every * steps_per_epoch) == 0:
                        self.evaluate(log)
                        self.save()
                    elif stop or (self.config.save_every and self.step % self.config.save_every == 0):
                        self.save()
                    if stop:
                        self.mark_preempted()
                    if last or stop:
                        return
                    vote.cast()
        finally:
            bar.close()
            if log is not None:
                log.close(finished=self.step == self.last_step)

    def describe(self, verb: str) -> None:
        """Say what is about to run, and write it into the run folder."""
        config, device = self.config, self.accelerator.device
        networks = {name: self.accelerator.unwrap_model(n) for name, n in self.objective.networks.items()}
        sizes = ", ".join(f"{name} {count_parameters(network):,}" for name, network in networks.items())
        print(
            f"{self.run_dir}: {verb} at step {self.step} of {self.last_step}\n"
            f"  {self.accelerator.num_processes} process(es) on {device.type}, "
            f"precision {self.accelerator.mixed_precision}, batch {config.batch_size}\n"
            f"  data {self.dataset.name}: {len(self.dataset.train):,} training and {len(self.dataset.validation):,} "
            f"validation images of {config.image_size}×{config.image_size} pixels\n"
            f"  parameters: {sizes}",
            flush=True,
        )
        batch_norm = any(isinstance(m, nn.BatchNorm2d) for network in networks.values() for m in network.modules())
        if batch_norm and self.accelerator.num_processes > 1:
            print("  BatchNorm sees the images of one process only here: results depend on the number of processes.")
        for folder in (self.run_dir, self.run_dir / "samples"):
            remove_leftovers(folder)
        self.marker.unlink(missing_ok=True)
        write_json(self.run_dir / "config.json", dataclasses.asdict(config))
        history = self.run_dir / "provenance.json"
        starts = json.loads(history.read_text()) if history.exists() else []
        write_json(history, [*starts, {"step": self.step, "data": self.dataset.fingerprint, **provenance(device)}])

    def train_step(self, microbatches: list[Tensor]) -> None:
        """Make one update of every network and of the moving average; nothing here waits for the device."""
        factor = learning_rate_factor(self.config, self.step, len(self.loader))
        for name, optimizer in self.objective.optimizers.items():
            for group in optimizer.param_groups:
                group["lr"] = self.base_lrs[name] * factor
        values = self.objective.training_step(microbatches)
        self.step += 1
        update_ema(self.ema, self.generator, self.config.ema_decay, self.step)

        # fp16 skips steps whose scaled gradients overflow: only there, an infinite gradient is no accident.
        watched = [v for name, v in values.items() if self.accelerator.scaler is None or name.startswith("loss/")]
        bad = ~torch.isfinite(torch.stack(watched)).all() & (self.first_bad_step == 0)
        self.first_bad_step = torch.where(bad, self.step, self.first_bad_step)
        self.sums = {name: self.sums[name] + v if self.sums else v for name, v in values.items()}

    def log_training(self, log: RunLog | None, bar: tqdm[None]) -> None:
        """Log the means since the last time, over all processes."""
        self.check_finite()
        then, step_then = self.clock
        steps = self.step - step_then
        means = self.accelerator.reduce(torch.stack(list(self.sums.values())), "mean") / steps
        values = dict(zip(self.sums, means.tolist(), strict=True))
        now = time.perf_counter()
        self.sums, self.clock = {}, (now, self.step)
        if log is None:
            return
        losses = {name.removeprefix("loss/"): f"{value:.3f}" for name, value in values.items() if "loss/" in name}
        bar.set_postfix(losses, refresh=False)
        for name, optimizer in self.objective.optimizers.items():
            values[f"lr/{name}"] = optimizer.param_groups[0]["lr"]
        values["speed/images_per_second"] = steps * self.config.batch_size / (now - then)
        log.scalars(self.step, values)

    def evaluate(self, log: RunLog | None) -> None:
        """Score the moving average on the validation images and show the same few of them every time."""
        if self.accelerator.num_processes > 1:
            for buffer in self.ema.buffers():  # batch statistics differ between ranks
                broadcast(buffer)
        started = time.perf_counter()
        colorize = colorize_with(self.ema, self.space, self.accelerator)
        images = self.dataset.validation
        summary = self.score(colorize, images)
        if log is not None:
            log.scalars(self.step, {f"validation/{name}": value for name, value in summary.items()})
            chosen = torch.linspace(0, len(images) - 1, SAMPLES).long()  # some of them twice if there are fewer
            shown = images[chosen].to(self.accelerator.device)
            log.images(self.step, sample_grid([gray_floor(shown), colorize(shown), shown]).cpu())
            tqdm.write(
                f"step {self.step}: validation PSNR {summary['psnr']:.2f} dB, CIEDE2000 {summary['ciede2000']:.2f}, "
                f"colourfulness {summary['cf']:.1f} (truth {summary['cf_truth']:.1f}), "
                f"fd_cifar10_dev {summary.get('fd_cifar10_dev', math.nan):.3f}"
            )
        self.clock = (self.clock[0] + time.perf_counter() - started, self.clock[1])  # not training time

    def score(self, colorize: Colorize, images: Tensor) -> dict[str, float]:
        """Reduce what is measured of colourings of the validation images (N, 3, H, W) to the points of the curves."""

        def measure(truth: Tensor) -> dict[str, Tensor]:
            output = colorize(truth)
            features, logits = self.evaluator.measure(output)
            return {**image_metrics(output, truth), "features": features, "class": logits.argmax(1)}

        over_images = functools.partial(
            map_images, accelerator=self.accelerator, batch_size=self.config.eval_batch_size, progress="validation"
        )
        values = over_images(measure, images)
        summary = summarize(values)
        if len(images) > 1:
            if self.true_features is None:
                self.true_features = over_images(lambda truth: {"features": self.evaluator.measure(truth)[0]}, images)[
                    "features"
                ]
            summary["fd_cifar10_dev"] = frechet_distance(values["features"].double(), self.true_features.double())
        labels = self.dataset.labels
        if labels is not None and labels.classes == CIFAR10_CLASSES:
            summary["accuracy_cifar10_dev"] = (values["class"] == labels.validation).double().mean().item()
        return summary

    def save(self) -> None:
        """Write a checkpoint and, beside it, the moving average as `model.safetensors`."""
        self.check_finite()
        problem = None
        if self.accelerator.is_main_process:
            try:
                self.write()
            except OSError as error:
                free = shutil.disk_usage(self.run_dir).free / 2**20
                problem = (
                    f"The checkpoint of step {self.step} cannot be written to {self.checkpoints}: {error.strerror}, "
                    f"{free:,.1f} MiB free there. Older checkpoints are whole: make room and go on with --resume auto."
                )
        (problem,) = broadcast_object_list([problem])  # all processes end alike, none waits for the first
        if problem is not None:
            raise InputError(problem)

    def write(self) -> None:
        """Write the files of `save`; raise `OSError` where the disk takes no more."""
        # The model first: a run killed in between writes both anew, whereas one whose last checkpoint is there is over.
        weights = {name: value.cpu().contiguous() for name, value in self.ema.state_dict().items()}
        with replacing(self.run_dir / "model.safetensors") as path:
            path.write_bytes(save(weights, metadata={"format": "pt", "step": str(self.step)}))
        state = {"step": self.step, "data": self.dataset.fingerprint, **self.state()}
        save_checkpoint(self.checkpoints, self.step, state, self.config.keep_checkpoints)

    def mark_preempted(self) -> None:
        """Leave a file by which a job script knows that the run wants to go on; the next start removes it."""
        self.preempted = True
        if self.accelerator.is_main_process:
            with replacing(self.marker) as path:
                path.write_text(f"{self.step}\n")

    def state(self) -> dict[str, Any]:
        """Return what training changes, but for the step: dictionaries of the tensors themselves and plain values."""
        unwrap = self.accelerator.unwrap_model
        return {
            "networks": {name: unwrap(network).state_dict() for name, network in self.objective.networks.items()},
            "optimizers": {name: o.state_dict()["state"] for name, o in self.objective.optimizers.items()},
            "ema": self.ema.state_dict(),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        for name, network in self.objective.networks.items():
            self.accelerator.unwrap_model(network).load_state_dict(state["networks"][name])
        for name, optimizer in self.objective.optimizers.items():
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state["optimizers"][name], "param_groups": groups})
        self.ema.load_state_dict(state["ema"])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def resume(self) -> bool:
        """Load the newest good checkpoint of the run folder; return whether there was one."""
        path = find_checkpoint(self.checkpoints)
        if path is None:
            return False
        state = load_checkpoint(path)
        if state["data"] != self.dataset.fingerprint:
            raise InputError(
                f"The images of --data {self.config.data} are not those that {self.run_dir} was trained on: "
                "restore them, or start again in another --run-dir."
            )
        self.restore(state)
        self.step = state["step"]
        return True

    def check_finite(self) -> None:
        """Stop every rank if a loss or gradient of any rank was not finite; this waits for the device."""
        steps = self.accelerator.gather(self.first_bad_step.reshape(1)).tolist()
        if not any(steps):
            return
        saved = list_checkpoints(self.checkpoints)
        last_good = f"the last good checkpoint is {saved[0]}" if saved else "there is no checkpoint yet"
        raise DivergedError(
            f"The loss or its gradient is not finite since step {min(filter(None, steps))}; {last_good}. "
            "A lower --lr, --max-grad-norm 1 or --mixed-precision no may help, in another --run-dir."
        )
