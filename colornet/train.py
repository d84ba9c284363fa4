"""Train a colorizer: `accelerate launch -m colornet.train cgan --data sample`.

`--config RUN/config.json` in place of the preset starts from the options of another run; others replace them.
"""

# The configuration is parsed and checked before torch is imported: `--help` and mistakes are answered at once.

from __future__ import annotations

import argparse
import dataclasses
import errno
import importlib.util
import json
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, get_type_hints

import tyro

from colornet.command import choose_command, exiting_on_errors, expand_home
from colornet.config import PRESETS, check_config
from colornet.config.options import (
    DataOptions,
    NetworkOptions,
    ObjectiveOptions,
    OptimizationOptions,
    RunOptions,
    TrainConfig,
)
from colornet.data.count import check_batch, count_images
from colornet.data.listing import KNOWN_DATASETS, check_dataset
from colornet.defaults import settle
from colornet.environment import check_environment, is_quiet, launched_processes, read_launch
from colornet.errors import InputError, LostProcessError, PreemptedError, printable
from colornet.files import check_utf8
from colornet.runs.lock import check_run_dir
from colornet.runs.pretrained import check_init, find_model, is_model_name
from colornet.runs.saved_config import load_config

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train; mistakes of the user end in one sentence and exit code 2."""
    # All processes find the same mistakes; one process of each machine, whose files may differ, prints them.
    quiet = is_quiet()
    console = logging.StreamHandler()
    console.setLevel(logging.CRITICAL if quiet else logging.WARNING)
    logging.basicConfig(format="%(message)s", handlers=[console])
    with exiting_on_errors(quiet=quiet):
        config = parse(arguments, quiet=quiet)
        check(config)
        if config.dry_run:
            sizes = count_images(config.data, image_size=config.image_size, cache_dir=config.cache_dir)
            counts = ", ".join(f"{count:,} {part}" for part, count in sizes.items())
            logger.warning("%s: %s images, none of which was decoded.", printable(config.data), counts)
            print(json.dumps(dataclasses.asdict(config), indent=2))
            return
        train(config)


def train(config: TrainConfig) -> None:
    """Train as the configuration says, on all processes that were launched."""
    # Imported late: --help and mistakes do not wait the seconds that importing torch takes.
    from torch.distributed import DistError

    from colornet.training.build import compose_trainer

    trainer = None
    try:
        trainer = compose_trainer(config)
        trainer.fit()
    except RuntimeError as error:
        if not isinstance(error, DistError) and "gloo/transport" not in str(error):  # gloo raises plain ones
            raise
        where = f"at step {trainer.step}" if trainer is not None else "before its first step"
        stopped = f"Process {os.environ.get('RANK', '0')} stops {where}"
        reason = "another one has ended or cannot be reached; --resume auto continues from the last checkpoint"
        raise LostProcessError(f"{stopped}, because {reason}.") from error
    # Delete DDP before its process group. Otherwise DDP's destructor destroys the group, and holds Python's lock while
    # it waits for a gloo thread that may need the lock (a deadlock at exit, seen with torch 2.11).
    accelerator = trainer.accelerator
    preempted, unheard, step = trainer.preempted, trainer.console.closed, trainer.step
    del trainer
    accelerator.free_memory()
    accelerator.end_training()
    if unheard:
        raise BrokenPipeError(errno.EPIPE, "Nobody reads the output")
    if preempted:
        raise PreemptedError(f"Stopped by a signal after step {step}; continue with --resume auto.")


@dataclasses.dataclass(frozen=True)
class _Groups:
    """The options of a `TrainConfig` as `--help` groups them."""

    data: DataOptions
    network: NetworkOptions
    objective: ObjectiveOptions
    optimization: OptimizationOptions
    run: RunOptions

    @classmethod
    def of(cls, config: TrainConfig) -> _Groups:
        def part(options: Any) -> Any:
            return options(**{field.name: getattr(config, field.name) for field in dataclasses.fields(options)})

        return cls(**{name: part(options) for name, options in get_type_hints(cls).items()})

    def join(self) -> TrainConfig:
        return TrainConfig(**{name: value for part in vars(self).values() for name, value in vars(part).items()})


def parse(arguments: Sequence[str] | None = None, *, quiet: bool = False) -> TrainConfig:
    """Turn `PRESET --option value …` into a configuration; what is mistyped exits with code 2 and its near miss.

    Options that are not given follow the others (`settle`). `--config RUN` in place of the preset takes all options of
    another run but for its folder.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    start, rest = _split_config(arguments)
    preset = None
    if start is None:
        begin, rest = _choose_preset(rest, quiet=quiet)
        preset = PRESETS[begin]
        about, default = preset.about, preset.config
    else:
        begin, default = f"--config {printable(start)}", _config_of(start)
        about = "Train with the options of another run; those that are given replace them."
    groups = tyro.cli(
        tyro.conf.OmitArgPrefixes[_Groups],
        default=_Groups.of(default),
        args=rest,
        prog=f"colornet train {begin}",
        description=about,
        console_outputs=not quiet,
        config=(tyro.conf.AvoidSubcommands,),
    )
    config = _complete_paths(expand_home(groups.join()))
    return settle(config, preset, _given(rest)) if preset else config


