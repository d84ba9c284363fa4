"""Color photographs of any resolution with a trained model: `Colorizer.load("cgan").colorize(image)`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, overload

import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from colornet.color import ColorSpace, LabSpace, RgbSpace, lab_to_rgb, rgb_to_lab
from colornet.errors import InputError
from colornet.inference.conversion import as_given, from_rgb, to_batch, to_rgb
from colornet.inference.onnx_model import OnnxNetwork, find_onnx
from colornet.inference.upsampling import GuidedUpsampler
from colornet.models.build import color_space
from colornet.models.unet import fixed_noise
from colornet.runs.pretrained import find_model
from colornet.runs.run import load_run

__all__ = ["Colorizer", "paled_to_rgb"]

_Picture = TypeVar("_Picture", Image.Image, NDArray[Any], Tensor)

_STRIP = 2**18  # pixels of full resolution that are converted at a time: some 30 MB
_FORWARD = 2**18  # pixels that the network sees at a time
_LONGEST = 8  # what the network sees is at most this many times as long as short; longer panoramas are squeezed for it
_HALVINGS = 8  # of the interval in which the chroma that sRGB can show is searched: to 1/256 of it


class Colorizer:
    """Color gray images, keeping their lightness.

    The network looks at the image once, as a whole, reduced to the scale at which it was trained. What it predicts is
    enlarged along the edges of the lightness and joined with the lightness of the image itself at full resolution,
    which is never changed: colors that sRGB cannot show are made paler. Images of the very size of training get the
    colors that `colornet evaluate` measures.

    Args:
        network: maps the gray condition (N, 1, h, w) of `space` to its color (N, C, h, w); in evaluation mode.
        space: the color space in which the network works.
        image_size: the shorter side of what the network sees, in pixels.
        multiple: what both sides of it are multiples of.
        device: where the network is.
        noise_channels: length of the noise that the network takes as a second argument, 0 if it takes none.
        bf16: let autocast compute the network in bf16: faster where the device has instructions for it, with colors
            that differ a little (`python -m benchmarks inference` says by how much).
        name: what messages call the model.
    """

    def __init__(
        self,
        network: Callable[..., Tensor],
        space: ColorSpace,
        *,
        image_size: int,
        multiple: int,
        device: str | torch.device,
        noise_channels: int = 0,
        bf16: bool = False,
        name: str = "this one",
    ) -> None:
        self.network = network
        self.space = space
        self.image_size = image_size
        self.multiple = multiple
        self.device = torch.device(device)
        self.noise_channels = noise_channels
        self.bf16 = bf16
        self.name = name

    @classmethod
    def load(
        cls, model: str | os.PathLike[str], device: str | torch.device | None = None, *, bf16: bool = False
    ) -> Colorizer:
        """Load a released model, "ae" or "cgan", or that of a run folder, onto a device (default: the GPU if any).

        An ONNX file that `colornet export` wrote runs in onnxruntime, on the CPU, in fp32. Raises `InputError` for a
        model that is not there or cannot be used.
        """
        if (path := find_onnx(model)) is not None:
            if bf16:
                raise InputError(f"Model '{path}' computes in fp32: load it without bf16, or a run folder with it.")
            return cls._load_onnx(path, device or "cpu")
        config, network = load_run(find_model(model))
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        return cls(
            network.to(device),
            color_space(config),
            image_size=config.image_size,
            multiple=2 ** (len(config.multipliers) - 1),
            device=device,
            noise_channels=config.noise_channels,
            bf16=bf16,
            name=os.fspath(model),
        )

    @classmethod
    def _load_onnx(cls, path: Path, device: str | torch.device) -> Colorizer:
        if torch.device(device).type != "cpu":
            raise InputError(f"Model '{path}' runs on the CPU: load it there, or a run folder onto {device}.")
        network = OnnxNetwork(path)
        return cls(
            network,
            LabSpace() if network.record["color_space"] == "lab" else RgbSpace(),
            image_size=network.record["image_size"],
            multiple=network.record["multiple"],
            device=device,
            name=os.fspath(path),
        )

    @overload
    def colorize(self, image: _Picture, *, saturation: float = 1.0, samples: None = None) -> _Picture: ...

    @overload
    def colorize(
        self, image: Sequence[_Picture], *, saturation: float = 1.0, samples: None = None
    ) -> list[_Picture]: ...

    @overload
    def colorize(self, image: _Picture, *, saturation: float = 1.0, samples: int) -> list[_Picture]: ...

    @overload
    def colorize(self, image: Sequence[_Picture], *, saturation: float = 1.0, samples: int) -> list[list[_Picture]]: ...

    @torch.no_grad()
    def colorize(self, image: Any, *, saturation: float = 1.0, samples: int | None = None) -> Any:
        """Color an image, or each of a list, which the network then sees in batches; the kind given is returned.

        - A Pillow image of any mode becomes one of mode RGB, or RGBA where it has transparency; upright, in sRGB, at 8
          bits, as Pillow has no RGB of 16.
        - An array (H, W), (H, W, 1) or (H, W, 3) of uint8, uint16 or floats in [0, 1] becomes (H, W, 3) of its dtype.
        - A tensor (C, H, W) or a batch (N, C, H, W), C 1 or 3, of the same dtypes becomes (3, H, W) or (N, 3, H, W) on
          the device where it was.

        Values are sRGB; of an image in color, only the gray version is seen. `saturation` multiplies the chroma: 0 is
        gray, 1 what the model says. `samples` asks a model with a noise input for that many colorings of each image,
        and makes a list of each result; they are the same at every call, and the first is what is returned without it.
        At 8 bits, a pixel takes some 10 bytes of memory. Raises TypeError for other kinds and dtypes, ValueError for
        other shapes and values.
        """
        if not 0 <= saturation < math.inf:
            raise ValueError(f"saturation is {saturation}: it must be a number of at least 0")
        if samples is not None and samples < 1:
            raise ValueError(f"samples is {samples}: it must be at least 1")
        if samples is not None and samples > 1 and not self.noise_channels:
            raise ValueError(f"samples is {samples}, but the model {self.name!r} has no noise input and knows only 1")
        images: list[Any] = list(image) if isinstance(image, (list, tuple)) else [image]
        inputs = [to_batch(one) for one in images]
        batches = [pixels for pixels, _ in inputs]
        smalls = [self._reduce(batch) for batch in batches]
        results: list[Any] = [[] for _ in images]
        for sample in range(samples or 1):
            colors = self._predict(smalls, sample)
            for place, ((pixels, alpha), small, color) in enumerate(zip(inputs, smalls, colors, strict=True)):
                guide = rgb_to_lab(small)[:, :1]  # (N, 1, h, w)
                upsampler = GuidedUpsampler(guide, color * saturation, (pixels.shape[-2], pixels.shape[-1]))
                results[place].append(as_given(images[place], self._join(pixels, upsampler), alpha))
        if samples is None:
            results = [colored for (colored,) in results]
        return results if isinstance(image, (list, tuple)) else results[0]

    def _reduce(self, pixels: Tensor) -> Tensor:
        """Resize a batch (N, 1|3, H, W) to what the network sees: sRGB (N, 3, h, w) in [0, 1], on its device."""
        height, width = pixels.shape[-2:]
        small = self._small_size(height, width)
        if small == (height, width):
            return to_rgb(pixels, self.device)
        # Along the rows first, strip by strip, then along the columns: the separable filter of training (Pillow's).
        strips = [
            F.interpolate(to_rgb(pixels[..., rows, :], self.device), (rows.stop - rows.start, small[1]),
                          mode="bicubic", antialias=True)
            for rows in _strips(pixels)
        ]  # fmt: skip
        narrow = torch.cat(strips, dim=-2)  # (N, 3, H, w)
        return F.interpolate(narrow, small, mode="bicubic", antialias=True).clamp(0, 1)  # (N, 3, h, w)

    def _small_size(self, height: int, width: int) -> tuple[int, int]:
        scale = self.image_size / min(height, width)

        def side(length: int) -> int:
            fitting = max(self.image_size, round(length * scale / self.multiple) * self.multiple)
            return min(fitting, _LONGEST * self.image_size)

        return side(height), side(width)

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
        # The network's own noise, where it is given none, is that of sample 0.
        noise = [fixed_noise(condition, self.noise_channels, sample)] if sample else []
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            color = self.network(condition.contiguous(memory_format=torch.channels_last), *noise).float()
        if isinstance(self.space, LabSpace):
            return color.contiguous() * 110  # undecoded: what sRGB cannot show is decided at full resolution
        return rgb_to_lab(self.space.decode(condition, color))[:, 1:].contiguous()

    def _join(self, pixels: Tensor, upsampler: GuidedUpsampler) -> Tensor:
        """Give a batch (N, 1|3, H, W) its colors: (N, 3, H, W) of the same dtype, on the same device."""
        joined = pixels.new_empty((len(pixels), 3, *pixels.shape[-2:]))
        for rows in _strips(pixels):
            lightness = rgb_to_lab(to_rgb(pixels[..., rows, :], self.device))[:, :1]  # (N, 1, R, W)
            color = upsampler.rows(rows.start, lightness)  # (N, 2, R, W)
            rgb = paled_to_rgb(torch.cat((lightness, color), dim=1))  # (N, 3, R, W)
            joined[..., rows, :] = from_rgb(rgb, pixels.dtype).to(pixels.device)
        return joined


def paled_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIELAB (N, 3, H, W) to sRGB in [0, 1], with less chroma of the same hue where sRGB ends: L* stays."""
    rgb = lab_to_rgb(lab)
    clipped = ((rgb <= 0) | (rgb >= 1)).any(1)  # (N, H, W)
    if not clipped.any():
        return rgb
    outside = lab.movedim(1, 0)[:, clipped][..., None]  # (3, K, 1)
    low, high = torch.zeros_like(outside[0]), torch.ones_like(outside[0])  # (K, 1); no chroma is always possible
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        tried = lab_to_rgb(torch.stack((outside[0], outside[1] * middle, outside[2] * middle)))  # (3, K, 1)
        fits = ((tried > 0) & (tried < 1)).all(0)
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    paled = lab_to_rgb(torch.stack((outside[0], outside[1] * low, outside[2] * low)))  # (3, K, 1)
    rgb.movedim(1, 0)[:, clipped] = paled.squeeze(-1)
    return rgb


def _strips(pixels: Tensor) -> Iterator[slice]:
    """Divide the rows of a batch (N, C, H, W) into strips of `_STRIP` pixels at most, or of one row."""
    count, _, height, width = pixels.shape
    step = max(1, _STRIP // (count * width))
    for first in range(0, height, step):
        yield slice(first, min(first + step, height))
