"""Publish a run as a model of the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.hub import HubName, explained_errors, is_hub_name, parse_hub_name, short_data_name
from colornet.runs.model_card import MEASURES
from colornet.runs.run import Run

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

CIFAR10 = "uoft-cs/cifar10"  # on the Hub

_LOCAL = "path/to/this/folder"  # what a card of training says to load


def check_finished(path: Path) -> Run:
    """Return the run of a folder whose training has ended; InputError for any other. Torch is not imported."""
    run = Run(path)
    if run.config and run.step is None:
        raise InputError(f"{run.weights} does not say after how many steps it was saved: name the run that trained it.")
    if not (path / "README.md").is_file():
        card = "which training writes when it ends"
        raise InputError(f"{path} has no README.md, {card}: let it finish, with --resume auto if it was stopped.")
    return run


def publishable(config: TrainConfig, name: str) -> TrainConfig:
    """Return the configuration of a run without the folders of the machine that trained it."""
    return dataclasses.replace(
        config,
        data=short_data_name(config.data),
        objective=Path(config.objective).name,
        run_dir=name,
        cache_dir=None,
        init_from=config.init_from and Path(config.init_from).name,
    )


def without_folders(text: str) -> str:
    """Shorten absolute paths in a command to their last part: they mean nothing on another machine."""
    return re.sub(r"(?<![^\s='\"`])/(?:[^\s'\"`]*/)?", "", text)


def card_for_hub(run: Run, repo: str, license: str | None) -> str:
    """Return the model card of a finished run with the metadata that the Hub shows: license, data and results."""
    from huggingface_hub import ModelCard

    card = ModelCard((run.path / "README.md").read_text(encoding="utf-8"), ignore_metadata_errors=True)
    card.data = _metadata(run, card.data.to_dict(), repo, license)
    lines = card.content.replace(f'"{_LOCAL}"', f'"hf:{repo}"').splitlines(keepends=True)
    return "".join(without_folders(line) if line.startswith("- step ") else line for line in lines)


def _metadata(run: Run, written: dict[str, Any], repo: str, license: str | None) -> ModelCardData:
    """Return the metadata of a card: what is `written` in it, and what the run tells."""
    from huggingface_hub import EvalResult, ModelCardData

    data, last = run.config.data, (run.validations or [{}])[-1]
    dataset = parse_hub_name(data).repo if is_hub_name(data) else CIFAR10 if data == "cifar10" else None
    results = [
        EvalResult(
            task_type="image-to-image",
            task_name="Image colorization",
            dataset_type=dataset or short_data_name(data),
            dataset_name=short_data_name(data),
            dataset_split="validation",
            metric_type=name,
            metric_name=label.replace("\\", ""),
            metric_value=last[f"validation/{name}"],
        )
        for name, label in MEASURES.items()
        if f"validation/{name}" in last and name != "cf_truth"
    ]
    written.pop("model-index", None)  # of an earlier card
    added: dict[str, Any] = {
        "license": license,
        "datasets": dataset and [dataset],
        "model_name": repo.partition("/")[2],
        "eval_results": results or None,
    }
    return ModelCardData(**written | {name: value for name, value in added.items() if value})


def push(run: Run, repo: str, *, license: str | None, private: bool) -> str:
    """Publish a finished run as a model of the Hub, in one commit, and return its address.

    The repository is made if it is missing, and keeps its other files and its history. Raises InputError if the Hub
    refuses it.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    name = repo.partition("/")[2]
    config = json.dumps(dataclasses.asdict(publishable(run.config, name)), indent=2) + "\n"
    contents: dict[str, bytes | Path] = {
        "README.md": card_for_hub(run, repo, license).encode(),
        "config.json": config.encode(),
        "model.safetensors": run.weights,
    }
    with explained_errors("Model", HubName(repo, None)):
        api = HfApi()
        address = api.create_repo(repo, private=private or None, exist_ok=True)
        operations = [CommitOperationAdd(file, content) for file, content in contents.items()]
        api.create_commit(repo, operations, commit_message=f"Upload {name} after step {run.step}")
    return str(address)
