"""One process prepares the data for longer than a collective may take, and the other waits for it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.system

# Each rank begins to train as `python -m colornet.train` does, with a limit of 4 seconds for collectives.
RANK_SCRIPT = """
import datetime, os, sys, time
import torch
from colornet import train
from colornet.training import build

def load_slowly(*arguments, **options):
    if os.environ["LOCAL_RANK"] == "0":
        time.sleep(8)
    return load(*arguments, **options)

load, build.load_dataset = build.load_dataset, load_slowly
torch.distributed.init_process_group("gloo", timeout=datetime.timedelta(seconds=4))
train.main(sys.argv[1:])
"""


def test_a_slow_download_times_nobody_out(folder: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    small = "--image-size 16 --width 8 --multipliers 1 2 --blocks 1 --batch-size 8 --max-steps 1 --cpu"
    options = [*small.split(), "--data", str(folder), "--run-dir", str(tmp_path / "run"), "--mixed-precision", "no"]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RANK_SCRIPT, "ae", *options],
            env=os.environ | together | {"RANK": rank, "LOCAL_RANK": rank, "CUDA_VISIBLE_DEVICES": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=150)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(errors)
