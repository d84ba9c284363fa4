"""Color photographs: `colornet colorize photos/ --out colored/`.

The colored copies are as large as the photographs and have their lightness; JPEG, PNG, WebP and TIFF stay what they
are, other formats become PNG. Transparency, EXIF and resolution are kept, colors are sRGB at 8 bits.

Expect modest colors of a model that was trained on CIFAR-10, 32-pixel images of ten kinds of animals and vehicles: it
sees a photograph at that size, and what it does not know stays pale or turns out wrong. For more, train on photographs
like yours at 64 to 256 pixels: `colornet train cgan --data FOLDER --image-size 128`, then `--model runs/cgan`.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from colornet.data.listing import iter_images
from colornet.errors import InputError, exiting_on_errors, printable
from colornet.files import replacing
from colornet.inference.onnx_model import find_onnx
from colornet.inference.photos import colored_name, read_photo, to_image, write_photo
from colornet.runs.pretrained import find_model
from colornet.runs.saved_config import load_config

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ColorizeConfig", "Job", "check", "check_model", "main"]

_COMPARED = 1024  # longer side of each half of a comparison, pixels


@dataclass(frozen=True)
class ColorizeConfig:
    """Which photographs are colored, and how."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]  # image files, or folders of them with all that is below
    out: Path  # folder of the colored copies, named and sorted into folders as the photographs are
    model: str = "cgan"  # released model (cgan or ae), the folder of a run, or an exported ONNX file
    saturation: float = 1.0  # factor on the chroma: 0 is gray, above 1 is more vivid than the model says
    samples: int = 1  # colorings of each photograph, NAME.1.png, NAME.2.png, …, of a model with a noise input
    compare: bool = False  # also write NAME.compare.png: gray and colored side by side, 1024 pixels each
    force: bool = False  # overwrite what is in --out (photographs themselves are never overwritten)
    cpu: bool = False  # work on the CPU even where there is a GPU


