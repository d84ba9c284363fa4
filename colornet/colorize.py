"""Color photographs: `colornet colorize photos/ --out colored/`.

The colored copies are as large as the photographs and have their lightness; JPEG, PNG, WebP and TIFF keep their format,
others become PNG. Transparency, EXIF and resolution are kept, colors are sRGB at 8 bits.

Expect modest colors of a model that was trained on CIFAR-10, 32-pixel images of ten kinds of animals and vehicles: it
sees a photograph at that size, and colors what it does not know weakly or wrongly. For better colors, train on
photographs like yours at 64 to 256 pixels: `colornet train cgan --data FOLDER --image-size 128`, then `--model
runs/cgan`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro
from PIL import Image

from colornet.bar import Bar
from colornet.command import run_command
from colornet.config import require_option
from colornet.data.listing import iter_images, no_images
from colornet.errors import InputError, out_of_memory, printable
from colornet.files import check_writable, remove_leftovers, replacing, unwritable
from colornet.inference.onnx_model import OnnxModel, find_onnx
from colornet.inference.photos import MOST_SATURATION, colored_name, read_photo, to_image, write_photo
from colornet.runs.pretrained import find_model
from colornet.runs.saved_config import check_weights, load_config

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from colornet.inference.colorizer import Colorizer

_MOST_SAMPLES = 100
_COMPARED = 1024  # longer side of each half of a comparison, pixels


@dataclass(frozen=True)
class ColorizeConfig:
    """Which photographs are colored, and how."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]  # image files, or folders of them with all that is below
    out: Path  # folder of the colored copies, named and sorted into folders as the photographs are
    model: str = "cgan"  # released model (cgan or ae), folder of a run, hf:OWNER/NAME, or exported ONNX file
    saturation: float = 1.0  # factor on the chroma, 0 (gray) to 100; above 1 is more vivid than the model's colors
    samples: int = 1  # colorings of each photograph, NAME.1.png, NAME.2.png, …, at most 100, of a model with noise
    compare: bool = False  # also write NAME.compare.png: gray and colored side by side, 1024 pixels each
    skip_existing: bool = False  # continue an earlier call: keep what is in --out, and color what is missing
    force: bool = False  # overwrite what is in --out (photographs themselves are never overwritten)
    cpu: bool = False  # work on the CPU even where there is a GPU


