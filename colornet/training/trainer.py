"""The training loop: it feeds batches to an objective, logs, evaluates, saves and resumes.

It never asks which objective it runs, and nothing in the per-step path waits for the device.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import Tensor, nn

from colornet.config import TrainConfig
from colornet.data import Dataset, DeviceLoader
from colornet.errors import DivergedError, InputError, printable
from colornet.evaluation.loop import colorize_with, gray_floor, sample_grid
from colornet.evaluation.processes import on_all
from colornet.evaluation.validation import ValidationScore
from colornet.metrics.histograms import ColorCounts
from colornet.models.build import color_space
from colornet.objectives import Objective
from colornet.runs.lock import locked
from colornet.runs.model_card import write_model_card
from colornet.runs.provenance import provenance
from colornet.runs.run_dir import RunDir
from colornet.training.clock import StepClock
from colornet.training.console import Console, describe
from colornet.training.logger import RunLog
from colornet.training.optimization import learning_rate_factor, update_ema
from colornet.training.preemption import StopVote, noting_stop_signals
from colornet.training.profiler import StepProfiler
from colornet.training.progress import Progress, peak_memory
from colornet.training.saves import Saves
from colornet.training.state import restore_state, training_state
from colornet.training.step_metrics import StepMetrics
from colornet.training.tracking import Trackers
from colornet.training.validation_loss import ValidationLoss
from colornet.training.watchdog import process_log
from colornet.training.whole_step import WholeStep

logger = logging.getLogger(__name__)

SAMPLES = 12  # validation images shown at every evaluation, in rows of three
SCORES = (
    "step {step}: validation PSNR {psnr:.2f} dB, CIEDE2000 {ciede2000:.2f}, "
    "colorfulness {cf:.1f} (truth {cf_truth:.1f}), fd_cifar10_v2_dev {fd_cifar10_v2_dev:.3f}"
)


class Trainer:
    """One run; `fit` trains it from its current step to its last."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        dataset: Dataset,
        objective: Objective,
        ema: nn.Module,
        origin: dict[str, Any] | None = None,
    ) -> None:
        self.config = config
        self.origin = origin  # where the generator's first weights come from, if from another run
        self.accelerator = accelerator
        self.dataset = dataset
        self.objective = objective
        self.ema = ema
        self.space = color_space(config)
        self.run_dir = RunDir(Path(config.run_dir))
        rank, world_size = accelerator.process_index, accelerator.num_processes
        self.loader = DeviceLoader(dataset.train, config, accelerator.device, rank=rank, world_size=world_size)
        self.generator = accelerator.unwrap_model(objective.generator)
        self.score = ValidationScore(dataset, accelerator, batch_size=config.eval_batch_size)
        self.base_lrs = {name: optimizer.param_groups[0]["lr"] for name, optimizer in objective.optimizers.items()}
        self.total_steps = config.epochs * len(self.loader)
        self.last_step = min(self.total_steps, config.max_steps or self.total_steps)
        self.step = 0  # updates done
        self.metrics = StepMetrics(accelerator)
        self.saves = Saves(config, accelerator, self.run_dir, objective, ema, self.metrics, data=dataset.fingerprint)
        self.clock = StepClock(accelerator.device)
        self.console = Console()
        self.whole_step = WholeStep(config, accelerator, objective, ema) if config.whole_step else None
        self.trackers: Trackers | None = None
        self.preempted = False  # whether a signal, or a closed stdout, ended `fit` before the last step

    def fit(self) -> None:
        """Resume if asked to, then train until the last step, logging, evaluating and saving on the way.

        SIGTERM, SIGUSR1 or SIGHUP to any process, or a closed stdout, ends all after the same step, with a checkpoint
        and the file `preempted`. Raises `InputError` in every process if another run owns the folder.
        """
        with noting_stop_signals() as asked, ExitStack() as held:
            self.saves.by_main_process("The lock of the run", lambda: held.enter_context(locked(self.config)))
            if self.accelerator.num_processes > 2:
                self.warm_up_ddp()
            resumed = on_all(self.accelerator, self.resume)
            self.saves.check_common(self.step)
            finished = self.step >= self.last_step  # --max-steps may be less than was done
            verb = "finished" if finished else "resuming" if resumed else "starting"
            self.saves.by_main_process("The configuration", lambda: self.begin(verb))
            if finished:
                self.saves.by_main_process("The model", lambda: self.saves.complete(self.step))
                return
            logs, rank = self.run_dir.path / "logs", self.accelerator.process_index
            try:
                with process_log(logs, rank, self.config.hang_timeout, ends=self.config.hang_exit) as heartbeat:
                    vote = StopVote(lambda: asked() or self.console.closed, self.accelerator.num_processes)
                    self.train(vote, heartbeat)
            except OSError as error:  # of curves, samples and logs; `by_main_process` handles the rest
                raise InputError(self.run_dir.refused(f"What step {self.step} has to show", error)) from error
            if self.step == self.last_step:
                self.saves.by_main_process("The model card", lambda: write_model_card(self.run_dir.path))

    def resume(self) -> bool:
        """Continue from the newest checkpoint if asked to; return whether there is one."""
        if self.config.resume == "auto" and (step := self.saves.resume(self.total_steps)) is not None:
            self.step = step
            return True
        return False

    def warm_up_ddp(self) -> None:
        """Make one update and undo it, so that DDP, which reorders its buckets after the first, sums as it will later.

        Otherwise a resumed run of three or more processes would differ by rounding. A whole step is recorded instead.
        """
        if self.whole_step is not None:
            self.whole_step.prepare(next(self.loader.epoch(0)), self.loader.noise(0), 0)
            return
        before = copy.deepcopy(training_state(self.accelerator, self.objective, self.ema))
        self.objective.training_step(next(self.loader.epoch(0)), step=0, noise=self.loader.noise(0))
        restore_state(self.accelerator, self.objective, self.ema, before, last_step=self.step)

    def train(self, vote: StopVote, heartbeat: Callable[[], None]) -> None:
        """Train from the current step until the last one or until a signal asks to stop."""
        where = self.accelerator.process_index, self.accelerator.num_processes, self.accelerator.device
        logger.info("Process %d of %d on %s begins at step %d.", *where, self.step)
        if self.config.track != TrainConfig.track:
            self.saves.by_main_process("The trackers", self.start_trackers)
        writes, charts, steps_per_epoch = self.accelerator.is_main_process, self.objective.charts, len(self.loader)
        log = None
        if writes:
            log = RunLog(self.run_dir, self.config, self.step, self.metrics.since, charts, self.trackers)
        profiler = self.start_profiler() if self.config.profile and writes else None
        progress = Progress(self.config, self.step, self.last_step, steps_per_epoch, self.console.say, writes)
        try:
            for epoch in range(self.step // steps_per_epoch, self.config.epochs):
                for microbatches in self.loader.epoch(epoch, start=self.step - epoch * steps_per_epoch):
                    self.train_step(microbatches)
                    heartbeat()
                    progress.advance()
                    if profiler is not None:
                        profiler.step(self.step)
                    last = self.step == self.last_step
                    self.preempted = vote.passed() and not last
                    self.maintain(log, progress, heartbeat)
                    if last or self.preempted:
                        return
                    vote.cast()
        finally:
            progress.close()
            if profiler is not None:
                profiler.close()
            if log is not None:
                log.close(finished=self.step == self.last_step)

    def maintain(self, log: RunLog | None, progress: Progress, heartbeat: Callable[[], None]) -> None:
        """Log, evaluate and save if that is due after this step; every rank takes part, and rank 0 writes.

        A run that has diverged ends before any of these.
        """
        config, final = self.config, self.preempted or self.step == self.last_step
        logs = self.step == self.last_step or self.step % config.log_every == 0
        evaluates = self.step == self.last_step or self.step % (config.eval_every * len(self.loader)) == 0
        saves = evaluates or final or (config.save_every and self.step % config.save_every == 0)
        if logs or saves:
            self.check_finite()
        if logs:
            self.log_training(log, progress)
        if evaluates:
            self.evaluate(log, heartbeat)
        if saves:
            self.saves.save(self.step)
        if self.preempted:
            logger.info("Stopped by a signal after step %d.", self.step)
            if log is not None:
                self.run_dir.mark_preempted(self.step)

    def start_trackers(self) -> None:
        """Start the trackers of --track besides TensorBoard."""
        self.trackers = Trackers(self.accelerator, self.config)

    def start_profiler(self) -> StepProfiler:
        """Start to trace early steps into the run folder."""
        about = {
            **provenance(self.accelerator.device),
            "data": {"name": self.dataset.name, "fingerprint": self.dataset.fingerprint},
            "config": {**dataclasses.asdict(self.config), "data": Path(self.config.data).name},
            "precision": self.accelerator.mixed_precision,
        }
        return StepProfiler(self.run_dir.path / "profile", about, self.console.say)

    def begin(self, verb: str) -> None:
        """Write what is about to run into the run folder, and print it."""
        config, data = self.config, self.dataset
        start = {"step": self.step, "data": data.fingerprint, "approach": self.objective.description}
        origin = {} if self.origin is None else {"init_from": self.origin}
        self.run_dir.begin(config, start | provenance(self.accelerator.device) | origin)
        about = describe(config, self.accelerator, data, self.objective.networks, streamed=self.loader.streamed)
        self.console.say(f"{printable(config.run_dir)}: {verb} at step {self.step} of {self.last_step}\n{about}")

    def train_step(self, microbatches: list[Tensor]) -> None:
        """Make one update of every network and of the moving average; nothing here waits for the device."""
        factor = learning_rate_factor(self.config, self.step, len(self.loader))
        lrs = {name: lr * factor for name, lr in self.base_lrs.items()}
        noise = self.loader.noise(self.step)
        if self.whole_step is not None:
            values = self.whole_step(microbatches, noise, self.step, lrs)
        else:
            for name, optimizer in self.objective.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"] = lrs[name]
            values = self.objective.training_step(microbatches, step=self.step, noise=noise)
            update_ema(self.ema, self.generator, self.config.ema_decay, self.step + 1)
        self.step += 1
        self.metrics.add(self.step, values)
        self.clock.count(self.step)

    def log_training(self, log: RunLog | None, progress: Progress) -> None:
        """Log the means since the last time, over all processes."""
        values = self.metrics.read(self.step, ends=self.step % self.config.log_every == 0)
        steps_per_second = self.clock.speed(self.step)
        if log is None:
            return
        for name, optimizer in self.objective.optimizers.items():
            values[f"lr/{name}"] = float(optimizer.param_groups[0]["lr"])
        if steps_per_second is not None:
            values["speed/images_per_second"] = steps_per_second * self.config.batch_size
        if (peak := peak_memory(self.accelerator.device)) is not None:
            values["speed/peak_memory_gib"] = peak / 2**30
        values["epoch"] = self.step / len(self.loader)
        log.scalars(self.step, values)
        progress.show(values)

    def evaluate(self, log: RunLog | None, heartbeat: Callable[[], None]) -> None:
        """Score the moving average on the validation images and log samples of the same few of them every time."""
        logger.info("Evaluation after step %d.", self.step)
        with self.clock.paused():
            for buffer in self.ema.buffers():  # batch statistics differ between ranks
                broadcast(buffer)
            loss = ValidationLoss(self.ema, self.space, self.config.reconstruction_loss, self.accelerator.device)
            colorize = colorize_with(loss, self.space, self.accelerator)
            colors = ColorCounts(self.accelerator.device)

            def watch(output: Tensor, truth: Tensor) -> None:
                colors.add(output, truth)
                loss.add(truth)
                heartbeat()  # an evaluation may take longer than a step ever does

            summary = self.score(colorize, watch)
            summary["reconstruction"] = loss.mean(self.accelerator)
            planes, chroma = (self.accelerator.reduce(part, "sum").cpu() for part in (colors.plane, colors.chroma))
            if log is not None:
                images = self.dataset.validation
                chosen = torch.linspace(0, len(images) - 1, SAMPLES).long()  # some of them twice if there are fewer
                shown = images[chosen].to(self.accelerator.device)
                grid = sample_grid([gray_floor(shown), colorize(shown), shown])
                log.evaluation(self.step, summary, grid.cpu(), planes, chroma)
                self.console.say(SCORES.format_map({"step": self.step, "fd_cifar10_v2_dev": math.nan} | summary))

    def check_finite(self) -> None:
        """Stop every rank if a loss or gradient of any rank was not finite; this waits for the device."""
        if (first_bad := self.metrics.first_bad()) is not None:
            advice = "A lower --lr, --max-grad-norm 1 or --mixed-precision no may help, in another --run-dir."
            found = f"The loss or its gradient is not finite since step {first_bad}"
            raise DivergedError(f"{found}; {self.run_dir.last_good()}. {advice}")
        if (scale := self.metrics.lost_scale()) is not None:
            advice = "Train with --mixed-precision bf16 or no, in another --run-dir."
            found = f"The gradients overflow fp16: at step {self.step}, the scale of the loss has fallen to {scale:g}"
            raise DivergedError(f"{found}; {self.run_dir.last_good()}. {advice}")
