"""From a configuration to the parts it names: color space, networks, objective, trainer."""

from __future__ import annotations

import copy
import functools
import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn
from torch.optim import Adam

from colornet.color import ColorSpace, LabSpace, RgbSpace
from colornet.config import TrainConfig, check_init, load_config
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError
from colornet.models.discriminators import DCGANDiscriminator, PatchDiscriminator
from colornet.models.unet import UNet
from colornet.objectives import Adversarial, Objective, Reconstruction
from colornet.objectives.losses import BCE, HINGE, RECONSTRUCTION_LOSSES
from colornet.runs.checkpoint import list_checkpoints
from colornet.runs.pretrained import check_release
from colornet.runs.provenance import images_before
from colornet.training.allocator import keep_freed_memory
from colornet.training.optimization import update
from colornet.training.rendezvous import join
from colornet.training.trainer import Trainer

__all__ = [
    "build_discriminator",
    "build_generator",
    "build_trainer",
    "choose_precision",
    "color_space",
    "compose_objective",
    "compose_trainer",
    "load_run",
]

logger = logging.getLogger(__name__)


def choose_precision(config: TrainConfig) -> str:
    """Return "no", "bf16" or "fp16"; `auto` takes bf16 where the device has instructions for it.

    A CPU without AMX or AVX512-BF16 accepts bf16 and emulates it, more slowly than it computes fp32.
    """
    on_gpu = torch.cuda.is_available() and not config.cpu
    if config.mixed_precision == "fp16" and not on_gpu:
        raise InputError("--mixed-precision fp16 needs a GPU: choose bf16, no or auto.")
    if config.mixed_precision != "auto":
        return config.mixed_precision
    if on_gpu:
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "no"


def color_space(config: TrainConfig) -> ColorSpace:
    """Return the color space in which the networks of a configuration work."""
    return LabSpace() if config.color_space == "lab" else RgbSpace()


def build_generator(config: TrainConfig) -> UNet:
    """Build the generator; its weights come from torch's global random numbers."""
    return UNet(
        1,
        color_space(config).color_channels,
        width=config.width,
        multipliers=config.multipliers,
        blocks=config.blocks,
        residual=config.residual,
        attention=config.attention,
        norm=config.norm,
        noise_channels=config.noise_channels,
        activation_checkpointing=config.activation_checkpointing,
    ).to(memory_format=torch.channels_last)


def build_discriminator(config: TrainConfig) -> PatchDiscriminator | DCGANDiscriminator:
    """Build the discriminator; its weights come from torch's global random numbers."""
    channels = color_space(config).color_channels + (1 if config.conditional else 0)
    if config.discriminator == "patch":
        discriminator: PatchDiscriminator | DCGANDiscriminator = PatchDiscriminator(
            channels, width=config.discriminator_width, conditional=config.conditional
        )
    else:
        discriminator = DCGANDiscriminator(
            channels,
            width=config.discriminator_width,
            image_size=config.image_size,
            conditional=config.conditional,
        )
    return discriminator.to(memory_format=torch.channels_last)


def load_run(run_dir: Path) -> tuple[TrainConfig, UNet]:
    """Load the configuration of a run folder and its generator (the moving average), ready for inference.

    Raises `InputError` for a folder that is no run, or whose `model.safetensors` is missing, damaged or does not fit,
    and for a released model whose weights are not those of its `release.json`.
    """
    config = load_config(run_dir)
    path = run_dir / "model.safetensors"
    if not path.is_file():
        raise InputError(f"{run_dir} has no model.safetensors yet: train until its first checkpoint.")
    check_release(run_dir)
    with torch.device("meta"):  # takes no memory, whatever size the configuration claims
        generator = build_generator(config)
    try:
        generator.load_state_dict(load_file(path), assign=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        reason = (str(error).splitlines() or ["it is damaged"])[0]
        raise InputError(f"{path} cannot be loaded: {reason}; write it anew by training with --resume auto.") from error
    return config, generator.float().to(memory_format=torch.channels_last).eval().requires_grad_(False)


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
    accelerator = _start(config)
    # The first process of a machine downloads or decodes, the others find what it cached.
    with accelerator.local_main_process_first():
        dataset = load_dataset(
            config.data,
            image_size=config.image_size,
            cache_dir=Path(config.cache_dir) if config.cache_dir else None,
            progress=accelerator.is_local_main_process,
        )

    return build_trainer(config, accelerator, dataset)


def _start(config: TrainConfig) -> Accelerator:
    """Connect the processes: over NCCL on GPUs, over gloo on CPUs and where GPUs are shared, which NCCL refuses."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    gpus = 0 if config.cpu else torch.cuda.device_count()
    shared = 0 < gpus < int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if launched > 1 and os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0":
        join("nccl" if gpus and not shared else "gloo")
    accelerator = Accelerator(
        mixed_precision=choose_precision(config),
        cpu=config.cpu,
        kwargs_handlers=[InitProcessGroupKwargs(backend="gloo")] if shared else [],
    )
    if shared and accelerator.is_local_main_process:
        logger.warning(
            "%s processes share %d of this machine's GPUs and talk through its memory: start one per GPU to be fast.",
            os.environ["LOCAL_WORLD_SIZE"],
            gpus,
        )
    if accelerator.num_processes != launched:
        raise InputError(
            f"{launched} processes were launched and each of them would train alone: on CPUs, add --cpu "
            "(launch/accelerate/multi_cpu.yaml)."
        )
    return accelerator


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