class Job(NamedTuple):
    """A photograph, and the path of each of its colorings."""

    source: Path
    targets: tuple[Path, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and color; exit code 2 for mistakes of the user, 1 if a photograph cannot be colored."""
    run_command(ColorizeConfig, colorize, arguments, prog="colornet colorize", description=__doc__)


def colorize(config: ColorizeConfig) -> None:
    """Check the options, color the photographs and say how many failed, and why."""
    jobs = check(config)
    from colornet.inference.colorizer import Colorizer

    colorizer = Colorizer.load(config.model, "cpu" if config.cpu else None)
    failures, notes, kept = [], [], 0
    # One by one: decoding and encoding take the time, and memory holds one photograph.
    for job in Bar(jobs, desc="Coloring", unit="photo"):
        missing = [number for number, target in enumerate(job.targets) if any(_missing(config, target))]
        kept += not missing
        try:
            said = _color(colorizer, config, job, missing) if missing else []
        except (OSError, MemoryError, RuntimeError) as error:
            failures.append(f"error: '{job.source}': {_reason(error)}")
        else:
            notes += [f"note: '{job.source}': {note}" for note in said]
    there = f" {kept} more were there already." if kept else ""
    print(printable(f"{len(jobs) - kept - len(failures)} of {len(jobs)} colored, in {config.out}.{there}"))
    for line in (*notes, *failures):
        print(printable(line), file=sys.stderr)
    if failures:
        sys.exit(1)


def _color(colorizer: Colorizer, config: ColorizeConfig, job: Job, numbers: list[int]) -> list[str]:
    """Write the colorings of a photograph that have these numbers; return what is to be said about it."""
    photo = read_photo(job.source)
    notes: dict[str, None] = {}  # each said once
    if photo.page:
        notes[f"only {photo.page} is colored"] = None
    colorings = colorizer.colorings(photo.pixels, numbers, saturation=config.saturation)
    for number, rgb in zip(numbers, colorings, strict=True):
        target = job.targets[number]
        colored, compared = _missing(config, target)
        if colored and (left_out := write_photo(target, rgb, photo)):
            notes[f"what cannot be written was left out: {', '.join(left_out)}"] = None
        if compared:
            _compare(colorizer, rgb, _comparison(target))
    return list(notes)


def _missing(config: ColorizeConfig, target: Path) -> tuple[bool, bool]:
    """Tell whether a coloring and its comparison are to be written."""
    keep = config.skip_existing
    return not (keep and target.exists()), config.compare and not (keep and _comparison(target).exists())


def _reason(error: Exception) -> str:
    """Say why a photograph cannot be colored; raise errors that are not about it again."""
    if out_of_memory(error):
        return "there is not enough memory for its size"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    raise error


def check(config: ColorizeConfig) -> list[Job]:
    """Raise InputError for options that cannot be used, without importing torch; return the jobs."""
    require_option(0 <= config.saturation <= MOST_SATURATION, config, "saturation", f"from 0 to {MOST_SATURATION}")
    require_option(1 <= config.samples <= _MOST_SAMPLES, config, "samples", f"from 1 to {_MOST_SAMPLES}")
    if config.skip_existing and config.force:
        raise InputError("--skip-existing keeps what --force overwrites: choose one of them.")
    if not config.photos:
        raise InputError("No photograph is named: give image files or folders of them.")
    jobs = _plan(config)
    _check_targets(config, jobs)
    onnx = find_onnx(config.model)
    saved = load_config(check_model(config.model)) if onnx is None else None
    if config.samples > 1 and not (saved or OnnxModel(onnx or Path())).noise_channels:
        reason = f"the model '{config.model}' has no noise input and makes 1 coloring"
        advice = "train one with --noise-channels, or leave the option out"
        raise InputError(f"--samples is {config.samples}, but {reason}: {advice}.")
    _make_folder(config.out)
    for folder in {target.parent for job in jobs for target in job.targets}:
        remove_leftovers(folder)
    return jobs


def check_model(name: str) -> Path:
    """Return the folder of a released model or a run, without importing torch; raise InputError if it has none."""
    model = find_model(name)
    load_config(model)
    check_weights(model)
    return model


def _plan(config: ColorizeConfig) -> list[Job]:
    jobs = []
    numbers = [f".{number + 1}" for number in range(config.samples)] if config.samples > 1 else [""]
    for source, name in _find(config):
        path = config.out / colored_name(name)
        jobs.append(Job(source, tuple(path.with_name(f"{path.stem}{number}{path.suffix}") for number in numbers)))
    return list(dict.fromkeys(jobs))  # a photograph that is named twice is one


def _comparison(target: Path) -> Path:
    return target.with_name(f"{target.name}.compare.png")


def _find(config: ColorizeConfig) -> Iterator[tuple[Path, Path]]:
    """Yield every photograph and its path relative to the given folder."""
    out = _real(config.out)
    for given in config.photos:
        if given.is_file():
            yield given, Path(given.name)
            continue
        if not given.is_dir():
            problem = "is neither a file nor a folder" if given.exists() else "does not exist"
            raise InputError(f"'{given}' {problem}: give image files or folders of them.")
        folder = _real(given)
        if folder == out:
            raise InputError(f"--out {config.out} is a folder of photographs to color: choose another.")
        names = [Path(file.name) for file in iter_images(given)]
        if folder in out.parents:  # leave out what an earlier call wrote
            names = [name for name in names if out not in _real(given / name).parents]
        if not names:
            raise no_images(given)
        yield from ((given / name, name) for name in names)


def _real(path: Path) -> Path:
    """Resolve a path, as far as its links lead somewhere: `Path.resolve` raises an error for one that is circular."""
    return Path(os.path.realpath(path))


def _check_targets(config: ColorizeConfig, jobs: list[Job]) -> None:
    """Raise InputError if a file would be written twice, or one be lost."""
    if config.out.exists() and not config.out.is_dir():
        raise InputError(f"--out {config.out} is a file: choose a folder.")
    sources = {_real(job.source) for job in jobs}
    made_of: dict[str, Path] = {}  # by the names that the file system distinguishes by default
    existing = []
    for job in jobs:
        for target in (*job.targets, *(map(_comparison, job.targets) if config.compare else ())):
            name = str(target).casefold() if sys.platform in ("darwin", "win32") else str(target)
            if name in made_of:
                both = f"'{made_of[name]}' and '{job.source}' would both become '{target}'"
                raise InputError(f"{both}: color them in two calls with different --out.")
            if _real(target) in sources:
                raise InputError(f"'{target}' is a photograph to color: choose another --out, none is overwritten.")
            made_of[name] = job.source
            if target.exists():
                existing.append(target)
    if existing and not (config.force or config.skip_existing):
        exist = f"and {len(existing) - 1} more exist" if len(existing) > 1 else "exists"
        advice = "choose another --out, color what is missing with --skip-existing, or overwrite with --force"
        raise InputError(f"'{existing[0]}' {exist} already: {advice}.")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable("--out", folder, error) from error
    check_writable("--out", folder, folder)


def _compare(colorizer: Colorizer, rgb: NDArray[Any], path: Path) -> None:
    """Write a picture of colored pixels (H, W, 3) beside their gray version, which is that of the photograph."""
    colored = to_image(rgb, None)
    colored.thumbnail((_COMPARED, _COMPARED))
    pair = Image.new("RGB", (2 * colored.width, colored.height))
    pair.paste(colorizer.colorize(colored, saturation=0))
    pair.paste(colored, (colored.width, 0))
    with replacing(path) as temporary:
        pair.save(temporary)


if __name__ == "__main__":
    main()
