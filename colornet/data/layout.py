"""Which subfolders of a folder of images hold its training, validation and test images."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path

from colornet.errors import InputError, printable

# The names of the parts, in any case: those of Keras, PyTorch, ImageNet, Kaggle and papers.
_NAMES = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "valid", "val", "evaluation", "eval", "dev"),
}
_PART_OF = {name: part for part, names in _NAMES.items() for name in names}
_ALMOST = _PART_OF | {"trn": "train", "tst": "test", "holdout": "test", "heldout": "test", "unseen": "test",
                      "validate": "validation", "development": "validation"}  # fmt: skip
_ADDED = r"(s|set|sets|data|dataset|split|images|imgs|img|photos|pictures|folder)"  # trainset, test_images
_SIMILAR = 0.85  # of difflib: one letter more or less. Replaced letters mostly make other words: trail, brain, text

# Folders of thumbnails, resource forks and deleted files, which network storage and file managers make.
_FOREIGN = {"@eadir", "__macosx", "#recycle", "@recycle", "#snapshot", "@recently-snapshot", "$recycle.bin",
            "system volume information", "lost+found"}  # fmt: skip

_SHOWN = 20  # subfolders that are named in a description


def is_foreign(name: str) -> bool:
    """Tell whether a file or folder of that name is hidden, or a folder that a program made for itself."""
    return name.startswith(".") or name.casefold() in _FOREIGN or name.casefold().endswith(".lrdata")


def part_folders(folder: Path) -> dict[str, str]:
    """Return the subfolders of the parts `train`, `test` and, if there is one, `validation`; {"all": ""} if undivided.

    The parts may have any of the usual names, in any case. A validation folder without a test folder (the layout of
    ImageNet) is the test set, on which results are reported. Raises InputError for a folder that cannot be listed, and
    where it is not certain what a subfolder is: otherwise, images that are held out would be trained on.
    """
    names = _subfolders(folder)
    each = {part: [name for name in names if _PART_OF.get(name.casefold()) == part] for part in _NAMES}
    found = {part: given for part, given in each.items() if given}
    _check(folder, names, found)
    if "train" not in found or len(found) == 1:
        _check_depth(folder, names)
        return {"all": ""}
    if "test" not in found:
        found["test"] = found.pop("validation")
    return {part: found[part][0] for part in ("train", "test", "validation") if part in found}


def describe(folder: Path, below: dict[str, str], sizes: dict[str, int]) -> str | None:
    """Say what becomes of every subfolder, given the subfolders of `part_folders` and the images of the parts."""
    counts = {part: f"{size:,} for {part}" for part, size in sizes.items()}
    names, hidden = _subfolders(folder), _subfolders(folder, foreign=True)
    if not names and not hidden:
        return None
    if "all" in below:
        listed = ", ".join(map(repr, names[:_SHOWN]))
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        divided = f", of all its subfolders ({listed}{more})" if names else ""
        text = f"its images{divided} are divided, {', '.join(counts.values())}"
    else:
        text = ", ".join(f"{below[part]!r} holds {counts[part]}" for part in below)
        if "validation" not in below:
            text += f", {below['train']!r} also {counts['validation']}"
        hidden = [*(name for name in names if name not in below.values()), *hidden]
        text += ", images beside these folders are not used"
    unused = f"; not used: {', '.join(map(repr, hidden[:_SHOWN]))}" if hidden else ""
    return printable(f"Folder '{folder}': {text}{unused}.")


def _subfolders(folder: Path, *, foreign: bool = False) -> list[str]:
    """List the subfolders that hold images, or those of other programs that are not hidden."""
    try:
        with os.scandir(folder) as scan:
            names = [entry.name for entry in scan if Path(entry.path).is_dir() and entry.name[0] != "."]
    except OSError as error:
        raise not_readable(folder, error) from error
    return sorted(name for name in names if is_foreign(name) == foreign)


def not_readable(folder: Path, error: OSError) -> InputError:
    """Return the error for a folder that cannot be listed."""
    return InputError(f"Folder '{folder}' cannot be read ({error.strerror}): check its permissions.")


def _check(folder: Path, names: list[str], found: dict[str, list[str]]) -> None:
    """Raise InputError for subfolders that are doubtful: two of a part, a near miss, no training images."""
    rename = "rename it to 'train', 'validation' or 'test', or, if it is none of them, to something else"
    for part, given in found.items():
        if len(given) > 1:
            both = " and ".join(map(repr, given))
            raise _doubt(folder, f"holds {both}, which both mean {part}: keep one of them in it")
    certain = [name for given in found.values() for name in given]
    near = {name: like for name in names if name not in certain and (like := _resembled(name))}
    if near and (found or len(set(near.values())) > 1):
        name = next(iter(near))
        other = (certain or list(near)[1:])[0]
        raise _doubt(folder, f"holds '{name}' beside '{other}', which is almost the name of a part: {rename}")
    if found and "train" not in found and len(names) > 1:
        raise _doubt(folder, f"holds '{certain[0]}' but no folder 'train': name the one with the training images so")
    if len({(folder / name).resolve() for name in certain}) < len(certain):
        raise _doubt(folder, f"holds one folder under two names among {', '.join(map(repr, certain))}: remove one")


def _check_depth(folder: Path, names: list[str]) -> None:
    """Raise InputError where a subfolder is divided into parts, and the folder is not."""
    for name in names:
        below = {_PART_OF.get(inner.casefold()) for inner in _subfolders(folder / name)} - {None}
        if "train" in below and len(below) > 1:
            advice = f"give '{folder / name}', or sort the parts first and the classes below them (train/cat)"
            raise _doubt(folder, f"is not divided, but its subfolder '{name}' is: {advice}")


def _doubt(folder: Path, what: str) -> InputError:
    return InputError(f"Folder '{folder}' {what}.")


def _resembled(name: str) -> str | None:
    """Return the part whose name a subfolder almost has: train2017, my-test, Trainset, vaild; None if none."""
    words = re.findall(r"[a-z]+", name.casefold())
    joined = "".join(words)
    forms = {*words, joined, re.sub(_ADDED + "$", "", joined)}
    return next((part for known, part in _ALMOST.items() if any(_alike(form, known) for form in forms)), None)


def _alike(form: str, known: str) -> bool:
    if len(known) < 4 or len(form) < 3:
        return form == known
    swapped = sorted(form) == sorted(known)
    return swapped or difflib.SequenceMatcher(None, form, known).ratio() >= _SIMILAR
