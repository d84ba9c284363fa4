"""The generator: a U-Net."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from einops.layers.torch import Rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from colornet.models.noise import fixed_noise


def count_parameters(network: nn.Module) -> int:
    """Count the trainable parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


class GroupNorm(nn.GroupNorm):
    """Group normalization in the precision of its weights, for inputs of any precision: (N, C, H, W) → (N, C, H, W).

    Autocast does this on GPUs, but not on CPUs, where the backward pass in bf16 is many times slower.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(math.gcd(channels, 8), channels)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.to(self.weight.dtype))


Norm = Callable[[int], nn.Module]


class ResnetBlock(nn.Module):
    """Two pre-activated 3×3 convolutions beside an identity (or 1×1) path: (N, C_in, H, W) → (N, C_out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm = GroupNorm) -> None:
        super().__init__()
        self.block = nn.Sequential(
            norm(in_channels),
            nn.SiLU(),
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            norm(out_channels),
            nn.SiLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.skip = nn.Identity() if in_channels == out_channels else nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.block(x)


class ConvBlock(nn.Sequential):
    """The original notebooks' (3×3 convolution, BatchNorm, LeakyReLU), twice: (N, C_in, H, W) → (N, C_out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(0.01),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.LeakyReLU(0.01),
        )


class Attention(nn.Module):
    """Self-attention over all positions, added to its input: (N, C, H, W) → (N, C, H, W)."""

    def __init__(self, channels: int, norm: Norm = GroupNorm) -> None:
        super().__init__()
        self.heads = max(1, channels // 32)
        inner = 32 * self.heads
        self.norm = norm(channels)
        self.to_qkv = nn.Conv2d(channels, 3 * inner, 1)
        self.to_out = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        height = x.shape[-2]
        qkv = self.to_qkv(self.norm(x))  # (N, 3 · heads · D, H, W)
        q, k, v = rearrange(qkv, "n (three heads d) h w -> three n heads (h w) d", three=3, heads=self.heads)
        attended = F.scaled_dot_product_attention(q, k, v)  # (N, heads, H · W, D)
        return x + self.to_out(rearrange(attended, "n heads (h w) d -> n (heads d) h w", h=height))


class Downsample(nn.Sequential):
    """Halve the size without dropping pixels: (N, C, H, W) → (N, C, H / 2, W / 2)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            Rearrange("n c (h dy) (w dx) -> n (c dy dx) h w", dy=2, dx=2), nn.Conv2d(4 * channels, channels, 1)
        )


