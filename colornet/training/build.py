"""From a configuration to the parts it names: color space, networks, objective, trainer."""

from __future__ import annotations

import copy
import functools
import hashlib
import logging
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from safetensors import safe_open
from torch import nn
from torch.optim import Adam

from colornet.config import TrainConfig, check_init
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError
from colornet.models.build import build_discriminator, build_generator, color_space
from colornet.models.discriminators import DCGANDiscriminator, PatchDiscriminator
from colornet.objectives import Adversarial, Objective, Reconstruction
from colornet.objectives.losses import BCE, HINGE, RECONSTRUCTION_LOSSES
from colornet.runs.checkpoint import list_checkpoints
from colornet.runs.provenance import images_before
from colornet.runs.run import load_run
from colornet.training.accelerator import keep_freed_memory, start_accelerator
from colornet.training.optimization import update
from colornet.training.trainer import Trainer

__all__ = [
    "build_trainer",
    "compose_objective",
    "compose_trainer",
]

logger = logging.getLogger(__name__)


def warm_start(generator: nn.Module, config: TrainConfig) -> dict[str, Any]:
    """Give a generator the weights of the run in `init_from` and return where they come from, for the provenance.

    Weights that see noise which the other generator does not know become zero: the first colorings are its own.
    `images` counts what the weights have seen, those of the other run's own origin included. Raises `InputError` for a
    run that cannot be used.
    """
    check_init(config)
    run_dir = Path(config.init_from or "")
    origin, other = load_run(run_dir)
    weights = other.state_dict()
    for name, value in generator.state_dict().items():
        missing = value.shape[1] - weights[name].shape[1] if value.ndim == 4 else 0
        if missing:
            weights[name] = F.pad(weights[name], (0, 0, 0, 0, 0, missing))
    generator.load_state_dict(weights)
    path = run_dir / "model.safetensors"
    with safe_open(path, "pt") as file:
        step = (file.metadata() or {}).get("step")
    if step is None:
        raise InputError(f"{path} does not say after how many steps it was saved: choose a run that trained it.")
    return {
        "run": run_dir.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "step": int(step),
        "images": int(step) * origin.batch_size + images_before(run_dir),
    }


def compose_trainer(config: TrainConfig) -> Trainer:
    """Start the processes' common work and put together everything a run needs; `fit` of the result trains."""
    accelerator = start_accelerator(config)
    # The first process of a machine downloads or decodes, the others find what it cached.
    with accelerator.local_main_process_first():
        dataset = load_dataset(
            config.data,
            image_size=config.image_size,
            cache_dir=Path(config.cache_dir) if config.cache_dir else None,
            progress=accelerator.is_local_main_process,
        )

    return build_trainer(config, accelerator, dataset)


def build_trainer(config: TrainConfig, accelerator: Accelerator, dataset: Dataset) -> Trainer:
    """Put together networks, objective and trainer for images that are loaded already."""
    torch.backends.cudnn.benchmark = True  # the shapes never change
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    # Every process draws the same weights. The moving average is copied before `prepare` touches the network.
    torch.manual_seed(config.seed)
    generator: nn.Module = build_generator(config)
    discriminator = build_discriminator(config) if config.objective == "adversarial" else None
    going_on = config.resume == "auto" and list_checkpoints(Path(config.run_dir) / "checkpoints")
    origin = None if config.init_from is None or going_on else warm_start(generator, config)
    ema = copy.deepcopy(generator).to(accelerator.device).eval().requires_grad_(False)
    objective = compose_objective(config, accelerator, generator, discriminator)
    return Trainer(config, accelerator, dataset, objective, ema, color_space(config), origin)


def compose_objective(
    config: TrainConfig,
    accelerator: Accelerator,
    generator: nn.Module,
    discriminator: PatchDiscriminator | DCGANDiscriminator | None,
) -> Objective:
    """Compile and prepare the networks, give them optimizers, and join them to an objective."""
    space = color_space(config)
    distance = RECONSTRUCTION_LOSSES[config.reconstruction_loss]
    bound_update = functools.partial(update, accelerator, config.max_grad_norm)
    adam = functools.partial(Adam, betas=(config.beta1, config.beta2), fused=True)
    on_cuda = accelerator.device.type == "cuda"

    def prepare(network: nn.Module, lr: float) -> tuple[nn.Module, torch.optim.Optimizer]:
        if on_cuda and accelerator.num_processes > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        if config.compile == "on" or (config.compile == "auto" and on_cuda):
            network.compile()  # in place, inside DDP's wrapper: the keys of the weights stay as they are
        prepared, optimizer = accelerator.prepare(network, adam(network.parameters(), lr=lr))
        return prepared, optimizer

    g, g_optimizer = prepare(generator, config.lr)
    if discriminator is None:
        return Reconstruction(g, g_optimizer, space, distance, bound_update)
    # As it is before compilation, which knows no gradients of gradients, and before autocast: in fp32.
    plain_discriminator = discriminator.forward
    d, d_optimizer = prepare(discriminator, config.discriminator_lr)
    return Adversarial(
        g,
        d,
        g_optimizer,
        d_optimizer,
        space,
        distance,
        config.reconstruction_weight,
        {"hinge": HINGE, "bce": BCE}[config.adversarial_loss],
        bound_update,
        separate_batches=discriminator.separate_batches,
        power_iteration=discriminator.power_iteration,
        plain_discriminator=plain_discriminator,
        r1_weight=config.r1_weight,
        diversity_weight=config.diversity_weight,
    )
