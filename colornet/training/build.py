"""From a configuration to the parts that it names: data, networks, objective, trainer."""

from __future__ import annotations

import copy
import functools
import logging
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Adam, Optimizer

from colornet.config import TrainConfig
from colornet.data import Dataset, load_dataset
from colornet.errors import InputError, printable
from colornet.evaluation.processes import local_first, on_all
from colornet.hub import is_hub_name
from colornet.models.build import build_generator
from colornet.objectives import Objective
from colornet.objectives.find import find_objective
from colornet.runs.checkpoint import list_checkpoints
from colornet.runs.pretrained import check_init, find_model
from colornet.runs.run import Run
from colornet.training.accelerator import keep_freed_memory, start_accelerator
from colornet.training.optimization import update
from colornet.training.trainer import Trainer

GRAY_SPREAD = 4  # between the channels of a pixel, of 255

logger = logging.getLogger(__name__)


def compose_trainer(config: TrainConfig) -> Trainer:
    """Connect the processes, load the data and build everything that a run needs; `fit` of the result trains."""
    accelerator = start_accelerator(config)
    cache_dir, progress = Path(config.cache_dir) if config.cache_dir else None, accelerator.is_local_main_process

    def load() -> Dataset:
        # The first process of a machine downloads or decodes, the others find what it cached.
        with local_first(accelerator):
            dataset = load_dataset(config.data, image_size=config.image_size, cache_dir=cache_dir, progress=progress)
        check_colors(dataset, warn=progress)
        return dataset

    return build_trainer(config, accelerator, on_all(accelerator, load))


def check_colors(dataset: Dataset, *, warn: bool) -> None:
    """Raise `InputError` if there is no color to learn from: a thousand of the training images are looked at.

    Where a tenth of them is gray, or more, a warning says so if it is to `warn`.
    """
    images = dataset.train[:: -(-len(dataset.train) // 1000)]  # (n, 3, H, W)
    spread = images.amax(1).int() - images.amin(1).int()  # (n, H, W); a JPEG rounds gray to other than gray
    gray = int((spread.amax((1, 2)) <= GRAY_SPREAD).sum())
    looked = f"{gray:,} of {len(images):,} training images of {printable(dataset.name)} that were looked at are gray"
    if gray == len(images):
        raise InputError(f"{looked}: there is no color to learn from; choose photographs in color for --data.")
    if warn and gray >= len(images) / 10:
        logger.warning("%s: remove them, as they teach that gray things stay gray.", looked)


def build_trainer(config: TrainConfig, accelerator: Accelerator, dataset: Dataset) -> Trainer:
    """Build networks, objective and trainer for images that are loaded already."""
    torch.backends.cudnn.benchmark = True  # the shapes never change
    if accelerator.device.type == "cpu":
        keep_freed_memory()
    # Every process draws the same weights. The moving average is copied before `prepare` touches the network.
    torch.manual_seed(config.seed)
    generator: nn.Module = build_generator(config)
    resuming = config.resume == "auto" and list_checkpoints(Path(config.run_dir) / "checkpoints")
    warm = config.init_from is not None and not resuming
    origin = on_all(accelerator, lambda: warm_start(generator, config) if warm else None)
    ema = copy.deepcopy(generator).to(accelerator.device).eval().requires_grad_(False)
    objective = compose_objective(config, accelerator, generator)
    return Trainer(config, accelerator, dataset, objective, ema, origin)


def warm_start(generator: nn.Module, config: TrainConfig) -> dict[str, Any]:
    """Give a generator the weights of the run in `init_from` and return where they come from, for the provenance.

    Weights of noise that the other generator lacks become zero. `images` counts what the weights have seen, those of
    earlier origins included. Raises `InputError` for a run that cannot be used.
    """
    check_init(config)
    origin = config.init_from or ""
    run = Run(find_model(origin))
    weights = run.load_generator().state_dict()
    for name, value in generator.state_dict().items():
        missing = value.shape[1] - weights[name].shape[1] if value.ndim == 4 else 0
        if missing:
            weights[name] = F.pad(weights[name], (0, 0, 0, 0, 0, missing))  # (C_out, C_in + missing, 3, 3)
    generator.load_state_dict(weights)
    if run.step is None:
        raise InputError(f"{run.weights} does not say after how many steps it was saved: choose a run that trained it.")
    called = origin if is_hub_name(origin) else run.path.name
    return {"run": called, "sha256": run.sha256, "step": run.step, "images": run.images_seen}


def compose_objective(config: TrainConfig, accelerator: Accelerator, generator: nn.Module) -> Objective:
    """Build the objective of a configuration, which prepares its networks and gives them optimizers."""
    kind = on_all(accelerator, lambda: find_objective(config.objective))
    adam = functools.partial(Adam, betas=(config.beta1, config.beta2), fused=True)

    def prepare(network: nn.Module, lr: float) -> tuple[nn.Module, Optimizer]:
        if accelerator.device.type == "cuda" and accelerator.num_processes > 1:
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        if is_compiled(config.compile, network, accelerator.device):
            # In place, inside DDP's wrapper: the keys of the weights stay as they are. The shapes never change; without
            # being told so, the compiler takes a discriminator's two batches for a size that does.
            network.compile(dynamic=False)
        optimizer = accelerator.prepare(adam(network.parameters(), lr=lr))
        return wrap(accelerator, network), optimizer

    return kind(config, generator, prepare, functools.partial(update, accelerator, config.max_grad_norm))


def is_compiled(choice: str, network: nn.Module, device: torch.device) -> bool:
    """Tell whether a network is compiled under --compile `choice`.

    Each BatchNorm that is synchronized between GPUs would break the graph. By itself, such a network is not compiled;
    `InputError` where the user asks for it.
    """
    synchronized = any(isinstance(module, nn.SyncBatchNorm) for module in network.modules())
    if choice == "on" and synchronized:
        reason = "BatchNorm that is synchronized between GPUs cannot be compiled as one graph"
        raise InputError(f"--compile is on, but {reason}: leave the option out, or train on one GPU.")
    return choice == "on" or (choice == "auto" and device.type == "cuda" and not synchronized)


def wrap(accelerator: Accelerator, network: nn.Module) -> nn.Module:
    """Move a network to the device, give it the precision of the run, and let DDP average its gradients.

    Accelerate's own wrapper names the GPU with the number of the process on its machine, which need not exist. DDP
    sends the buffers of the first process to the others before each forward pass. Those of parametrizations, such as
    the vectors of spectral norms, follow from the weights and are equal already.
    """
    network = accelerator.prepare_model(network, evaluation_mode=True)  # which leaves DDP out
    if accelerator.num_processes == 1:
        return network
    equal = [name for name, _ in network.named_buffers() if "parametrizations" in name.split(".")]
    # The option for all buffers has another name in each version of torch.
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(network, equal)
    options = accelerator.ddp_handler.to_kwargs() if accelerator.ddp_handler else {}
    device_ids = [accelerator.device] if accelerator.device.type == "cuda" else None
    return DistributedDataParallel(network, device_ids=device_ids, **options)