def _complete_paths(config: TrainConfig) -> TrainConfig:
    """Make the paths that `config.json` keeps absolute: a run may be resumed from another folder."""

    def absolute(path: str) -> str:
        return str(Path(path).absolute())

    file, _, name = config.objective.rpartition(":")
    is_folder = config.data not in KNOWN_DATASETS and Path(config.data).is_dir()
    init_from = config.init_from
    return dataclasses.replace(
        config,
        data=absolute(config.data) if is_folder else config.data,
        objective=f"{absolute(file)}:{name}" if file else config.objective,
        init_from=absolute(init_from) if init_from and not is_model_name(init_from) else init_from,
    )


def _choose_preset(arguments: Sequence[str], *, quiet: bool) -> tuple[str, list[str]]:
    """Return the preset that a command line names first, and its options."""
    parser = argparse.ArgumentParser(
        prog="colornet train",
        description=__doc__,
        epilog="`colornet train PRESET --help` lists the options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    with ExitStack() as stack:
        if quiet:  # which argparse cannot be told
            nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        return choose_command(parser, {name: preset.about for name, preset in PRESETS.items()}, arguments, "preset")


def _split_config(arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the value of `--config` on a command line, None if there is none, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--config")
    try:
        known, rest = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError as error:
        raise InputError("--config needs a value: the folder of a run, or its config.json.") from error
    if known.config is not None and (named := [word for word in rest if word in PRESETS][:1]) and rest[:1] == named:
        raise InputError(f"--config takes the place of the preset {named[0]}: leave one of the two out.")
    return known.config, rest


def _config_of(start: str) -> TrainConfig:
    """Return the options of a run, or of a released model, to begin another with; its folder must be given."""
    path = Path(start)
    saved = load_config(find_model(path.parent if path.name == "config.json" else start), resuming=True)
    return dataclasses.replace(saved, run_dir=tyro.MISSING, resume="never", dry_run=False, max_steps=None)


def _given(arguments: Sequence[str]) -> set[str]:
    """Return the names of the options of a command line that was parsed: those of --no-flip, too."""
    words = {word[2:].partition("=")[0].replace("-", "_") for word in arguments if word.startswith("--")}
    return words | {word.removeprefix("no_") for word in words}


def check(config: TrainConfig) -> None:
    """Raise `InputError` for options that cannot be used, without importing torch or writing a file.

    A dry run may name the number of processes alone, in `WORLD_SIZE`.
    """
    check_environment(cpu=config.cpu)
    check_config(config, world_size=launched_processes() if config.dry_run else read_launch().processes)
    for name in config.track:
        if importlib.util.find_spec(name) is None:
            raise InputError(f"--track {name} needs a package that is missing: install it with `pip install {name}`.")
    check_dataset(config.data)
    enough = 2 * config.batch_size + 10
    found = count_images(config.data, image_size=config.image_size, at_most=enough, cache_dir=config.cache_dir)
    check_batch(config.batch_size, found["train"])
    objective_file, _, _ = config.objective.rpartition(":")
    if objective_file and not Path(objective_file).is_file():
        raise InputError(f"--objective names the file {objective_file}, which does not exist: correct the path.")
    check_utf8(config.run_dir)
    if not (Path(config.run_dir) / "checkpoints").exists():  # a resumed run no longer needs its origin
        check_init(config)
    check_run_dir(config)


if __name__ == "__main__":
    main()
