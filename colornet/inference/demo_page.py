"""The page of `colornet demo`: what it shows, and what it does with a photograph."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeVar

import gradio as gr
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from colornet.errors import InputError, out_of_memory
from colornet.files import replacing
from colornet.inference.colorizer import Colorizer
from colornet.inference.photos import Photo, read_photo, to_image, write_photo

__all__ = ["Studio", "launch"]

_Picture = TypeVar("_Picture", Image.Image, NDArray[Any])

_PREVIEW = 1024  # longer side of what the page shows, pixels
_FREQUENCY, _AGE = 300, 3600  # seconds between looks for uploads to delete, and how old they may become
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')  # in names of files, on Windows
_WAITING = 32  # requests at most; more are refused
_SAMPLES = 4  # colorings to choose from, of models with a noise input
_LARGEST = 4  # limits of an upload: so many are taken to be refused in a sentence, what is larger by gradio

_TITLES = {"ae": "AE, the autoencoder", "cgan": "cGAN, the adversarial one"}

_CSS = """
.gradio-container { width: 100%; max-width: 1180px !important; margin: 0 auto !important; }
#heading h1 { font-size: 1.75rem; margin: 1rem 0 .25rem; letter-spacing: -.01em; }
#heading p, #caption p { margin: 0; max-width: 46rem; line-height: 1.5; }
#caption, #caption > * { padding: 0 !important; }
#caption .refused {
    max-width: none; padding: .6rem .9rem; border-radius: var(--block-radius);
    background: var(--error-background-fill); color: var(--error-text-color); overflow-wrap: anywhere;
}
#upload { border: 1px dashed var(--border-color-accent); border-radius: var(--block-radius); }
#make { align-self: center; flex-grow: 0; }
footer { display: none !important; }
"""


@dataclass(frozen=True)
class Studio:
    """Models by name, a folder for files of this server alone, pixels and megabytes that a photograph may have.

    `released` says that the models are those that come with the package, of which the page knows more.
    """

    colorizers: dict[str, Colorizer]
    folder: Path
    max_pixels: int
    max_megabytes: int
    released: bool

    def examples(self) -> list[str]:
        """Write the photographs that come with scikit-image, the last one gray; return their paths."""
        # These are in scikit-image's wheel, so its downloader has nothing to do.
        photos = {name: getattr(skimage.data, name)() for name in ("chelsea", "astronaut", "coffee", "rocket")}
        photos |= {"motorcycle": skimage.data.stereo_motorcycle()[0], "camera": skimage.data.camera()}
        paths = []
        for name, pixels in photos.items():
            path = self.folder / "examples" / f"{name}.png"
            with replacing(path) as temporary:
                Image.fromarray(pixels).save(temporary)
            paths.append(str(path))
        return paths

    def show(self, path: str | None, saturation: float, sample: int = 1) -> list[Any]:
        """Color a photograph at the size of the page; `sample` numbers the colorings of models that know several.

        Returns its path, a caption (HTML), no files in place of earlier ones, and pairs of Pillow images to compare:
        gray and the photograph itself, then gray and colored for each model. Where it cannot be colored, the caption
        says why, and all else stays as it was.
        """
        try:
            return self._show(path, saturation, sample)
        except InputError as error:
            return [gr.skip(), _refusal(error), *(gr.skip() for _ in range(2 + len(self.colorizers)))]

    def _show(self, path: str | None, saturation: float, sample: int) -> list[Any]:
        with _one_sentence(path) as name:
            photo = self._read(path)
            preview = to_image(photo.pixels, photo.alpha)
            preview.thumbnail((_PREVIEW, _PREVIEW))
            colored = [_color(colorizer, preview, saturation, sample) for colorizer in self.colorizers.values()]
            gray = next(iter(self.colorizers.values())).colorize(preview, saturation=0)
        height, width = photo.pixels.shape[:2]
        caption = f"<p><strong>{html.escape(name)}</strong>, {width} × {height} pixels</p>"
        return [path, caption, gr.Files(None, visible=False), *((gray, image) for image in (preview, *colored))]

    def _read(self, path: str | None) -> Photo:
        file = Path(path or "")
        if file.stat().st_size > self.max_megabytes * 2**20:
            raise OSError(f"its file has more than {self.max_megabytes} MB, the limit")
        return read_photo(file, max_pixels=self.max_pixels)

    def write(self, path: str | None, saturation: float, sample: int = 1) -> list[Any]:
        """Color a photograph at full size; return the PNGs, one a model, and a caption if there are none."""
        try:
            return [gr.Files(self._write_all(path, saturation, sample), visible=True), gr.skip()]
        except InputError as error:
            return [gr.Files(None, visible=False), _refusal(error)]

    def _write_all(self, path: str | None, saturation: float, sample: int) -> list[str]:
        folder = Path(mkdtemp(dir=self.folder))  # for each call, since others may be downloading; gradio empties it
        with _one_sentence(path) as name:
            photo = self._read(path)
            targets = []
            for label, colorizer in self.colorizers.items():
                number = f".{sample}" if colorizer.noise_channels else ""
                target = folder / f"{Path(name).stem}.{_FORBIDDEN.sub('-', label)}{number}.png"
                write_photo(target, _color(colorizer, photo.pixels, saturation, sample), photo)
                targets.append(str(target))
            return targets


def _color(colorizer: Colorizer, image: _Picture, saturation: float, sample: int) -> _Picture:
    """Color an image; of a model with a noise input, return the coloring of that number, from 1 on."""
    samples = sample if colorizer.noise_channels else 1
    return colorizer.colorize(image, saturation=saturation, samples=samples)[-1]


@contextmanager
def _one_sentence(path: str | None) -> Iterator[str]:
    """Hand out the name of a photograph; raise `InputError` for what goes wrong with it."""
    name = Path(path or "").name
    try:
        yield name
    except FileNotFoundError as error:
        reason = "it was deleted, as all uploads are after an hour; choose it again"
        raise InputError(f"{name} cannot be colored: {reason}.") from error
    except OSError as error:
        raise InputError(f"{name} cannot be colored: {error.strerror or error}.") from error
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"{name} cannot be colored: there is not enough memory for its size.") from error


def _refusal(error: InputError) -> str:
    # A caption, since gr.Error would put itself over every picture and leave the file in the box for uploads.
    return f'<p class="refused" role="alert">{html.escape(str(error))}</p>'


def launch(studio: Studio, *, host: str, port: int) -> Any:
    """Serve the page from a thread, and nothing else that gradio could; return the `gradio.Blocks`, to be closed."""
    page = _page(studio)
    page.queue(max_size=_WAITING, api_open=False)
    page.launch(
        server_name=f"[{host}]" if ":" in host else host,
        server_port=port,
        max_file_size=f"{_LARGEST * studio.max_megabytes}mb",
        theme=gr.themes.Soft(
            primary_hue="teal",
            secondary_hue="teal",
            neutral_hue="stone",
            font=["system-ui", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ).set(
            block_label_background_fill="*neutral_50",
            block_label_text_color="*neutral_700",
            block_label_text_weight="500",
            block_title_background_fill="transparent",
            block_title_text_color="*neutral_700",
            block_title_text_weight="500",
            block_title_padding="0",
            block_label_background_fill_dark="*neutral_800",
            block_label_text_color_dark="*neutral_200",
            block_title_background_fill_dark="transparent",
            block_title_text_color_dark="*neutral_200",
            button_primary_background_fill="*primary_700",
            button_primary_background_fill_hover="*primary_800",
        ),
        css=_CSS,
        prevent_thread_lock=True,
        quiet=True,
        inline=False,
        share=False,
        ssr_mode=False,
        num_workers=0,
        mcp_server=False,
        enable_monitoring=False,
        run_history=False,
        pwa=False,
        footer_links=[],
    )
    return page


def _page(studio: Studio) -> Any:
    examples = studio.examples()
    # One at a time: reading a photograph changes a limit of Pillow for the whole process, and memory is finite.
    alone = {"concurrency_limit": 1, "concurrency_id": "photograph"}
    with gr.Blocks(title="colornet", analytics_enabled=False, delete_cache=(_FREQUENCY, _AGE)) as page:
        gr.Markdown(f"# Colors for a gray photograph\n\n{_honest(studio)}", elem_id="heading")
        with gr.Row():
            upload = gr.File(
                label="Your photograph", file_types=["image"], height=150, scale=2, min_width=280, elem_id="upload"
            )
            thumbnails = gr.Dataset(
                label="Or an example",
                components=[gr.Image(render=False)],
                samples=[[example] for example in examples],
                type="index",
                layout="gallery",
                scale=3,
                min_width=300,
            )
        current = gr.State()
        caption = gr.HTML(elem_id="caption", padding=False)
        with gr.Row():
            sliders = [
                gr.ImageSlider(label=title, max_height=420, min_width=300, buttons=["fullscreen"], interactive=False)
                for title in ("As it came", *(_TITLES.get(name, name) for name in studio.colorizers))
            ]
        with gr.Row():
            saturation = gr.Slider(
                0, 2, value=1, step=0.05, label="Saturation", info="0 is gray, 1 what the models say", min_width=280
            )
            sample = gr.Slider(
                1,
                _SAMPLES,
                value=1,
                step=1,
                label="Coloring",
                info="One guess of several",
                min_width=200,
                visible=any(colorizer.noise_channels for colorizer in studio.colorizers.values()),
            )
            make = gr.Button("Make PNGs of full size", variant="primary", min_width=260, elem_id="make")
        files = gr.Files(label="Colored, full size: click a size to download", interactive=False, visible=False)
        shown, knobs = [current, caption, files, *sliders], [saturation, sample]
        page.load(lambda *values: studio.show(examples[0], *values), knobs, shown, **alone, api_name=False)
        upload.upload(studio.show, [upload, *knobs], shown, **alone, api_name="show").then(
            None, None, upload, js="() => null"
        )
        thumbnails.click(
            lambda index, *values: studio.show(examples[index], *values),
            [thumbnails, *knobs],
            shown,
            **alone,
            api_name=False,
        )
        for knob in knobs:
            knob.change(studio.show, [current, *knobs], shown, **alone, trigger_mode="always_last", api_name=False)
        make.click(studio.write, [current, *knobs], [files, caption], **alone, api_name="write")
    return page


def _honest(studio: Studio) -> str:
    """Say what to expect."""
    sizes = " and ".join(str(size) for size in sorted({one.image_size for one in studio.colorizers.values()}))
    what = " of ten kinds of animals and vehicles (CIFAR-10)" if studio.released else ""
    return (
        f"The models learned from images of {sizes} pixels{what}: on large photographs expect modest colors, and take "
        "each result as a guess, not as what was there. Drag the handle of a picture to compare it with gray."
    )
