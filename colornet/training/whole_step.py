"""Training steps from static memory (--whole-step): on a GPU, all kernels of a step are launched as one CUDA graph.

At batch 256 a GPU waits for Python, which launches some 700 kernels a step one by one. A graph is recorded once, with
color conversion, losses, backward passes, clipping, optimizers and moving average in it, and replayed at every step.
What changes from step to step (images, noise, learning rates, weight of the moving average) is copied into tensors that
the graph reads. Networks may be compiled as well. On a CPU the same work is done without a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.objectives import Objective
from colornet.training.optimization import ema_weight, move_average
from colornet.training.state import training_state

WARMUP = 3  # steps before recording, undone: libraries choose their kernels, and Adam makes its state

Inputs = tuple[list[Tensor], list[Tensor] | None]


class WholeStep:
    """Makes the updates of one step of an objective, the moving average included, as a plain step does.

    Numbers differ by rounding, as learning rates and the weight of the moving average are float32 on the device. Raises
    `InputError` for what cannot be recorded: several processes, the scaler of fp16, which Python reads, and an
    objective that does not say which of its steps are alike.
    """

    def __init__(self, config: TrainConfig, accelerator: Accelerator, objective: Objective, ema: nn.Module) -> None:
        alike = getattr(objective, "alike", None)
        if alike is None:
            raise InputError(f"--whole-step is not for the objective {config.objective}: leave it out.")
        if accelerator.num_processes > 1 or accelerator.scaler is not None:
            raise InputError("--whole-step is for one process, and not for fp16: leave it out.")
        self.alike: Callable[[int], int] = alike
        self.accelerator, self.objective, self.ema = accelerator, objective, ema
        self.generator = accelerator.unwrap_model(objective.generator)
        self.ema_decay = config.ema_decay
        self.graphs = accelerator.device.type == "cuda"
        self.lrs = {name: self.number() for name in objective.optimizers}
        self.weight = self.number()  # of the moving average
        self.inputs: Inputs = [], None
        self.recorded: dict[int, Callable[[], dict[str, Tensor]]] = {}  # by what makes steps alike
        self.pool = torch.cuda.graph_pool_handle() if self.graphs else None

    def number(self) -> Tensor:
        """Return a scalar that recorded steps read."""
        return torch.zeros((), device=self.accelerator.device)

    def __call__(
        self, microbatches: Sequence[Tensor], noise: Sequence[Tensor] | None, step: int, lrs: Mapping[str, float]
    ) -> dict[str, Tensor]:
        """Make the update after `step` others, with learning rates by network; return what the objective returns.

        Images are a list of uint8 (n, 3, H, W), noise a list of (n, C), in the same shapes at every step.
        """
        self.prepare(microbatches, noise, step)
        self.fill(microbatches, noise, step, lrs)
        values = self.recorded[self.alike(step)]()
        copies = torch.stack(list(values.values())).unbind()  # the next replay writes over the values
        return dict(zip(values, copies, strict=True))

    def prepare(self, microbatches: Sequence[Tensor], noise: Sequence[Tensor] | None, step: int) -> None:
        """Record steps like this one, unless that has been done; nothing else changes."""
        if self.alike(step) in self.recorded:
            return
        if not self.recorded:
            noises = None if noise is None else [torch.empty_like(part) for part in noise]
            self.inputs = [torch.empty_like(part) for part in microbatches], noises
            for name, optimizer in self.objective.optimizers.items():
                for group in optimizer.param_groups:
                    group["lr"], group["capturable"] = self.lrs[name], self.graphs
        before = {name: value.clone() for name, value in self.state().items()}
        self.fill(microbatches, noise, step, dict.fromkeys(self.lrs, 0.0))

        def work() -> dict[str, Tensor]:
            images, noises = self.inputs
            values = self.objective.training_step(images, step=step, noise=noises)
            move_average(self.ema, self.generator, self.weight)
            return values

        if self.graphs:
            work = self.record(work)
        else:
            for _ in range(WARMUP):
                work()
        self.restore(before)
        self.recorded[self.alike(step)] = work

    def record(self, work: Callable[[], dict[str, Tensor]]) -> Callable[[], dict[str, Tensor]]:
        """Record work as a graph, as torch's documentation of CUDA graphs asks; return what replays it."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUP):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self.pool):
            values = work()

        def replay() -> dict[str, Tensor]:
            graph.replay()
            return values

        return replay

    def fill(
        self, microbatches: Sequence[Tensor], noise: Sequence[Tensor] | None, step: int, lrs: Mapping[str, float]
    ) -> None:
        """Put what differs between steps where recorded steps read it."""
        images, noises = self.inputs
        for target, source in zip(images, microbatches, strict=True):
            target.copy_(source)
        for target, source in zip(noises or (), noise or (), strict=True):
            target.copy_(source)
        for name, lr in lrs.items():
            self.lrs[name].fill_(lr)
        self.weight.fill_(ema_weight(self.ema_decay, step + 1))

    def state(self) -> dict[str, Tensor]:
        """Return the tensors of everything that a step changes."""
        return training_state(self.accelerator, self.objective, self.ema).tensors

    @torch.no_grad()
    def restore(self, before: Mapping[str, Tensor]) -> None:
        """Undo the steps of the warm-up in place: recorded steps go on reading and writing the same tensors."""
        for name, tensor in self.state().items():
            tensor.copy_(before[name])
