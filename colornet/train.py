"""Train a colorizer: `accelerate launch -m colornet.train cgan --data sample`.

The configuration is parsed and checked before torch is imported: `--help` and mistakes are answered at once.
"""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import tyro

from colornet.command import exiting_on_errors, expand_home
from colornet.config import PRESETS, TrainConfig, check_config, levels_for
from colornet.data.listing import KNOWN_DATASETS, check_dataset
from colornet.environment import check_environment, is_quiet, launched_processes, read_launch
from colornet.errors import InputError, LostProcessError, PreemptedError
from colornet.runs.lock import check_run_dir
from colornet.runs.saved_config import check_init, load_config


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
    preempted, unheard, step = trainer.preempted, trainer.unheard, trainer.step
    del trainer
    accelerator.free_memory()
    accelerator.end_training()
    if unheard:
        raise BrokenPipeError(errno.EPIPE, "Nobody reads the output")
    if preempted:
        raise PreemptedError(f"Stopped by a signal after step {step}; continue with --resume auto.")


def parse(arguments: Sequence[str] | None = None, *, quiet: bool = False) -> TrainConfig:
    """Turn `PRESET --option value …` into a configuration; a mistyped option exits with code 2 and its near miss."""
    # No levels: they follow the size of the images, unless a preset has its own or the user gives some.
    presets = {
        name: (about, dataclasses.replace(preset, multipliers=() if preset.residual else preset.multipliers))
        for name, (about, preset, _) in PRESETS.items()
    }
    config: TrainConfig = tyro.extras.overridable_config_cli(
        presets, args=arguments, prog="colornet train", description=__doc__, console_outputs=not quiet
    )
    config = expand_home(config)
    run, levels = Path(config.run_dir), config.multipliers
    if not levels:
        resuming = config.resume == "auto" and (run / "config.json").is_file()
        levels = load_config(run).multipliers if resuming else levels_for(config.image_size)

    def absolute(path: str) -> str:
        return str(Path(path).absolute())

    # The paths that `config.json` keeps are complete: a run may be resumed from another folder.
    file, _, name = config.objective.rpartition(":")
    is_folder = config.data not in KNOWN_DATASETS and Path(config.data).is_dir()
    return dataclasses.replace(
        config,
        multipliers=levels,
        data=absolute(config.data) if is_folder else config.data,
        objective=f"{absolute(file)}:{name}" if file else config.objective,
        init_from=config.init_from and absolute(config.init_from),
    )


def check(config: TrainConfig) -> None:
    """Raise `InputError` for options that cannot be used, without importing torch or writing a file.

    A dry run may name the number of processes alone, in `WORLD_SIZE`.
    """
    check_environment(cpu=config.cpu)
    check_config(config, world_size=launched_processes() if config.dry_run else read_launch().processes)
    check_dataset(config.data)
    objective_file, _, _ = config.objective.rpartition(":")
    if objective_file and not Path(objective_file).is_file():
        raise InputError(f"--objective names the file {objective_file}, which does not exist: correct the path.")
    if not (Path(config.run_dir) / "checkpoints").exists():  # a resumed run no longer needs its origin
        check_init(config)
    check_run_dir(config)


if __name__ == "__main__":
    main()
