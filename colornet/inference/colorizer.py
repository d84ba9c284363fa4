"""Color photographs of any resolution with a trained model: `Colorizer.load("cgan").colorize(image)`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, TypeVar, overload

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from colornet.color import ColorSpace, LabSpace, RgbSpace, gamut_map_to_rgb, rgb_to_lab
from colornet.errors import InputError
from colornet.inference.conversion import as_given, from_rgb, to_batch, to_rgb
from colornet.inference.onnx_model import OnnxModel, find_onnx
from colornet.inference.photos import MOST_SATURATION
from colornet.inference.upsampling import GuidedUpsampler
from colornet.models.build import Generator, color_space
from colornet.runs.pretrained import find_model
from colornet.runs.run import load_run

_Image = TypeVar("_Image", Image.Image, NDArray[Any], Tensor)

_TILE = 2**18  # pixels of full resolution that are converted at a time: some 30 MB
_FORWARD = 2**18  # pixels in a forward pass of the network
_LONGEST = 8  # largest aspect ratio of the network's input; longer panoramas are squeezed
_GAP = 8  # times the network's longest side to which a panorama is averaged before it is resized


@dataclass(eq=False, repr=False)
class Colorizer:
    """Color gray images, keeping their lightness.

    The network sees the whole image at once, reduced to the scale at which it was trained. The predicted color is
    upsampled along the edges of the lightness and joined with the image's own lightness at full resolution, which is
    never changed: the chroma of colors outside sRGB is reduced. Images of the size of training get the colors that
    `colornet evaluate` measures. With `bf16` the network is computed in bf16 by autocast: faster where the device has
    instructions for it, with colors that differ slightly (`python -m benchmarks inference` says by how much).
    """

    network: Generator | OnnxModel  # from the gray condition (N, 1, h, w) of `space` to its color (N, C, h, w)
    space: ColorSpace  # in which the network works
    _: KW_ONLY
    image_size: int  # the shorter side of the network's input, in pixels
    multiple: int  # both sides of the input are multiples of it
    device: torch.device  # of the network
    noise_channels: int = 0  # numbers from which the network's noise is drawn, its second argument; 0 if it takes none
    bf16: bool = False
    name: str = "this one"  # of the model, in messages

    @classmethod
    def load(
        cls, model: str | os.PathLike[str], device: str | torch.device | None = None, *, bf16: bool = False
    ) -> Colorizer:
        """Load a released model ("ae" or "cgan"), one of the Hub ("hf:OWNER/NAME") or a run folder onto a device.

        The default is the GPU if there is one.

        An ONNX file that `colornet export` wrote runs in onnxruntime, on the CPU, in fp32. Raises InputError for a
        model that does not exist or cannot be used.
        """
        if (path := find_onnx(model)) is not None:
            if bf16:
                raise InputError(f"Model '{path}' computes in fp32: load it without bf16, or a run folder with it.")
            device = torch.device(device or "cpu")
            if device.type != "cpu":
                raise InputError(f"Model '{path}' runs on the CPU: load it there, or a run folder onto {device}.")
            onnx = OnnxModel(path)
            space = LabSpace() if onnx.record["color_space"] == "lab" else RgbSpace()
            size, multiple = onnx.record["image_size"], onnx.record["multiple"]
            shape = {"image_size": size, "multiple": multiple, "noise_channels": onnx.noise_channels}
            return cls(onnx, space, **shape, device=device, name=os.fspath(path))
        config, network = load_run(find_model(model))
        device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        return cls(
            network.to(device),
            color_space(config),
            image_size=config.image_size,
            multiple=config.size_multiple,
            device=device,
            noise_channels=config.noise_channels,
            bf16=bf16,
            name=os.fspath(model),
        )

    @overload
    def colorize(
        self, image: str | os.PathLike[str], *, saturation: float = ..., samples: None = ...
    ) -> Image.Image: ...

    @overload
    def colorize(
        self, image: str | os.PathLike[str], *, saturation: float = ..., samples: int
    ) -> list[Image.Image]: ...

    @overload
    def colorize(self, image: _Image, *, saturation: float = ..., samples: None = ...) -> _Image: ...

    @overload
    def colorize(self, image: Sequence[_Image], *, saturation: float = ..., samples: None = ...) -> list[_Image]: ...

    @overload
    def colorize(self, image: _Image, *, saturation: float = ..., samples: int) -> list[_Image]: ...

    @overload
    def colorize(self, image: Sequence[_Image], *, saturation: float = ..., samples: int) -> list[list[_Image]]: ...

    @torch.no_grad()
    def colorize(self, image: Any, *, saturation: float = 1.0, samples: int | None = None) -> Any:
        """Color an image, or each of a list in batches; the result is of the kind that was given.

        - A Pillow image of any mode becomes one of mode RGB, or RGBA if it has transparency; upright, in sRGB, at 8
          bits, as Pillow has no RGB of 16.
        - An array (H, W), (H, W, 1) or (H, W, 3) of uint8, uint16 or floats in [0, 1] becomes (H, W, 3) of its dtype.
        - A tensor (C, H, W) or a batch (N, C, H, W), C 1 or 3, of the same dtypes becomes (3, H, W) or (N, 3, H, W) on
          its device.
        - The path of an image file, in any format that `colornet colorize` reads, becomes a Pillow image, as above.

        Values are sRGB; of an image in color, only the gray version is used. `saturation` multiplies the chroma: 0 is
        gray, 1 the model's own. `samples` asks a model with a noise input for that many colorings of each image, and
        each result becomes a list; they are the same at every call, and the first is that of a call without it. At 8
        bits, a pixel takes some 10 bytes of memory. Raises TypeError for other kinds and dtypes, ValueError for other
        shapes and values, OSError for a file that cannot be read.
        """
        if not 0 <= saturation <= MOST_SATURATION:
            raise ValueError(f"saturation is {saturation}: it must be from 0 to {MOST_SATURATION}")
        if samples is not None and samples < 1:
            raise ValueError(f"samples is {samples}: it must be at least 1")
        if samples is not None and samples > 1 and not self.noise_channels:
            raise ValueError(f"samples is {samples}, but the model {self.name!r} has no noise input and makes only 1")
        images: list[Any] = list(image) if isinstance(image, (list, tuple)) else [image]
        numbered = list(self._colorings(images, range(samples or 1), saturation))
        results = numbered[0] if samples is None else [list(colorings) for colorings in zip(*numbered, strict=True)]
        return results if isinstance(image, (list, tuple)) else results[0]

    @torch.no_grad()
    def colorings(self, image: _Image, numbers: Iterable[int], *, saturation: float = 1.0) -> Iterator[_Image]:
        """Yield the colorings of an image that have these numbers, from 0, as `colorize` returns them with `samples`.

        They are computed one by one, when they are asked for. A model without a noise input has number 0 alone.
        """
        for (coloring,) in self._colorings([image], numbers, saturation):
            yield coloring

    def _colorings(self, images: Sequence[Any], numbers: Iterable[int], saturation: float) -> Iterator[list[Any]]:
        """Yield one list of colored images for each number of a coloring."""
        inputs = [to_batch(one) for one in images]
        smalls = [self._reduce(pixels) for pixels, _ in inputs]
        for number in numbers:
            results = []
            colors = self._predict(smalls, number)
            for image, (pixels, alpha), small, color in zip(images, inputs, smalls, colors, strict=True):
                guide = rgb_to_lab(small)[:, :1]  # (N, 1, h, w)
                # Arrays and Pillow's images have the channels last: they are not copied again.
                layout = torch.contiguous_format if isinstance(image, Tensor) else torch.channels_last
                upsampler = GuidedUpsampler(guide, color * saturation, (pixels.shape[-2], pixels.shape[-1]))
                results.append(as_given(image, self._join(pixels, upsampler, layout), alpha))
            yield results

    def _reduce(self, pixels: Tensor) -> Tensor:
        """Resize a batch (N, 1|3, H, W) to the network's input size: sRGB (N, 3, h, w) in [0, 1], on its device."""
        size = pixels.shape[-2:]
        scale = self.image_size / min(size)
        sides = (round(side * scale / self.multiple) * self.multiple for side in size)
        height, width = (min(max(self.image_size, side), _LONGEST * self.image_size) for side in sides)
        if (height, width) == size:
            return to_rgb(pixels, self.device)
        if max(size) > _LONGEST * min(size):
            pixels = self._average(pixels, max(size) // (_GAP * _LONGEST * self.image_size))
        # Horizontally first, strip by strip, then vertically: the separable filter of training (Pillow's).
        resize = partial(F.interpolate, mode="bicubic", antialias=True)
        rows = _parts(pixels.shape[2], len(pixels) * pixels.shape[3])
        strips = (to_rgb(pixels[..., part, :], self.device) for part in rows)
        narrow = torch.cat([resize(strip, (strip.shape[-2], width)) for strip in strips], dim=-2)  # (N, 3, H, w)
        return resize(narrow, (height, width)).clamp(0, 1)  # (N, 3, h, w)

    def _average(self, pixels: Tensor, block: int) -> Tensor:
        """Average a batch (N, 1|3, H, W) over blocks of pixels along its longer side: sRGB (N, 3, H', W').

        Without it, resizing the shorter side first would hold floats of the whole length.
        """
        if block <= 1:
            return pixels
        if pixels.shape[2] < pixels.shape[3]:
            return self._average(pixels.mT, block).mT
        rows = _parts(pixels.shape[2], len(pixels) * pixels.shape[3], block)
        strips = (to_rgb(pixels[..., part, :], self.device) for part in rows)
        average = partial(F.avg_pool2d, kernel_size=(block, 1), ceil_mode=True, count_include_pad=False)
        return torch.cat([average(strip) for strip in strips], dim=2)

    def _predict(self, smalls: Sequence[Tensor], sample: int) -> list[Tensor]:
        """Predict the a*b* (N, 2, h, w) of each of several batches (N, 3, h, w), those of one size together."""
        colors: list[Tensor] = [torch.empty(0)] * len(smalls)
        for size in {small.shape[-2:] for small in smalls}:
            places = [place for place, small in enumerate(smalls) if small.shape[-2:] == size]
            together = torch.cat([smalls[place] for place in places])
            parts = [self._chroma(part, sample) for part in together.split(max(1, _FORWARD // size.numel()))]
            for place, color in zip(places, torch.cat(parts).split([len(smalls[p]) for p in places]), strict=True):
                colors[place] = color
        return colors

    def _chroma(self, small: Tensor, sample: int) -> Tensor:
        condition, _ = self.space.encode(small)
        # Without noise, the network takes that of sample 0.
        noise = [self.network.noise(condition, sample)] if sample else []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            color = self.network(condition.contiguous(memory_format=torch.channels_last), *noise).float()
        if not color.isfinite().all():  # they would become black
            raise InputError(f"Model {self.name!r} produces infinite or NaN colors: train it again.")
        if isinstance(self.space, LabSpace):
            return color.contiguous() * 110  # not decoded: the gamut is mapped at full resolution
        return rgb_to_lab(self.space.decode(condition, color))[:, 1:].contiguous()

    def _join(self, pixels: Tensor, upsampler: GuidedUpsampler, layout: torch.memory_format) -> Tensor:
        """Join a batch (N, 1|3, H, W) with its colors: (N, 3, H, W) of the same dtype, on the same device."""
        shape = (len(pixels), 3, *pixels.shape[-2:])
        joined = torch.empty(shape, dtype=pixels.dtype, device=pixels.device, memory_format=layout)
        for columns in _parts(pixels.shape[3], len(pixels) * upsampler.small_height):
            for rows in _parts(pixels.shape[2], len(pixels) * (columns.stop - columns.start)):
                lightness = rgb_to_lab(to_rgb(pixels[..., rows, columns], self.device))[:, :1]  # (N, 1, R, C)
                color = upsampler.tile(lightness, rows.start, columns.start)  # (N, 2, R, C)
                rgb = gamut_map_to_rgb(torch.cat((lightness, color), dim=1))  # (N, 3, R, C)
                joined[..., rows, columns] = from_rgb(rgb, pixels.dtype).to(pixels.device)
        return joined


def _parts(length: int, across: int, block: int = 1) -> list[slice]:
    """Divide a side of images, with `across` pixels beside each, into parts of whole blocks and of `_TILE` pixels."""
    step = block * max(1, _TILE // (block * across))
    return [slice(first, min(first + step, length)) for first in range(0, length, step)]
