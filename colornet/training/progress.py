"""What a user sees of a training while it runs: a bar on a terminal, and a line a minute anywhere else."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from tqdm import tqdm

from colornet.bar import INTERVAL
from colornet.config import TrainConfig
from colornet.errors import printable


class Progress:
    """Counts the steps of a run from `step` to `last_step`; only the process that `shows` it has output.

    On a terminal it is a bar that counts images, on stderr. Elsewhere, `say` is given a line with the first point of
    the curves, and with the first one of every later minute.
    """

    def __init__(
        self,
        config: TrainConfig,
        step: int,
        last_step: int,
        steps_per_epoch: int,
        say: Callable[[str], None],
        shows: bool,
    ) -> None:
        self.config, self.begin, self.step, self.last_step = config, step, step, last_step
        self.steps_per_epoch = steps_per_epoch
        self.say = say
        total, initial = (count * config.batch_size for count in (last_step, step))
        self.bar = tqdm(
            total=total,
            initial=initial,
            # None: hidden unless stderr is a terminal; a program without a console has no stderr.
            disable=None if shows and sys.stderr is not None else True,
            desc=printable(Path(config.run_dir).name, 40),
            unit="img",
            unit_scale=True,
            dynamic_ncols=True,
        )
        self.writes_lines = shows and self.bar.disable
        self.begun = time.monotonic()
        self.next_line = self.begun

    def advance(self) -> None:
        """Count a step."""
        self.step += 1
        self.bar.update(self.config.batch_size)

    def show(self, values: Mapping[str, float]) -> None:
        """Show a point of the curves, whose names are those of the run's log."""
        losses = {name.removeprefix("loss/"): f"{value:.3f}" for name, value in values.items() if "loss/" in name}
        self.bar.set_postfix(losses, refresh=False)
        now = time.monotonic()
        if not self.writes_lines or now < self.next_line:
            return
        self.next_line = now + INTERVAL
        epoch = math.ceil(self.step / self.steps_per_epoch)
        parts = [f"{name} {value}" for name, value in losses.items()]
        if (speed := values.get("speed/images_per_second")) is not None:
            parts.append(f"{speed:,.0f} images/s")
        left = (now - self.begun) / (self.step - self.begin) * (self.last_step - self.step)
        parts.append(f"{duration(left)} left")
        if (memory := values.get("speed/peak_memory_gib")) is not None:
            parts.append(f"{memory:.1f} GiB")
        where = f"step {self.step} of {self.last_step} (epoch {epoch} of {self.config.epochs})"
        self.say(f"{where}: {', '.join(parts)}")

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()


def duration(seconds: float) -> str:
    """Return a time in words of two units at most: 45 s, 12 min, 3 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that this process has had of a GPU, or else of the main memory; None if not known."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
