"""`python -m benchmarks COMMAND …`: measure quality and speed, report, and train the evaluator network.

The one place that knows both the options and the measurement of a benchmark, by name.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks.core.command import Command, run

COMMANDS = {
    "quality": Command(
        "compare runs on held-out images: FID, our own distances, colorfulness and the rest",
        options="benchmarks.quality.options:QualityOptions",
        measure="benchmarks.quality.measure:measure",
        report="benchmarks.quality.report.section",
        record="quality.json",
    ),
    "throughput": Command(
        "time training steps and inference against the original notebooks' pipeline",
        options="benchmarks.throughput.options:ThroughputOptions",
        measure="benchmarks.throughput.measure:measure",
        report="benchmarks.throughput.report",
    ),
    "inference": Command(
        "time coloring small images in batches against a loop over single images",
        options="benchmarks.inference.options:InferenceOptions",
        measure="benchmarks.inference.measure:measure",
        report="benchmarks.inference.report",
    ),
    "scaling": Command(
        "time training on several numbers of processes and predict more of them",
        options="benchmarks.scaling.options:ScalingOptions",
        measure="benchmarks.scaling.measure:measure",
        report="benchmarks.scaling.report",
    ),
    "growth": Command(
        "time training of wider networks, with larger batches, on more images than memory holds",
        options="benchmarks.growth.options:GrowthOptions",
        measure="benchmarks.growth.measure:measure",
        report="benchmarks.growth.report",
    ),
    "speedrun": Command(
        "time our training until it reaches the error of the original notebooks' autoencoder",
        options="benchmarks.speedrun.options:SpeedrunOptions",
        measure="benchmarks.speedrun.measure:measure",
        report="benchmarks.speedrun.report",
    ),
    "report": Command(
        "make a page and tables of the results",
        options="benchmarks.report.options:ReportOptions",
        measure="benchmarks.report.page:write",
        report="",
    ),
    "ablation": Command(
        "train variants of the recipe and compare them on the validation images",
        options="benchmarks.ablation.options:AblationOptions",
        measure="benchmarks.ablation.measure:measure",
        report="benchmarks.ablation.report",
        record="ablation.json",
    ),
    "photos": Command(
        "measure on photographs: upsampling of colors, degraded scans, memory",
        options="benchmarks.photos.options:PhotosOptions",
        measure="benchmarks.photos.measure:measure",
        report="benchmarks.photos.report",
    ),
    "validate": Command(
        "check that evaluator networks see color: gain, hue, swapped colors, sanity-check baselines",
        options="benchmarks.evaluator.options:ValidateOptions",
        measure="benchmarks.evaluator.validate:measure",
        report="benchmarks.evaluator.report",
        record="validation.json",
    ),
    "ceiling": Command(
        "train a network that predicts colorfulness and class from gray images, to read |ΔCF| by",
        options="benchmarks.evaluator.options:CeilingOptions",
        measure="benchmarks.evaluator.ceiling:measure",
        report="benchmarks.evaluator.report",
    ),
    "evaluator": Command(
        "train the CIFAR-10 classifier behind fd_cifar10",
        options="benchmarks.evaluator.options:EvaluatorOptions",
        measure="benchmarks.evaluator.train:train_evaluator",
        report="",
    ),
    "release": Command(
        "make the folder of a released model from a finished run",
        options="benchmarks.release.options:ReleaseOptions",
        measure="benchmarks.release.package:release",
        report="",
    ),
    "kills": Command(
        "kill trainings at random moments, resume them, and compare with an uninterrupted one",
        options="benchmarks.reliability.options:KillsOptions",
        measure="benchmarks.reliability.kills:measure",
        report="benchmarks.reliability.report",
    ),
    "machines": Command(
        "train on several machines, network namespaces of this one, and disturb them",
        options="benchmarks.reliability.options:MachinesOptions",
        measure="benchmarks.reliability.machines:measure",
        report="benchmarks.reliability.report",
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Hand the command line over to the command that it names first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.help, add_help=False)
    chosen, rest = parser.parse_known_args(arguments)
    run(chosen.command, COMMANDS[chosen.command], rest)


if __name__ == "__main__":
    main()
