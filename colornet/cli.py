"""The `colornet` command: `colornet COMMAND --help` lists the options of each command."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from colornet import __version__, colorize, demo, evaluate, export, fetch, push, train
from colornet.command import choose_command

COMMANDS = {
    "train": (train.main, "train a colorizer; on several GPUs: accelerate launch -m colornet.train"),
    "evaluate": (evaluate.main, "compare runs on held-out images"),
    "colorize": (colorize.main, "color photographs of any size"),
    "export": (export.main, "write a model as one ONNX file, checked against PyTorch"),
    "fetch": (fetch.main, "download a data set before a job without network"),
    "push": (push.main, "publish a trained model on the Hugging Face Hub"),
    "demo": (demo.main, "color photographs in the browser"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the command line names first, with the remaining arguments."""
    parser = argparse.ArgumentParser(prog="colornet", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"colornet {__version__}")
    name, rest = choose_command(parser, {name: help_text for name, (_, help_text) in COMMANDS.items()}, arguments)
    COMMANDS[name][0](rest)
