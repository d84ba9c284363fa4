"""`python -m benchmarks COMMAND …`: measure quality and speed, report, and train the network that measures."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "quality": "compare runs on held-out images: FID, our own distances, colorfulness and the rest",
    "throughput": "time training steps and inference against the original notebooks' pipeline",
    "inference": "time the coloring of small images in batches against a loop over them",
    "scaling": "time training on more and more processes and predict even more of them",
    "growth": "time training of wider networks, with larger batches, on more images than memory holds",
    "speedrun": "time our training until it reaches the error of the original notebooks' autoencoder",
    "report": "make a page and tables of the results",
    "ablation": "train variants of the recipe and compare them on the validation images",
    "photos": "measure on photographs: enlarging colors along edges, what spoiled scans cost, memory",
    "validate": "check that evaluators see color: gain, hue, swapped colors, nonsense rows",
    "ceiling": "train a network that tells from gray images how colorful they were, to read |ΔCF| by",
    "release": "make the folder of a released model from a finished run",
    "evaluator": "train the CIFAR-10 classifier behind fd_cifar10",
}

_MODULES = {
    "report": "benchmarks.report",
    "validate": "benchmarks.evaluator.validate_options",
    "ceiling": "benchmarks.evaluator.ceiling_options",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Hand the command line over to the command that it names first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, help_text in COMMANDS.items():
        commands.add_parser(name, help=help_text, add_help=False)
    chosen, rest = parser.parse_known_args(arguments)
    import_module(_MODULES.get(chosen.command, f"benchmarks.{chosen.command}.options")).main(rest)


if __name__ == "__main__":
    main()
