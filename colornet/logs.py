"""What a run writes while it goes: TensorBoard events, `metrics.jsonl` and sample images."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from colornet.config import FREE_ON_RESUME, TrainConfig
from colornet.files import replacing
from colornet.provenance import finite_or_none

__all__ = ["RunLog"]


class RunLog:
    """The curves of one run in TensorBoard and in `metrics.jsonl`, one record a line.

    A run that resumes at `step` first drops what an interrupted run logged beyond it: both show one curve.
    """

    def __init__(self, folder: Path, config: TrainConfig, step: int, metric_tags: Iterable[str]) -> None:
        self.folder = folder
        self._drop_records_after(step)
        self.records = (folder / "metrics.jsonl").open("a", encoding="utf-8")
        # TensorBoard forgets events from `purge_step` on that earlier files of the folder hold.
        self.writer = SummaryWriter(str(folder), purge_step=step + 1)
        values = {k: _flat(v) for k, v in dataclasses.asdict(config).items() if k not in FREE_ON_RESUME}
        experiment, session_start, self.session_end = hparams(values, dict.fromkeys(metric_tags, 0.0))
        self._add(experiment, session_start)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each named curve."""
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, step)
        record = {"step": step, **{tag: finite_or_none(value) for tag, value in values.items()}}
        self.records.write(json.dumps(record) + "\n")
        self.records.flush()

    def images(self, step: int, grid: Tensor) -> None:
        """Show a uint8 picture (3, H, W) of samples and write it to `samples/`."""
        self.writer.add_image("samples/gray, output, truth", grid, step)
        with replacing(self.folder / "samples" / f"step-{step:08d}.png") as path:
            Image.fromarray(grid.permute(1, 2, 0).numpy()).save(path)  # (height, width, 3)

    def close(self, *, finished: bool) -> None:
        """Flush everything; a finished run is marked as such among the hyperparameters."""
        if finished:
            self._add(self.session_end)
        self.writer.close()
        self.records.close()

    def _add(self, *summaries: Any) -> None:
        for summary in summaries:
            self.writer._get_file_writer().add_summary(summary)

    def _drop_records_after(self, step: int) -> None:
        path = self.folder / "metrics.jsonl"
        if not path.exists():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                record = json.loads(line)
            except ValueError:  # the line that was being written when the run was killed
                continue
            if record["step"] <= step:
                kept.append(line + "\n")
        with replacing(path) as temporary:
            temporary.write_text("".join(kept), encoding="utf-8")


def _flat(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else str(value)
