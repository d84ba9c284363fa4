"""The least time that a training step could take: arithmetic and memory traffic of its layers at the device's peaks.

What is counted follows one real step through the networks, layer by layer. Each tensor is written once where it
is made and read once by each operation that needs it:

- convolution, and the two products of attention: input, weights and output in the forward pass; gradients and weights
  for the gradient of the input; input and gradients for that of the weights; each only where autograd computes it
- normalization with the activation after it, as one: input and output; backwards, the input and both gradients
- max-pooling, rearranging, enlarging, concatenating skips, adding residuals: inputs and outputs, likewise backwards,
  where the gradients of what two layers read are added; a concatenation's gradient is read in place
- optimizer: weight, gradient and both moments read, all but the gradient written; the gradient read once more for its
  norm; moving average of the generator: read, weight read, written; float32 all of it

Activations, weights and gradients of layers have the bytes of the row's precision. Left out, as if they were free: the
input side, the loss, biases, statistics, the conversion of weights to the precision. A layer's pass takes the longer of
its arithmetic at the measured rate of matrix products or convolutions, whichever is higher, and its bytes at the
measured bandwidth of copies; passes follow one another.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from einops.layers.torch import Rearrange
from torch import Tensor, nn

from benchmarks.core.record import Record
from benchmarks.core.steps import COUNTED_IMAGES, Case, counted, start_trainer
from colornet.data import Dataset
from colornet.models.discriminators import DCGANDiscriminator, PatchDiscriminator
from colornet.models.unet import Attention, ResnetBlock, UNet, count_parameters

Group = Literal["convolutions", "normalization and activation", "pooling and skips", "optimizer and EMA"]
GROUPS: tuple[Group, ...] = get_args(Group)

_MOVING: dict[type[nn.Module], str] = {nn.MaxPool2d: "max-pooling", nn.Upsample: "enlarging", Rearrange: "rearranging"}
_COUNTED: tuple[type[nn.Module], ...] = (
    nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.GroupNorm, nn.SiLU, nn.LeakyReLU, *_MOVING, ResnetBlock,
    Attention, PatchDiscriminator, DCGANDiscriminator,
)  # fmt: skip
_BYTES = {"no": 4, "bf16": 2, "fp16": 2}
_OPTIMIZER = 4 + 3 + 1  # numbers moved for each weight: Adam's reads and writes, and the norm of the gradient
_AVERAGE = 3


class Pass(NamedTuple):
    """What a layer moves and computes in one direction, in a step on `COUNTED_IMAGES` images.

    `flops` and `activations`, counted in numbers, grow with the batch; `weights`, also in numbers, do not, and neither
    do the float32 numbers of the optimizer, `state`.
    """

    layer: str
    kind: str
    group: Group
    flops: int = 0
    activations: int = 0
    weights: int = 0
    state: int = 0


def trace(case: Case, dataset: Dataset) -> list[Pass]:
    """Follow one step of training on `COUNTED_IMAGES` images through uncompiled networks; list what its layers do."""
    trainer = start_trainer(counted(case).config, dataset)
    tracer = Tracer()
    for name, network in trainer.objective.networks.items():
        for path, module in network.named_modules(prefix=name):
            if isinstance(module, _COUNTED):
                module.register_forward_hook(functools.partial(tracer.note, path))
            if isinstance(module, UNet):
                for index, level in enumerate(module.decoder):
                    level.register_forward_pre_hook(functools.partial(tracer.note_joining, f"{path}.join.{index}"))
    trainer.train_step(next(trainer.loader.epoch(0)))
    for name, network in trainer.objective.networks.items():
        moved = _OPTIMIZER * count_parameters(network)
        tracer.passes.append(Pass(name, "optimizer", "optimizer and EMA", state=moved))
    average = _AVERAGE * count_parameters(trainer.generator)
    return [*tracer.passes, Pass("generator", "moving average", "optimizer and EMA", state=average)]


class Tracer:
    """Lists the passes of layers, whose hooks its methods are."""

    def __init__(self) -> None:
        self.passes: list[Pass] = []
        self.normalized: Tensor | None = None  # what a normalization returned last

    def note(self, path: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Note the passes of a layer, forward and, where autograd will make one, backward."""
        x, size_in, size_out = inputs[0], inputs[0].numel(), output.numel()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            self.note_convolution(path, module, x, output)
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            self.normalized = output
            self.move(path, "normalization", x, 2 * size_in, 3 * size_in, "normalization and activation")
        elif isinstance(module, (nn.SiLU, nn.LeakyReLU)):
            if x is not self.normalized:
                self.move(path, "activation", x, 2 * size_in, 3 * size_in, "normalization and activation")
        elif kind := _MOVING.get(type(module)):
            indices = size_out if isinstance(module, nn.MaxPool2d) else 0  # which pixel was the largest
            self.move(path, kind, x, size_in + size_out, size_out + indices + size_in)
        elif isinstance(module, (ResnetBlock, Attention)):
            if isinstance(module, Attention):
                self.note_attention(path, module, x)
            self.move(path, "residual", x, 3 * size_out, 3 * size_in)
        elif isinstance(module, (PatchDiscriminator, DCGANDiscriminator)):
            numbers = 2 * sum(tensor.numel() for tensor in inputs)
            self.passes.append(Pass(path, "concatenation", "pooling and skips", activations=numbers))

    def note_convolution(self, path: str, module: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, y: Tensor) -> None:
        """Note the forward pass, the gradient of the input and that of the weights, which count the same."""
        # Every number of the input of a transposed convolution, and of the output of any other, meets a whole kernel.
        transposed, weight = isinstance(module, nn.ConvTranspose2d), module.weight
        per_pixel = weight.numel() // weight.shape[0]  # (C_out, C_in, …), (C_in, C_out, …) if transposed
        flops = 2 * (x if transposed else y).numel() * per_pixel
        kind = "transposed convolution" if transposed else "convolution"
        times = 1 + (y.requires_grad and x.requires_grad) + (y.requires_grad and weight.requires_grad)
        self.passes += [Pass(path, kind, "convolutions", flops, x.numel() + y.numel(), weight.numel())] * times

    def note_attention(self, path: str, module: Attention, x: Tensor) -> None:
        """Note query by key and attention by value: two products, twice as many backwards; scores stay on the chip."""
        positions = math.prod(x.shape[-2:])
        numbers = x.shape[0] * positions * module.to_out.in_channels  # of query, key, value and result each
        flops = 2 * 2 * numbers * positions
        self.passes.append(Pass(path, "attention", "convolutions", flops, 4 * numbers))
        if x.requires_grad:
            self.passes.append(Pass(path, "attention", "convolutions", 2 * flops, 8 * numbers))

    def note_joining(self, path: str, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        """Note the concatenation before a level of the decoder: upsampled half, skip half."""
        (x,) = inputs
        # Backwards, the gradients of the skip, which two layers read, are added.
        self.move(path, "concatenation", x, 2 * x.numel(), 3 * x.numel() // 2)

    def move(
        self, path: str, kind: str, x: Tensor, forward: int, backward: int, group: Group = "pooling and skips"
    ) -> None:
        """Note passes that only move numbers: forward and, where the input `x` needs a gradient, backward."""
        for activations in (forward, backward) if x.requires_grad else (forward,):
            self.passes.append(Pass(path, kind, group, activations=activations))


def bound(passes: Iterable[Pass], images: int, precision: str, flops_per_second: float, bandwidth: float) -> Record:
    """Add up the least time of a step on a batch: by group, by layer, and the images/s that it allows."""
    nothing = {"flops": 0.0, "bytes": 0.0, "seconds": 0.0}
    groups: dict[str, Record] = {group: {**nothing} for group in GROUPS}
    layers: dict[tuple[str, str], Record] = {}
    for one in passes:
        described = {"layer": one.layer, "kind": one.kind, "group": one.group, **nothing}
        layer = layers.setdefault((one.layer, one.kind), described)
        flops = one.flops * images / COUNTED_IMAGES
        numbers = one.activations * images / COUNTED_IMAGES + one.weights
        moved = numbers * _BYTES[precision] + one.state * _BYTES["no"]  # bytes
        seconds = max(flops / flops_per_second, moved / bandwidth)
        for sums in (groups[one.group], layer):
            sums["flops"] += flops
            sums["bytes"] += moved
            sums["seconds"] += seconds
    total = sum(group["seconds"] for group in groups.values())
    return {"seconds": total, "images_per_second": images / total, "groups": groups, "layers": [*layers.values()]}
