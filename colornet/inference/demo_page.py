"""The page of `colornet demo`: its layout and its event handlers."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import gradio as gr
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from colornet.data.sample import sample_photos
from colornet.errors import out_of_memory
from colornet.inference.colorizer import Colorizer
from colornet.inference.demo_folder import KEPT, Disk
from colornet.inference.demo_guard import Guard
from colornet.inference.photos import Photo, read_photo, to_image, write_photo

_Picture = TypeVar("_Picture", Image.Image, NDArray[Any])

_PREVIEW = 1024  # longer side of what the page shows, pixels
_FREQUENCY, _AGE = 300, 3600  # seconds between deletions of uploads, and their largest age
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')  # in names of files, on Windows
_WAITING = 32  # requests at most; more are refused
_SAMPLES = 4  # colorings to choose from, of models with a noise input
_LARGEST = 4  # uploads up to this many times the limit are refused in the caption, larger ones in a message
_KEPT_UPLOADS = 20  # of the largest size: the disk space of all files
_PREVIEWS = 2**24  # bytes that those of a photograph take at most
_SWITCHED_OFF = ("inline", "share", "ssr_mode", "mcp_server", "enable_monitoring", "run_history", "pwa")  # of gradio
_TITLES = {"ae": "Cautious (ae)", "cgan": "Vivid (cgan)"}  # the released ones


@dataclass(frozen=True)
class Studio:
    """The models by name, a folder for the files of this server alone, and the limits of a photograph."""

    colorizers: dict[str, Colorizer]
    folder: Path
    max_pixels: int
    max_megabytes: int
    released: bool  # whether all models are released ones, about whose training data the page has a sentence

    @property
    def max_upload(self) -> int:
        """The most bytes that are taken from a browser."""
        return _LARGEST * self.max_megabytes * 2**20

    @cached_property
    def disk(self) -> Disk:
        """The space for uploads and results."""
        return Disk(self.folder, _KEPT_UPLOADS * self.max_upload)

    def examples(self) -> list[str]:
        """Write the photographs that come with scikit-image, the last one gray; return their paths."""
        photos = sample_photos() | {"camera": Image.fromarray(skimage.data.camera())}
        names = ("chelsea", "astronaut", "coffee", "rocket", "motorcycle", "camera")
        folder = self.folder / KEPT / "examples"
        folder.mkdir(parents=True)
        for name in names:
            photos[name].save(folder / f"{name}.png")
        return [str(folder / f"{name}.png") for name in names]

    def show(self, path: str | None, saturation: float, sample: int = 1) -> list[Any]:
        """Color a photograph at the size of the page; `sample` is the number of the coloring for models with noise.

        Returns its path, a caption (HTML), no files in place of earlier ones, and pairs of Pillow images to compare:
        gray and the photograph itself, then gray and colored for each model. After an error, only the caption changes.
        """
        name = Path(path or "").name
        try:
            photo = self._read(path)
            preview = to_image(photo.pixels, photo.alpha)
            preview.thumbnail((_PREVIEW, _PREVIEW))
            self.disk.make_room(_PREVIEWS)
            colored = [_color(colorizer, preview, saturation, sample) for colorizer in self.colorizers.values()]
            gray = next(iter(self.colorizers.values())).colorize(preview, saturation=0)
        except (OSError, MemoryError, RuntimeError) as error:
            return [gr.skip(), _refusal(name, error), *(gr.skip() for _ in range(2 + len(self.colorizers)))]
        height, width = photo.pixels.shape[:2]
        caption = f"<p><strong>{html.escape(name)}</strong>, {width} × {height} pixels</p>"
        return [path, caption, gr.Files(None, visible=False), *((gray, image) for image in (preview, *colored))]

    def _read(self, path: str | None) -> Photo:
        file = Path(path or "")
        if file.stat().st_size > self.max_megabytes * 2**20:
            raise OSError(f"its file has more than {self.max_megabytes} MB, the limit")
        with suppress(OSError):
            os.utime(file)  # what is in use is removed last
        return read_photo(file, max_pixels=self.max_pixels)

    def write(self, path: str | None, saturation: float, sample: int = 1) -> list[Any]:
        """Color a photograph at full size; return the PNGs, one a model, and a caption if there are none."""
        name, targets = Path(path or "").name, []
        try:
            photo = self._read(path)
            self.disk.make_room(4 * photo.pixels.shape[0] * photo.pixels.shape[1] * len(self.colorizers))
            folder = Path(mkdtemp(dir=self.folder))  # for each call, since others may be downloading; gradio empties it
            for label, colorizer in self.colorizers.items():
                number = f".{sample}" if colorizer.noise_channels else ""
                target = folder / f"{Path(name).stem}.{_FORBIDDEN.sub('-', label)}{number}.png"
                write_photo(target, _color(colorizer, photo.pixels, saturation, sample), photo)
                targets.append(str(target))
        except (OSError, MemoryError, RuntimeError) as error:
            return [gr.Files(None, visible=False), _refusal(name, error)]
        return [gr.Files(targets, visible=True), gr.skip()]


def _color(colorizer: Colorizer, image: _Picture, saturation: float, sample: int) -> _Picture:
    """Color an image; of a model with a noise input, return the coloring of that number, from 1."""
    number = sample - 1 if colorizer.noise_channels else 0
    return next(colorizer.colorings(image, [number], saturation=saturation))


def _refusal(name: str, error: Exception) -> str:
    """Return a caption (HTML) that says why a photograph cannot be colored; raise errors of other kinds again."""
    if isinstance(error, FileNotFoundError):
        reason = "it was deleted, as uploads are after an hour or where space is needed; choose it again"
    elif isinstance(error, OSError):
        reason = error.strerror or str(error)
    elif out_of_memory(error):
        reason = "there is not enough memory for its size"
    else:
        raise error
    # A caption, since gr.Error would cover every picture and leave the file in the box for uploads.
    return f'<p class="refused" role="alert">{html.escape(f"{name} cannot be colored: {reason}.")}</p>'


def launch(studio: Studio, *, host: str, port: int, names: Sequence[str] = ()) -> Any:
    """Serve the page from a thread, without gradio's other services; return the `gradio.Blocks`, to be closed.

    Beside the loopback and `host`, browsers may use `names` for this machine.
    """
    page = _page(studio)
    page.queue(max_size=_WAITING, api_open=False)
    limits = {"host": host, "names": names, "max_bytes": studio.max_upload, "disk": studio.disk}
    page.launch(
        server_name=f"[{host}]" if ":" in host else host,
        server_port=port,
        app_kwargs={"middleware": [(Guard, (), limits)]},
        theme=_theme(),
        css=Path(__file__).with_suffix(".css").read_text(encoding="utf-8"),
        prevent_thread_lock=True,
        quiet=True,
        num_workers=0,
        footer_links=[],
        **dict.fromkeys(_SWITCHED_OFF, False),
    )
    return page


def _theme() -> Any:
    hues = {"primary_hue": "teal", "secondary_hue": "teal", "neutral_hue": "stone"}
    theme = gr.themes.Soft(**hues, font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    text = {"text_color": "*neutral_700", "text_color_dark": "*neutral_200", "text_weight": "500"}
    return theme.set(
        **{f"block_{place}_{name}": value for place in ("label", "title") for name, value in text.items()},
        block_label_background_fill="*neutral_50",
        block_label_background_fill_dark="*neutral_800",
        block_title_background_fill="transparent",
        block_title_background_fill_dark="transparent",
        block_title_padding="0",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
    )


def _page(studio: Studio) -> Any:
    examples = studio.examples()

    def show_example(index: int, saturation: float, sample: int) -> list[Any]:
        return studio.show(examples[index], saturation, sample)

    # One at a time: reading a photograph changes a limit of Pillow for the whole process, and memory is limited.
    alone = {"concurrency_limit": 1, "concurrency_id": "photograph"}
    unnamed = alone | {"api_name": False}
    with gr.Blocks(title="colornet", analytics_enabled=False, delete_cache=(_FREQUENCY, _AGE)) as page:
        gr.Markdown(f"# Colors for a gray photograph\n\n{_introduction(studio)}", elem_id="heading")
        with gr.Row():
            size = {"height": 150, "scale": 2, "min_width": 280}
            upload = gr.File(label="Your photograph", file_types=["image"], elem_id="upload", **size)
            shape = {"type": "index", "layout": "gallery", "scale": 3, "min_width": 300}
            images, samples = [gr.Image(render=False)], [[example] for example in examples]
            thumbnails = gr.Dataset(label="Or an example", components=images, samples=samples, **shape)
        current = gr.State()
        caption = gr.HTML(elem_id="caption", padding=False)
        with gr.Row():
            sliders = [
                gr.ImageSlider(label=title, max_height=420, min_width=300, buttons=["fullscreen"], interactive=False)
                for title in ("Original", *_titles(studio))
            ]
        with gr.Row():
            text = {"label": "Saturation", "info": "0 is gray, 1 what the models say"}
            saturation = gr.Slider(0, 2, value=1, step=0.05, min_width=280, **text)
            noise = any(colorizer.noise_channels for colorizer in studio.colorizers.values())
            text = {"label": "Coloring", "info": "One guess of several"}
            sample = gr.Slider(1, _SAMPLES, value=1, step=1, min_width=200, visible=noise, **text)
            make = gr.Button("Make PNGs of full size", variant="primary", min_width=260, elem_id="make")
        files = gr.Files(label="Colored, full size: click a size to download", interactive=False, visible=False)
        shown, knobs = [current, caption, files, *sliders], [saturation, sample]
        page.load(lambda *values: show_example(0, *values), knobs, shown, **unnamed)
        uploaded = upload.upload(studio.show, [upload, *knobs], shown, **alone, api_name="show")
        uploaded.then(None, None, upload, js="() => null")
        thumbnails.click(show_example, [thumbnails, *knobs], shown, **unnamed)
        for knob in knobs:
            knob.change(studio.show, [current, *knobs], shown, **unnamed, trigger_mode="always_last")
        make.click(studio.write, [current, *knobs], [files, caption], **alone, api_name="write")
    return page


def _titles(studio: Studio) -> list[str]:
    """Return what the models are called; a user's own is called like its folder, even if that is `cgan`."""
    return [_TITLES.get(name, name) if studio.released else name for name in studio.colorizers]


def _introduction(studio: Studio) -> str:
    """Return a paragraph that says what to expect."""
    sizes = " and ".join(str(size) for size in sorted({one.image_size for one in studio.colorizers.values()}))
    what, result = "", ""
    if studio.released:
        what = " of ten kinds of animals and vehicles (CIFAR-10)"
        result = "On ordinary photographs they mostly fail. "
    return (
        f"The models learned from images of {sizes} pixels{what}. {result}Take each result as a guess, not as what was "
        "there. Drag the handle of a picture to compare it with gray."
    )
