"""Published networks, Inception and LPIPS, in full float32, and their weights, which are downloaded once."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import torch
from torch import Tensor
from torch.nn import functional as F
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from colornet.bar import Bar
from colornet.color import to_float
from colornet.errors import InputError
from colornet.files import replacing
from colornet.metrics.precision import full_precision

# The publishers promise no more than the eight digits in the names; the rest of each sha256 is what projects that pin
# these files say, all of them the same.
INCEPTION_URL: str = URL_INCEPTION_V3
INCEPTION_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # of 95,628,359 bytes
ALEXNET_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
ALEXNET_SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"  # of 244,408,911 bytes

_INCEPTION, _LAYER = "inception-v3-compat", "2048"  # torch-fidelity's names of the network and of its last pooling
_SIZE = (64, 64)  # pixels of the images of LPIPS; AlexNet needs 63
_TIMEOUT = 30  # seconds without a byte, after which a download has failed


class MissingWeightsError(Exception):
    """Published weights are not available; the message is the reason for a footnote."""


def load_weights(path: Path | None, cache_dir: Path, *, url: str, sha256: str) -> dict[str, Tensor]:
    """Read published weights, a state dict, from `path` if given, else from `cache_dir`, downloaded if need be.

    Nothing is loaded, and no code that may be in the file is run, before its sha256 is known to be the right one. Among
    several processes, let one call it before the others do. Raises InputError for a file that is missing, unreadable
    or another one, `MissingWeightsError` if the download fails, and pickle.UnpicklingError for a file that holds more
    than tensors and plain values.
    """
    if path is None:
        path = cache_dir / "weights" / Path(url).name
        if not path.is_file():
            _download(url, path, sha256)
    try:
        content = path.read_bytes()  # once: the bytes that are checked are those that are loaded
    except FileNotFoundError as error:
        raise InputError(f"There is no file '{path}': give the path of {Path(url).name}.") from error
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error}): check the file.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(f"'{path}' should have the sha256 {sha256} but has {found}: remove or replace it.")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def load_inception(
    weights: Path | None, cache_dir: Path, device: torch.device, *, sha256: str = INCEPTION_SHA256
) -> Callable[[Tensor], Tensor]:
    """Load the network behind FID: from uint8 sRGB images (n, 3, H, W) on `device` to float32 features (n, 2048) there.

    It is torch-fidelity's `inception-v3-compat`, to the last bit, which resizes to 299 × 299 as TensorFlow 1 did. Its
    weights are found, and errors raised, as by `load_weights`; the features raise ValueError for images of another
    kind. Source: Szegedy et al. 2016, "Rethinking the Inception architecture for computer vision", with the weights of
    2015-12-05 that Heusel et al. 2017 used.
    """
    # The extractor unpickles any file that it is given: it gets one that was written here.
    checked = io.BytesIO()
    torch.save(load_weights(weights, cache_dir, url=INCEPTION_URL, sha256=sha256), checked)
    checked.seek(0)
    network = FeatureExtractorInceptionV3(_INCEPTION, [_LAYER], feature_extractor_weights_path=checked).to(device)
    if device.type == "cuda":  # also faster on CPUs, but rounded differently from torch-fidelity
        network = network.to(memory_format=torch.channels_last)

    @torch.no_grad()
    def features(images: Tensor) -> Tensor:
        with full_precision(device):
            return network(images)[0]  # (n, 2048)

    return features


def load_lpips(
    trunk: Path | None, cache_dir: Path, device: torch.device, *, sha256: str = ALEXNET_SHA256
) -> Callable[[Tensor, Tensor], Tensor]:
    """Load LPIPS: from two batches of uint8 sRGB images (n, 3, H, W) on `device` to float32 distances (n,) there.

    0 for equal images; symmetric. Images are resized to 64 × 64 first, as the protocol has it (bilinear, antialiased
    where that makes them smaller). The linear layers come with torchmetrics, without which `MissingWeightsError` is
    raised; `trunk` is torchvision's AlexNet, found as by `load_weights`. The distance raises ValueError for other
    images. Formula: Zhang et al. 2018, "The unreasonable effectiveness of deep features as a perceptual metric",
    version 0.1.
    """
    try:
        # Its public functions download the trunk, unpickle it and check neither; the network behind them need not.
        from torchmetrics.functional.image.lpips import _NoTrainLpips
    except ModuleNotFoundError as error:
        raise MissingWeightsError('torchmetrics is missing: run `pip install ".[benchmarks]"` in a checkout') from error
    weights = load_weights(trunk, cache_dir, url=ALEXNET_URL, sha256=sha256)
    network = _NoTrainLpips(net="alex", pnet_rand=True)
    # It keeps AlexNet's features in five slices: slice2.3.weight is torchvision's features.3.weight.
    names = network.net.state_dict()
    network.net.load_state_dict({name: weights[f"features.{name.partition('.')[2]}"] for name in names})
    network.to(device)

    @torch.no_grad()
    def distance(images: Tensor, others: Tensor) -> Tensor:
        if images.dtype != torch.uint8 or others.dtype != torch.uint8 or images.shape != others.shape:
            kinds = f"{images.dtype} {tuple(images.shape)} and {others.dtype} {tuple(others.shape)}"
            raise ValueError(f"expected two equal batches of uint8 images (n, 3, H, W), not {kinds}")
        with full_precision(device):
            resized = [F.interpolate(to_float(x), _SIZE, mode="bilinear", antialias=True) for x in (images, others)]
            return network(*resized, normalize=True).flatten()  # (n,), of (n, 3, 64, 64) each

    return distance


def _download(url: str, path: Path, sha256: str) -> None:
    """Download a file, whole and with this sha256, or raise `MissingWeightsError`; a terminal sees the progress."""
    try:
        with replacing(path) as temporary:
            with urlopen(url, timeout=_TIMEOUT) as response, temporary.open("wb") as file:
                size = int(response.headers.get("Content-Length", 0)) or None
                with Bar.wrapattr(response, "read", size, desc=path.name, leave=False) as stream:
                    shutil.copyfileobj(stream, file)
            found = hashlib.sha256(temporary.read_bytes()).hexdigest()
            if found != sha256:
                raise MissingWeightsError(f"{url} gave a file whose sha256 is {found}, not {sha256}")
    except (OSError, HTTPException) as error:
        raise MissingWeightsError(
            f"{path.name} is not in '{path.parent}' and cannot be downloaded ({error})"
        ) from error
