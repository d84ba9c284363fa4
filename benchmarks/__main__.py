"""`python -m benchmarks COMMAND …`: measure quality and speed, report, and train the evaluator network."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.core.command import Command, run
from colornet.command import choose_command

# Only this module names both the options and the measurement of a benchmark.
COMMANDS = {
    "quality": Command(
        "compare runs on held-out images: FID, our own distances, colorfulness and the rest",
        report="quality.report.section", record="quality.json",
        beside=("quality.png", "quality.safetensors"), distributed=True,
    ),
    "agreement": Command("check that compiled, bf16 and whole training steps compute what plain ones do"),
    "throughput": Command("time training steps and inference against the original notebooks' pipeline"),
    "inference": Command("time coloring small images in batches against a loop over single images"),
    "scaling": Command("time training on several numbers of processes and predict more of them"),
    "growth": Command("time training on more images than memory holds: in memory, mapped, streamed"),
    "speedrun": Command("time our training until it reaches the error of the notebooks' autoencoder, or a quality"),
    "report": Command("make a page and tables of the results", measure="report.page:write"),
    "tables": Command(
        "write the tables of the documents from the committed results",
        "report.tables_options", "report.documents:write",
    ),
    "ablation": Command(
        "train variants of the recipe and compare them on the validation images", record="ablation.json"
    ),
    "photos": Command("measure on photographs: upsampling of colors, degraded scans, memory"),
    "validate": Command(
        "check that measures and evaluator networks see color: gain, hue, swapped colors, sanity-check baselines",
        "evaluator.validate_options", "evaluator.validate:measure", "evaluator.report", "validation.json",
    ),
    "ceiling": Command(
        "train a network that predicts colorfulness and class from gray images, to read |ΔCF| by",
        "evaluator.ceiling_options", "evaluator.ceiling:measure", "evaluator.report",
    ),
    "evaluator": Command("train the CIFAR-10 classifier behind fd_cifar10", measure="evaluator.train:train_evaluator"),
    "release": Command("make the folder of a released model from a finished run", measure="release.package:release"),
    "kills": Command(
        "kill trainings at random moments, resume them, and compare with an uninterrupted one",
        "reliability.kills_options", "reliability.kills:measure", "reliability.report",
    ),
    "machines": Command(
        "train on several machines, network namespaces of this one, and disturb them",
        "reliability.machines_options", "reliability.machines:measure", "reliability.report",
    ),
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the command line names first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    name, rest = choose_command(parser, {name: command.help for name, command in COMMANDS.items()}, arguments)
    run(name, COMMANDS[name], rest)


if __name__ == "__main__":
    main()
