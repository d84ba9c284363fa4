"""The conditional GAN."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from colornet.config import TrainConfig
from colornet.models.build import build_discriminator, color_space
from colornet.objectives import Charts, Prepare, Update
from colornet.objectives.base import Means, Sample, encode
from colornet.objectives.losses import ADVERSARIAL_LOSSES, RECONSTRUCTION_LOSSES


class Adversarial:
    """The discriminator learns to tell true from generated colors; the generator to fool it and stay near the truth.

    Goodfellow et al. 2014; Isola et al. 2017 for the condition and the L1 term. If `relativistic`, the discriminator
    learns to tell the true colors of a gray image from the generated ones, and the generator the opposite, by the
    difference of their logits at the same place (Jolicoeur-Martineau 2019; Huang et al. 2024, also for R2).

    `r1_weight` and `r2_weight` are γ of gradient penalties γ / 2 · E|∇D|² (Mescheder et al. 2018), of the mean logit of
    an image with respect to its true or its generated color, made every few steps (Karras et al. 2020). They are
    differentiated a second time, through `plain_discriminator`: neither compiled nor wrapped nor under autocast.
    """

    description = "conditional GAN"
    charts: ClassVar[Charts] = {
        "losses": {"reconstruction": ("loss/reconstruction",), "adversarial, of the generator": ("loss/adversarial",)},
        "balance of the GAN": {
            "logits, real and fake": ("logits/real", "logits/fake"),
            "loss of the discriminator": ("loss/discriminator",),
        },
    }

    def __init__(self, config: TrainConfig, generator: nn.Module, prepare: Prepare, update: Update) -> None:
        discriminator = build_discriminator(config)
        self.separate_batches = discriminator.separate_batches
        self.power_iteration = discriminator.power_iteration
        # As it is before compilation, which has no second derivatives, and before autocast: in fp32.
        self.plain_discriminator: Callable[[Tensor, Tensor], Tensor] = discriminator.forward
        self.generator, generator_optimizer = prepare(generator, config.lr)
        self.discriminator, discriminator_optimizer = prepare(discriminator, config.discriminator_lr)
        self.networks = {"generator": self.generator, "discriminator": self.discriminator}
        self.optimizers = {"generator": generator_optimizer, "discriminator": discriminator_optimizer}
        self.space = color_space(config)
        self.distance = RECONSTRUCTION_LOSSES[config.reconstruction_loss]
        self.adversarial = ADVERSARIAL_LOSSES[config.adversarial_loss]
        self.config = config
        self.update = update

    def alike(self, step: int) -> int:
        """Steps with a gradient penalty are alike, and so are those without."""
        return int(self.penalizes(step))

    def penalizes(self, step: int) -> bool:
        """Tell whether a step has gradient penalties."""
        return bool(self.config.r1_weight or self.config.r2_weight) and step % self.config.penalty_every == 0

    def training_step(
        self, microbatches: Sequence[Tensor], *, step: int = 0, noise: Sequence[Tensor] | None = None
    ) -> dict[str, Tensor]:
        means = Means(len(microbatches))
        samples = list(encode(self.space, microbatches, noise))
        # One micro-batch: its forward pass serves both updates. Several: keeping the graphs of all would cost the
        # memory that micro-batches save, so the generator runs again for its own update.
        shared = self.generator(samples[0].gray, samples[0].noise) if len(samples) == 1 else None

        self.power_iteration()
        count = len(samples) * (2 if self.separate_batches else 1)
        d_losses = self.discriminator_losses(samples, shared, means, penalized=self.penalizes(step))
        d_norm = self.update(self.discriminator, self.optimizers["discriminator"], d_losses, count)

        # Frozen, the discriminator passes gradients on to the generator without collecting or synchronizing its own.
        self.discriminator.requires_grad_(False)
        g_losses = self.generator_losses(samples, shared, means)
        g_norm = self.update(self.generator, self.optimizers["generator"], g_losses, len(samples))
        self.discriminator.requires_grad_(True)
        return {**means.values, "grad_norm/generator": g_norm, "grad_norm/discriminator": d_norm}

    def discriminator_losses(
        self, samples: Sequence[Sample], shared: Tensor | None, means: Means, *, penalized: bool
    ) -> Iterator[Tensor]:
        """Yield the loss on real and fake images of each micro-batch, or the two one after the other."""
        for gray, color, z in samples:
            with torch.no_grad():
                fake = self.generator(gray, z) if shared is None else shared.detach()
            if self.separate_batches:
                # The batch statistics of real and fake images must not mix: two calls, each with its backward pass.
                real_and_fake = ("real", color, self.adversarial.real), ("fake", fake, self.adversarial.fake)
                for side, image, criterion in real_and_fake:
                    logits = self.discriminator(gray, one_layout(image))
                    loss = criterion(logits)
                    means.add("loss/discriminator", loss / 2)
                    means.add(f"logits/{side}", logits.mean())
                    yield loss
            else:
                both = torch.cat((one_layout(color), one_layout(fake)))  # (2 n, C, H, W)
                logits = self.discriminator(torch.cat((gray, gray)), both)  # (2 n, …)
                real_logits, fake_logits = logits.chunk(2)  # (n, …) each
                if self.config.relativistic:
                    loss = self.adversarial.real(real_logits - fake_logits)
                else:
                    loss = (self.adversarial.real(real_logits) + self.adversarial.fake(fake_logits)) / 2
                means.add("loss/discriminator", loss)
                means.add("logits/real", real_logits.mean())
                means.add("logits/fake", fake_logits.mean())
                for name, weight, image in (("r1", self.config.r1_weight, color), ("r2", self.config.r2_weight, fake)):
                    if weight:
                        # Logged so that the mean over many steps is that of the penalty. As a part of this loss, its
                        # gradients are synchronized and accumulated with the others. Halved once more if the loss is.
                        penalty = loss.new_zeros(())
                        if penalized:
                            penalty = self.config.penalty_every * self.gradient_penalty(gray, image)
                        means.add(f"loss/{name}", penalty)
                        loss = loss + weight / (2 if self.config.relativistic else 4) * penalty
                yield loss

    def gradient_penalty(self, gray: Tensor, color: Tensor) -> Tensor:
        """Return the mean over images of |∇D|² at a color (n, C, H, W), to be differentiated again."""
        color = color.detach().requires_grad_()
        with torch.autocast(color.device.type, enabled=False):
            logits = self.plain_discriminator(gray, color)  # (n, 1, h, w)
            (gradient,) = torch.autograd.grad(logits.mean((1, 2, 3)).sum(), color, create_graph=True)
            return gradient.square().sum((1, 2, 3)).mean()

    def generator_losses(self, samples: Sequence[Sample], shared: Tensor | None, means: Means) -> Iterator[Tensor]:
        """Yield the generator's loss on each micro-batch."""
        for gray, color, z in samples:
            fake = self.generator(gray, z) if shared is None else shared
            reconstruction = self.distance(fake, color)
            logits = self.discriminator(gray, one_layout(fake))
            if self.config.relativistic:
                with torch.no_grad():
                    real_logits = self.discriminator(gray, one_layout(color))
                logits = logits - real_logits
            adversarial = self.adversarial.generator(logits)
            loss = self.config.reconstruction_weight * reconstruction + adversarial
            means.add("loss/reconstruction", reconstruction)
            means.add("loss/adversarial", adversarial)
            means.add("loss/generator", loss)
            yield loss


def one_layout(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) channels last: a discriminator that is compiled is so for one layout only."""
    return images.contiguous(memory_format=torch.channels_last)