class Job(NamedTuple):
    """A photograph, where its colored copy goes, and where their comparison goes if there is to be one.

    Of several colorings, each of `samples` has a number in its name, and so has its comparison; none has `target`.
    """

    source: Path
    target: Path
    comparison: Path | None
    samples: int = 1

    def outputs(self) -> list[tuple[Path, Path | None]]:
        """List the files of each coloring and its comparison."""
        if self.samples == 1:
            return [(self.target, self.comparison)]
        targets = [
            self.target.with_name(f"{self.target.stem}.{i + 1}{self.target.suffix}") for i in range(self.samples)
        ]
        return [(target, _compared(target) if self.comparison else None) for target in targets]


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and color; mistakes of the user end in one sentence and exit code 2.

    Photographs that cannot be read or written are named at the end, when the others are done; the exit code is 1 then.
    """
    with exiting_on_errors(quiet=False):
        config = tyro.cli(ColorizeConfig, args=arguments, prog="colornet colorize", description=__doc__)
        jobs = check(config)
        failures = _colorize(config, jobs)
        print(printable(f"{len(jobs) - len(failures)} of {len(jobs)} colored, in {config.out}."))
        for failure in failures:
            print(printable(f"error: {failure}"), file=sys.stderr)
        if failures:
            sys.exit(1)


def check(config: ColorizeConfig) -> list[Job]:
    """Raise `InputError` for whatever can be known to go wrong, without importing torch; return what is to be done."""
    if not 0 <= config.saturation < math.inf:
        raise InputError(f"--saturation is {config.saturation}: it must be a number of at least 0.")
    if config.samples < 1:
        raise InputError(f"--samples is {config.samples}: it must be at least 1.")
    if not config.photos:
        raise InputError("No photograph is named: give image files or folders of them.")
    jobs = _plan(config)
    _check_targets(config, jobs)
    noise_channels = 0
    if find_onnx(config.model) is None:
        noise_channels = load_config(check_model(config.model)).noise_channels
    if config.samples > 1 and not noise_channels:
        raise InputError(
            f"--samples is {config.samples}, but the model '{config.model}' has no noise input and knows 1 coloring: "
            "train one with --noise-channels, or leave the option out."
        )
    _make_folder(config.out)
    return jobs


def check_model(name: str) -> Path:
    """Return the folder of a released model or a run, without importing torch; raise `InputError` if it has none."""
    model = find_model(name)
    load_config(model)
    if not (model / "model.safetensors").is_file():
        raise InputError(f"{model} has no model.safetensors yet: train until its first checkpoint.")
    return model


def _plan(config: ColorizeConfig) -> list[Job]:
    jobs = []
    for source, name in _find(config):
        target = config.out / colored_name(name)
        jobs.append(Job(source, target, _compared(target) if config.compare else None, config.samples))
    return list(dict.fromkeys(jobs))  # a photograph that is named twice is one


def _compared(target: Path) -> Path:
    return target.with_name(f"{target.name}.compare.png")


def _find(config: ColorizeConfig) -> Iterator[tuple[Path, Path]]:
    """Yield every photograph, and its path relative to the folder that was given."""
    out = config.out.resolve()
    for given in config.photos:
        if given.is_file():
            yield given, Path(given.name)
            continue
        if not given.exists():
            raise InputError(f"'{given}' does not exist: give image files or folders of them.")
        folder = given.resolve()
        if folder == out:
            raise InputError(f"--out {config.out} is a folder of photographs to color: choose another.")
        names = [Path(file.name) for file in iter_images(given)]
        if folder in out.parents:  # what an earlier call left there is no photograph
            names = [name for name in names if out not in (given / name).resolve().parents]
        if not names:
            raise InputError(f"Folder '{given}' holds no images: give a folder with files such as .jpg, .png or .webp.")
        yield from ((given / name, name) for name in names)


def _check_targets(config: ColorizeConfig, jobs: list[Job]) -> None:
    """Raise `InputError` where a file would be written twice, or one be lost."""
    if config.out.exists() and not config.out.is_dir():
        raise InputError(f"--out {config.out} is a file: choose a folder.")
    sources = {job.source.resolve(): job.source for job in jobs}
    made_of: dict[Path, Path] = {}
    spelled: dict[str, Path] = {}  # as the file system tells names apart
    for job in jobs:
        for target in filter(None, (path for paths in job.outputs() for path in paths)):
            known = spelled.setdefault(_spelling(target), target)
            if known in made_of:
                raise InputError(
                    f"'{made_of[known]}' and '{job.source}' would both become '{target}': color them in two calls "
                    "with different --out."
                )
            if target.resolve() in sources:
                raise InputError(f"'{target}' is a photograph to color: choose another --out, none is overwritten.")
            made_of[target] = job.source
    existing = [target for target in made_of if target.exists()]
    if existing and not config.force:
        exist = f"and {len(existing) - 1} more exist" if len(existing) > 1 else "exists"
        raise InputError(f"'{existing[0]}' {exist} already: choose another --out, or overwrite with --force.")


def _spelling(path: Path) -> str:
    """Return what two paths have in common if macOS or Windows, by default, would take them for one file."""
    return str(path).casefold() if sys.platform in ("darwin", "win32") else str(path)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {folder} cannot be made ({error.strerror}): choose another folder.") from error
    if not os.access(folder, os.W_OK):
        raise InputError(f"--out {folder} cannot be written to: choose another folder.")


def _colorize(config: ColorizeConfig, jobs: list[Job]) -> list[str]:
    """Do the jobs; return a sentence for each that failed."""
    # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
    from tqdm import tqdm

    from colornet.inference.colorizer import Colorizer

    colorizer = Colorizer.load(config.model, "cpu" if config.cpu else None)
    failures = []
    # One by one: decoding and encoding take the time, and memory holds one photograph only. None: only on a terminal.
    for job in tqdm(jobs, desc="Coloring", unit="photo", disable=None):
        try:
            photo = read_photo(job.source)
            colored = colorizer.colorize(photo.pixels, saturation=config.saturation, samples=job.samples)
            for rgb, (target, comparison) in zip(colored, job.outputs(), strict=True):
                write_photo(target, rgb, photo)
                if comparison:
                    _compare(rgb, comparison)
        except OSError as error:
            failures.append(f"'{job.source}': {error.strerror or error}")
    return failures


def _compare(rgb: NDArray[Any], path: Path) -> None:
    """Draw colored pixels (H, W, 3) beside their gray version, which is that of the photograph."""
    from torchvision.transforms.functional import pil_to_tensor, to_pil_image

    from colornet.evaluation.loop import gray_floor, sample_grid

    colored = to_image(rgb, None)
    colored.thumbnail((_COMPARED, _COMPARED))
    pixels = pil_to_tensor(colored)[None]  # (1, 3, h, w)
    with replacing(path) as temporary:
        to_pil_image(sample_grid([gray_floor(pixels), pixels], columns=1, scale=1)).save(temporary)


if __name__ == "__main__":
    main()
