"""What one update is: the autoencoder's regression and the conditional GAN's game.

An objective knows no device, process, file or log. It is handed networks and optimizers as Accelerate prepared them,
and `update`, which turns losses into one optimizer step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from colornet.color import ColorSpace, to_float
from colornet.objectives.losses import AdversarialLoss

__all__ = ["Adversarial", "Objective", "Reconstruction", "Update"]

Distance = Callable[[Tensor, Tensor], Tensor]

R1_INTERVAL = 16  # steps from one gradient penalty to the next, each of that many times the weight (Karras et al. 2020)
DIVERSITY_BOUND = 0.1  # of the ratio between the distance of two colorings and that of their noise


class Update(Protocol):
    """Make one optimizer step on the mean of `count` losses and return the L2 norm of its gradient, a scalar.

    The losses come from an iterator so that each forward pass runs only when its backward pass is next: the graph of
    one micro-batch is in memory at a time.
    """

    def __call__(self, network: nn.Module, optimizer: Optimizer, losses: Iterator[Tensor], count: int) -> Tensor: ...


class Objective(Protocol):
    """What the trainer needs of an objective; both networks and optimizers are by name."""

    generator: nn.Module
    networks: dict[str, nn.Module]
    optimizers: dict[str, Optimizer]

    def training_step(
        self, microbatches: Sequence[Tensor], *, step: int = 0, noise: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Update every network once on uint8 images, a list of (n, 3, H, W); return detached scalars by name.

        `step` counts the updates before this one; a generator that sees noise is given `noise`, a list of (n, C).
        """
        ...


class Sample(NamedTuple):
    """A micro-batch as the networks see it: gray (n, 1, H, W), color (n, C, H, W), and the generator's noise."""

    gray: Tensor
    color: Tensor
    noise: Tensor | None


def _samples(space: ColorSpace, microbatches: Sequence[Tensor], noise: Sequence[Tensor] | None) -> Iterator[Sample]:
    for index, images in enumerate(microbatches):
        yield Sample(*space.encode(to_float(images)), None if noise is None else noise[index])