class Upsample(nn.Sequential):
    """Double the size, without the checkerboards of transposed convolutions: (N, C_in, H, W) → (N, C_out, 2 H, 2 W)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.Conv2d(in_channels, out_channels, 1), nn.Upsample(scale_factor=2, mode="nearest"))


class UNet(nn.Module):
    """The generator: an encoder and a decoder; levels of the same size are joined by concatenation.

    Args:
        in_channels: channels of the condition (1: gray).
        out_channels: channels of the prediction (2: a*b*, 3: RGB).
        width: channels of the first level.
        multipliers: channels of each level in units of `width`; each level but the first halves height and width.
        blocks: residual blocks per level; the network of the notebooks has one block of two convolutions per level.
        residual: residual blocks with GroupNorm and an output that starts at zero (gray); otherwise the network of the
            original notebooks: convolutions with BatchNorm, max-pooling, transposed convolutions, a 1×1 output.
        attention: self-attention after the lowest level.
        norm: normalization of the residual network; `residual=False` ignores it.
        noise_channels: length of the noise that the generator sees beside the condition.
        activation_checkpointing: keep only the inputs of each level, and recompute its activations in the backward
            pass: less memory, more time, the same gradients (Chen et al. 2016).

    Maps (N, in_channels, H, W) to (N, out_channels, H, W); H and W are multiples of 2 ** (len(multipliers) - 1). Noise
    is (N, noise_channels) and repeated at every position, as the latent code of Zhu et al. 2017 ("Toward multimodal
    image-to-image translation"); the default is the `fixed_noise` of the condition.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int = 64,
        multipliers: Sequence[int] = (1, 2, 4),
        blocks: int = 2,
        residual: bool = True,
        attention: bool = True,
        norm: Literal["group", "batch"] = "group",
        noise_channels: int = 0,
        activation_checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.noise_channels = noise_channels
        self.activation_checkpointing = activation_checkpointing
        make_norm = nn.BatchNorm2d if norm == "batch" and residual else GroupNorm
        dims = [width * multiplier for multiplier in multipliers]
        pairs = list(itertools.pairwise(dims))
        inputs, first = in_channels + noise_channels, dims[0]
        if residual:
            level: Callable[..., nn.Module] = functools.partial(_residual_level, blocks=blocks, norm=make_norm)
            down: Norm = Downsample
            up: Callable[..., nn.Module] = Upsample
        else:
            level, down = ConvBlock, lambda _: nn.MaxPool2d(2)
            up = functools.partial(nn.ConvTranspose2d, kernel_size=3, stride=2, padding=1, output_padding=1)
        self.stem = nn.Conv2d(inputs, first, 3, padding=1) if residual else nn.Identity()
        self.encoder = nn.ModuleList(level(i, o) for i, o in [(first if residual else inputs, first), *pairs])
        self.down = nn.ModuleList(map(down, dims[:-1]))
        self.up = nn.ModuleList(up(lower, upper) for upper, lower in reversed(pairs))
        self.decoder = nn.ModuleList(level(2 * dim, dim) for dim in reversed(dims[:-1]))
        if residual:
            output = nn.Conv2d(first, out_channels, 3, padding=1)
            for parameter in output.parameters():
                nn.init.zeros_(parameter)
            self.head: nn.Module = nn.Sequential(make_norm(first), nn.SiLU(), output)
        else:
            self.head = nn.Conv2d(first, out_channels, 1)
        self.middle = Attention(dims[-1], make_norm) if attention else nn.Identity()

    def noise(self, gray: Tensor, sample: int = 0) -> Tensor:
        """Return the noise (N, noise_channels) of each image's coloring of that number."""
        return fixed_noise(gray, self.noise_channels, sample)

    def forward(self, gray: Tensor, noise: Tensor | None = None) -> Tensor:
        if self.noise_channels:
            noise = self.noise(gray) if noise is None else noise
            noise = noise[:, :, None, None].expand(-1, -1, *gray.shape[-2:])
            gray = torch.cat((gray, noise), dim=1)  # (N, in_channels + noise_channels, H, W)
        x = self.stem(gray)  # (N, width, H, W)
        skips = []
        for level, down in zip(self.encoder, self.down, strict=False):  # the lowest level has no `down`
            x = self.run(level, x)
            skips.append(x)
            x = down(x)  # (N, C, H / 2, W / 2)
        x = self.run(self.middle, self.run(self.encoder[-1], x))
        for up, level in zip(self.up, self.decoder, strict=True):
            x = torch.cat((up(x), skips.pop()), dim=1)  # (N, 2 C, 2 H, 2 W)
            x = self.run(level, x)  # (N, C, 2 H, 2 W)
        return self.head(x)  # (N, out_channels, H, W)

    def run(self, blocks: nn.Module, x: Tensor) -> Tensor:
        """Apply the blocks of a level; their activations are kept for the backward pass, or recomputed in it."""
        if not (self.activation_checkpointing and torch.is_grad_enabled()):
            return blocks(x)
        checkpointed = functools.partial(checkpoint, blocks, x, use_reentrant=False, preserve_rng_state=False)
        if torch.compiler.is_compiling():  # the compiler traces one forward pass, and updates statistics once
            return checkpointed()
        return checkpointed(context_fn=lambda: (nullcontext(), _keeping_statistics(blocks)))


@contextmanager
def _keeping_statistics(blocks: nn.Module) -> Iterator[None]:
    """Leave the running statistics of BatchNorm as they are: recomputed activations do not count again."""
    before = [(buffer, buffer.clone()) for buffer in blocks.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)


def _residual_level(in_channels: int, out_channels: int, blocks: int, norm: Norm) -> nn.Sequential:
    dims = [in_channels] + [out_channels] * blocks
    return nn.Sequential(*(ResnetBlock(i, o, norm) for i, o in itertools.pairwise(dims)))
