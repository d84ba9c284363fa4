"""What a run prints: a description at its start, and later lines as long as somebody reads them."""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping

from accelerate import Accelerator
from torch import nn
from tqdm import tqdm

from colornet.config import TrainConfig
from colornet.data import Dataset
from colornet.errors import InputError, printable
from colornet.models.unet import count_parameters


class Console:
    """Prints the lines of a run to stdout, above a progress bar; `closed` once nobody reads them any more."""

    def __init__(self) -> None:
        self.closed = False

    def say(self, text: str) -> None:
        """Print something. Raises `InputError` if it cannot be written for another reason than a missing reader."""
        try:
            if sys.stdout is not None:
                tqdm.write(text)
                sys.stdout.flush()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # a pipe without a reader, a terminal that is gone
                advice = "free some space where the output goes, and continue with --resume auto"
                raise InputError(f"What is printed cannot be written: {error.strerror}; {advice}.") from error
            self.closed = True


def describe(
    config: TrainConfig,
    accelerator: Accelerator,
    dataset: Dataset,
    networks: Mapping[str, nn.Module],
    *,
    streamed: bool,
) -> str:
    """Return lines about the processes, the data and the networks of a run."""
    sizes = ", ".join(f"{name} {count_parameters(network):,}" for name, network in networks.items())
    lines = [
        f"  {accelerator.num_processes} process(es) on {accelerator.device.type}, "
        f"precision {accelerator.mixed_precision}, batch {config.batch_size}",
        f"  data {printable(dataset.name)}: {len(dataset.train):,} training and {len(dataset.validation):,} validation "
        f"images of {config.image_size}×{config.image_size} pixels{', streamed to the device' if streamed else ''}",
        f"  parameters: {sizes}",
    ]
    batch_norm = any(isinstance(m, nn.BatchNorm2d) for network in networks.values() for m in network.modules())
    if batch_norm and accelerator.num_processes > 1:
        lines.append("  BatchNorm sees the images of one process only: results depend on the number of processes.")
    return "\n".join(lines)
