"""Reach the Hugging Face Hub: `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION` names a model or a data set there.

Downloads go to the Hub's own cache; HF_ENDPOINT, HF_HUB_OFFLINE, HF_HOME and HF_TOKEN are honored. Without torch.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeGuard

from colornet.errors import InputError

PREFIX = "hf:"

_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"
_REFUSED = {401: "rejects your token, or got none", 403: "does not permit this with your token"}


class HubName(NamedTuple):
    """A repository of the Hub, OWNER/NAME, and a branch, tag or commit of it; None is the main branch."""

    repo: str
    revision: str | None


def is_hub_name(name: str | os.PathLike[str]) -> TypeGuard[str]:
    """Tell whether a name means something on the Hub; a folder of that name is meant by ./hf:…"""
    return isinstance(name, str) and name.startswith(PREFIX)


def parse_hub_name(name: str) -> HubName:
    """Read `hf:OWNER/NAME@REVISION`; InputError for anything else."""
    repo, separator, revision = name.removeprefix(PREFIX).partition("@")
    part = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
    whole = re.fullmatch(f"{part}/{part}", repo) and "--" not in repo and ".." not in repo
    if not whole or bool(separator) != bool(revision):
        raise InputError(
            f"{name!r} names nothing on the Hugging Face Hub: write hf:OWNER/NAME or hf:OWNER/NAME@REVISION."
        )
    return HubName(repo, revision or None)


def short_data_name(data: str) -> str:
    """Return how a data set is called outside this machine: without the folders above it."""
    return data if is_hub_name(data) else Path(data).name


def repo_of(folder: Path) -> str | None:
    """Return OWNER/NAME of a model whose folder is in the Hub's cache, where it is called by its commit; else None."""
    above = folder.parents[1].name if folder.parent.name == "snapshots" else ""
    return above.removeprefix("models--").replace("--", "/") if above.startswith("models--") else None


def download_file(name: HubName, file: str) -> Path:
    """Download a file of a model, unless the cache has it; InputError if that is not possible."""
    from huggingface_hub import hf_hub_download

    with explained_errors("Model", name):
        return Path(hf_hub_download(name.repo, file, revision=name.revision))


def download_dataset(name: HubName, patterns: Sequence[str], *, progress: bool) -> Path:
    """Download those files of a data set whose names fit a pattern, and return their folder.

    Raises InputError if that is not possible.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    if not (progress and sys.stderr is not None and sys.stderr.isatty()):
        disable_progress_bars()
    try:
        with explained_errors("Data set", name):
            folder = snapshot_download(
                name.repo, repo_type="dataset", revision=name.revision, allow_patterns=list(patterns)
            )
        return Path(folder)
    finally:
        if shown:
            enable_progress_bars()


@contextmanager
def explained_errors(kind: Literal["Model", "Data set"], name: HubName) -> Iterator[None]:
    """Turn the errors of huggingface_hub into an InputError of one sentence; those of the disk pass."""
    from huggingface_hub import constants, errors

    what, endpoint = f"{kind} '{PREFIX}{name.repo}'", constants.ENDPOINT
    network_error: Any = errors.HfHubHTTPError.__bases__[0]  # of httpx or its successor, depending on the version
    try:
        yield
    except errors.GatedRepoError as error:
        raise InputError(f"{what} is gated: ask for access on its page, and {_LOG_IN}.") from error
    except errors.RevisionNotFoundError as error:
        raise InputError(
            f"{what} has no revision '{name.revision or 'main'}': see the branches on its page."
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise InputError(f"{what} holds no {_file_of(error)}: it is no run of colornet.") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{what} does not exist at {endpoint}, or is private: check its name, or {_LOG_IN}."
        ) from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        if constants.HF_HUB_OFFLINE:
            advice = "unset HF_HUB_OFFLINE to download it"
            raise InputError(f"{what} is not in the cache of the Hub, and HF_HUB_OFFLINE is set: {advice}.") from error
        reason = _reason(error.__cause__ or error)
        raise InputError(
            f"{what} is not in the cache, and {endpoint} cannot be reached ({reason}): try later."
        ) from error
    except errors.LocalTokenNotFoundError as error:
        raise InputError(f"{what} needs a token: {_LOG_IN}.") from error
    except errors.HfHubHTTPError as error:
        asked = what[0].lower() + what[1:]
        if refused := _REFUSED.get(error.response.status_code):
            raise InputError(f"{endpoint} {refused}, for {asked}: {_LOG_IN}.") from error
        raise InputError(f"{endpoint} cannot serve {asked} ({_reason(error)}): try later.") from error
    except RuntimeError as error:
        if not isinstance(error.__cause__, network_error):
            raise
        raise InputError(f"{endpoint} does not take the upload ({_reason(error.__cause__)}): try again.") from error
    except network_error as error:
        raise InputError(f"{endpoint} cannot be reached ({_reason(error)}): try again with a connection.") from error


def _file_of(error: Exception) -> str:
    """Name the file that an error of the Hub is about."""
    response = getattr(error, "response", None)
    return str(response.url).partition("?")[0].rpartition("/")[2] if response is not None else "such file"


def _reason(error: BaseException) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    return str(error).partition("\n")[0].rstrip(".") or type(error).__name__
