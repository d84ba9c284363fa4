"""Score colorizers on a set of images: each process works on its shard, and all processes get all results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from accelerate import Accelerator
from einops import rearrange, repeat
from torch import Tensor

from colornet.bar import Bar
from colornet.color import ColorSpace, Gray, to_float, to_gray, to_uint8

Colorize = Callable[[Tensor], Tensor]
"""From true images, uint8 (N, 3, H, W), of which it sees only the gray version, to colored images of that shape."""


def colorize_with(
    network: Callable[[Tensor], Tensor],
    space: ColorSpace,
    accelerator: Accelerator,
    *,
    gray: Callable[[Tensor], Tensor] = lambda rgb: rgb,
) -> Colorize:
    """Make a `Colorize` of a generator, in the precision of the run.

    `gray` maps sRGB images in [0, 1] to those whose gray version the generator sees: by default, the images themselves.
    """

    @torch.no_grad()
    def colorize(images: Tensor) -> Tensor:
        condition, _ = space.encode(gray(to_float(images)))
        with accelerator.autocast():
            color = network(condition.contiguous(memory_format=torch.channels_last))
        return to_uint8(space.decode(condition, color))

    return colorize


def gray_floor(images: Tensor, kind: Gray = "lightness") -> Tensor:
    """Return the gray version of images: the floor that every colorizer must beat."""
    return to_uint8(to_gray(to_float(images), kind))


def map_images(
    function: Callable[[Tensor], Mapping[str, Tensor]],
    images: Tensor,
    accelerator: Accelerator,
    *,
    batch_size: int,
    progress: str | None = None,
) -> dict[str, Tensor]:
    """Apply a function of uint8 images (n, 3, H, W) to batches of a set (N, 3, H, W); return results (N, …) on the CPU.

    Each rank works on its shard and gets all results. `progress` is the title of a bar, shown by rank 0 on a terminal.
    """
    batches = shard(images, accelerator, batch_size=batch_size, progress=progress)
    return gather([function(batch) for batch, _ in batches], len(images), accelerator)


def shard(
    images: Tensor, accelerator: Accelerator, *, batch_size: int, progress: str | None = None
) -> Iterator[tuple[Tensor, int]]:
    """Yield the batches of this rank's part of a set (N, 3, H, W), on its device, each with its number of images.

    The parts are contiguous and of equal length: the last image of the set pads them, and is not counted.
    """
    world, rank = accelerator.num_processes, accelerator.process_index
    per_rank = -(-len(images) // world)
    positions = torch.arange(rank * per_rank, (rank + 1) * per_rank)
    shown = progress is not None and rank == 0
    with Bar(total=len(images), desc=progress, unit="img", shown=shown, leave=False) as bar:
        for batch in positions.split(batch_size):
            own = int((batch < len(images)).sum())
            yield images[batch.clamp(max=len(images) - 1)].to(accelerator.device), own
            bar.update(len(batch) * world)


def gather(parts: Sequence[Mapping[str, Tensor]], count: int, accelerator: Accelerator) -> dict[str, Tensor]:
    """Join the results that the ranks computed from the batches of their `shard` to (count, …), on the CPU."""
    gathered = {name: accelerator.gather(torch.cat([part[name] for part in parts])) for name in parts[0]}
    return {name: values[:count].cpu() for name, values in gathered.items()}  # without those of the padding


def colorize_all(colorize: Colorize, images: Tensor, accelerator: Accelerator, *, batch_size: int) -> Tensor:
    """Colorize a set of uint8 images (N, 3, H, W) on all ranks, as `map_images` does: uint8 of the same shape."""
    return map_images(lambda batch: {"color": colorize(batch)}, images, accelerator, batch_size=batch_size)["color"]


def sample_grid(versions: list[Tensor], columns: int = 3, scale: int = 3) -> Tensor:
    """Arrange versions of the same uint8 images, each (N, 3, H, W), as one picture (3, height, width).

    Versions of an image are side by side, `columns` images in a row, of which N is a multiple; pixels are `scale` wide.
    """
    picture = rearrange(versions, "version (y x) c h w -> c (y h) (x version w)", x=columns)
    return repeat(picture, "c h w -> c (h sy) (w sx)", sy=scale, sx=scale)