class Reconstruction:
    """Regression: the generator's color is to be near the true one."""

    def __init__(
        self, generator: nn.Module, optimizer: Optimizer, space: ColorSpace, distance: Distance, update: Update
    ) -> None:
        self.generator = generator
        self.networks = {"generator": generator}
        self.optimizers = {"generator": optimizer}
        self.space = space
        self.distance = distance
        self.update = update

    def training_step(
        self, microbatches: Sequence[Tensor], *, step: int = 0, noise: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        logs = Means(len(microbatches))

        def losses() -> Iterator[Tensor]:
            for gray, color, z in _samples(self.space, microbatches, noise):
                loss = self.distance(self.generator(gray, z), color)
                logs.add("loss/reconstruction", loss)
                yield loss

        norm = self.update(self.generator, self.optimizers["generator"], losses(), len(microbatches))
        return {**logs.values, "grad_norm/generator": norm}


class Adversarial:
    """A conditional GAN: the discriminator tells true from generated colors, given the gray image; the generator fools
    it and stays near the true color.

    Goodfellow et al. 2014; Isola et al. 2017 for the condition and the L1 term.

    `r1_weight` is γ of the gradient penalty R1 = γ / 2 · E|∇D|² (Mescheder et al. 2018), of the mean logit of an image
    with respect to its true color. Its gradients are those of gradients: they go through `plain_discriminator`, the
    same network, neither compiled nor wrapped nor under autocast.

    `diversity_weight` rewards a generator with noise for the distance between its colorings for z and −z, as a share
    of the distance between these (Mao et al. 2019, "Mode seeking GANs"), up to a bound (Yang et al. 2019,
    "Diversity-sensitive conditional GANs"). −z needs no second draw, which micro-batches would have to share.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_optimizer: Optimizer,
        discriminator_optimizer: Optimizer,
        space: ColorSpace,
        distance: Distance,
        distance_weight: float,
        adversarial: AdversarialLoss,
        update: Update,
        *,
        separate_batches: bool,
        power_iteration: Callable[[], None],
        plain_discriminator: Callable[[Tensor, Tensor], Tensor],
        r1_weight: float = 0.0,
        diversity_weight: float = 0.0,
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.networks = {"generator": generator, "discriminator": discriminator}
        self.optimizers = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}
        self.space = space
        self.distance = distance
        self.distance_weight = distance_weight
        self.adversarial = adversarial
        self.update = update
        self.separate_batches = separate_batches
        self.power_iteration = power_iteration
        self.plain_discriminator = plain_discriminator
        self.r1_weight = r1_weight
        self.diversity_weight = diversity_weight

    def training_step(
        self, microbatches: Sequence[Tensor], *, step: int = 0, noise: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        logs = Means(len(microbatches))
        samples = list(_samples(self.space, microbatches, noise))
        # One micro-batch: its forward pass serves both updates. Several: to keep the graphs of all would cost the
        # memory that micro-batches are there to save, so the generator runs again for its own update.
        shared = self.generator(samples[0].gray, samples[0].noise) if len(samples) == 1 else None

        self.power_iteration()
        count = len(samples) * (2 if self.separate_batches else 1)
        d_losses = self.discriminator_losses(samples, shared, logs, penalized=step % R1_INTERVAL == 0)
        d_norm = self.update(self.discriminator, self.optimizers["discriminator"], d_losses, count)

        # Frozen, the discriminator passes gradients on to the generator without collecting or synchronizing its own.
        self.discriminator.requires_grad_(False)
        g_losses = self.generator_losses(samples, shared, logs)
        g_norm = self.update(self.generator, self.optimizers["generator"], g_losses, len(samples))
        self.discriminator.requires_grad_(True)
        return {**logs.values, "grad_norm/generator": g_norm, "grad_norm/discriminator": d_norm}

    def discriminator_losses(
        self, samples: Sequence[Sample], shared: Tensor | None, logs: Means, *, penalized: bool
    ) -> Iterator[Tensor]:
        """Yield the loss on real and fake images of each micro-batch, or the two one after the other."""
        for gray, color, z in samples:
            if shared is None:
                with torch.no_grad():
                    fake = self.generator(gray, z)
            else:
                fake = shared.detach()
            if self.separate_batches:
                # The batch statistics of real and fake images must not mix: two calls, each with its backward pass.
                for side, image, criterion in (
                    ("real", color, self.adversarial.real),
                    ("fake", fake, self.adversarial.fake),
                ):
                    logits = self.discriminator(gray, image)
                    loss = criterion(logits)
                    logs.add("loss/discriminator", loss / 2)
                    logs.add(f"logits/{side}", logits.mean())
                    yield loss
            else:
                logits = self.discriminator(torch.cat((gray, gray)), torch.cat((color, fake)))  # (2 N, …)
                real_logits, fake_logits = logits.chunk(2)
                loss = (self.adversarial.real(real_logits) + self.adversarial.fake(fake_logits)) / 2
                logs.add("loss/discriminator", loss)
                logs.add("logits/real", real_logits.mean())
                logs.add("logits/fake", fake_logits.mean())
                if self.r1_weight:
                    # Lazily, and logged so that the mean over many steps is that of the penalty. Part of this loss, its
                    # gradients are synchronized and accumulated with the others. Halved once more, as the loss is.
                    penalty = R1_INTERVAL * self.gradient_penalty(gray, color) if penalized else loss.new_zeros(())
                    logs.add("loss/r1", penalty)
                    loss = loss + self.r1_weight / 4 * penalty
                yield loss

    def gradient_penalty(self, gray: Tensor, color: Tensor) -> Tensor:
        """Return the mean over images of |∇D|² at the true color (n, C, H, W), to be differentiated again."""
        color = color.detach().requires_grad_()
        with torch.autocast(color.device.type, enabled=False):
            logits = self.plain_discriminator(gray, color)
            (gradient,) = torch.autograd.grad(logits.mean((1, 2, 3)).sum(), color, create_graph=True)
            return gradient.square().sum((1, 2, 3)).mean()

    def generator_losses(self, samples: Sequence[Sample], shared: Tensor | None, logs: Means) -> Iterator[Tensor]:
        """Yield the generator's loss on each micro-batch."""
        for gray, color, z in samples:
            fake = self.generator(gray, z) if shared is None else shared
            reconstruction = self.distance(fake, color)
            adversarial = self.adversarial.generator(self.discriminator(gray, fake))
            loss = self.distance_weight * reconstruction + adversarial
            logs.add("loss/reconstruction", reconstruction)
            logs.add("loss/adversarial", adversarial)
            if self.diversity_weight and z is not None:
                moved = (fake - self.generator(gray, -z)).abs().mean((1, 2, 3))  # (n,)
                ratio = (moved / (2 * z).abs().mean(1)).clamp(max=DIVERSITY_BOUND).mean()
                logs.add("diversity", ratio)
                loss = loss - self.diversity_weight * ratio
            logs.add("loss/generator", loss)
            yield loss


class Means:
    """Means of scalars over the micro-batches of a step, kept on the device."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.values: dict[str, Tensor] = {}

    def add(self, name: str, value: Tensor) -> None:
        share = value.detach() / self.count
        self.values[name] = self.values[name] + share if name in self.values else share
