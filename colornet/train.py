"""Train a colorizer: `accelerate launch -m colornet.train cgan --data sample`.

The configuration is parsed and checked before torch is imported: `--help` and mistakes are answered at once.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import tyro

from colornet.command import exiting_on_errors
from colornet.config import TrainConfig, check_config, check_init, differences, levels_for, load_config
from colornet.data.listing import KNOWN_DATASETS, check_dataset
from colornet.errors import InputError, LostProcessError, PreemptedError
from colornet.presets import PRESETS

__all__ = ["check", "main", "parse", "train"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and train; mistakes of the user end in one sentence and exit code 2."""
    # Every process comes to the same conclusions; one of each machine, whose files may differ, says so.
    quiet = os.environ.get("LOCAL_RANK", os.environ.get("RANK", "0")) != "0"
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
    # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
    from colornet.training.build import compose_trainer

    trainer = None
    try:
        trainer = compose_trainer(config)
        trainer.fit()
    except RuntimeError as error:
        if not _is_lost_connection(error):
            raise
        where = f"at step {trainer.step}" if trainer is not None else "before its first step"
        raise LostProcessError(
            f"Process {os.environ.get('RANK', '0')} stops {where}, because another one has ended or cannot be reached; "
            "--resume auto goes on from the last checkpoint."
        ) from error
    # DDP goes before its process group. The other way round, the group is torn down by DDP's destructor, which holds
    # Python's lock while it waits for a gloo thread that may want it (a deadlock at exit, seen with torch 2.11).
    accelerator = trainer.accelerator
    preempted = f"Stopped by a signal after step {trainer.step}; --resume auto goes on." if trainer.preempted else None
    del trainer
    accelerator.free_memory()
    accelerator.end_training()
    if preempted:
        raise PreemptedError(preempted)


def _is_lost_connection(error: RuntimeError) -> bool:
    """Say whether an error comes from what connects the processes; gloo's have no type of their own."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or "gloo/transport" in str(error)


def parse(arguments: Sequence[str] | None = None, *, quiet: bool = False) -> TrainConfig:
    """Turn `PRESET --option value …` into a configuration; a mistyped option exits with code 2 and its near miss."""
    # Nothing stands for levels that follow the size of the images, unless a preset has its own or the user names some.
    presets = {
        name: (about, dataclasses.replace(preset, multipliers=() if preset.residual else preset.multipliers))
        for name, (about, preset) in PRESETS.items()
    }
    config: TrainConfig = tyro.extras.overridable_config_cli(
        presets, args=arguments, prog="python -m colornet.train", description=__doc__, console_outputs=not quiet
    )
    if not config.multipliers:
        run = Path(config.run_dir)
        going_on = config.resume == "auto" and (run / "config.json").is_file()
        levels = load_config(run).multipliers if going_on else levels_for(config.image_size)
        config = dataclasses.replace(config, multipliers=levels)
    if config.init_from is not None:
        config = dataclasses.replace(config, init_from=str(Path(config.init_from).expanduser().absolute()))
    folder = Path(config.data).expanduser()
    if config.data in KNOWN_DATASETS or not folder.is_dir():
        return config
    return dataclasses.replace(config, data=str(folder.absolute()))  # a resume may start from elsewhere


def check(config: TrainConfig) -> None:
    """Raise `InputError` for whatever would stop the run, without importing torch or touching a file."""
    check_config(config, world_size=int(os.environ.get("WORLD_SIZE", "1")))
    check_dataset(config.data)
    run_dir = Path(config.run_dir)
    if not (run_dir / "checkpoints").exists():  # a run that goes on needs its origin no more
        check_init(config)
    if not run_dir.exists():
        parent = next(folder for folder in run_dir.absolute().parents if folder.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise InputError(f"--run-dir {run_dir} cannot be made in {parent}: choose a folder that you may write to.")
        return
    if not run_dir.is_dir():
        raise InputError(f"--run-dir {run_dir} is a file: choose a folder.")
    if not any(run_dir.iterdir()):
        return
    if config.resume == "never":
        raise InputError(
            f"--run-dir {run_dir} is not empty: --resume auto goes on with its run; or choose another folder."
        )
    if changed := differences(load_config(run_dir), config):
        raise InputError(
            f"{run_dir} holds a run with another configuration ({'; '.join(changed)}): "
            "use its values to go on with it, or choose another --run-dir."
        )


if __name__ == "__main__":
    main()
