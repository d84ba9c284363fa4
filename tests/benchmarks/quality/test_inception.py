"""Inception features against torch-fidelity's own path, with random weights made here, and what happens to bad files.

No distance computed here is a result: the network has never been trained.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch_fidelity
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import Dataset
from torch_fidelity import feature_extractor_inceptionv3 as fidelity

from benchmarks.quality.pretrained_networks import MissingWeightsError, load_inception, load_weights
from colornet.errors import InputError
from colornet.evaluation.loop import map_images
from colornet.metrics.distribution import frechet_distance, kernel_distance, precision_recall

CPU = torch.device("cpu")
BATCH = 4
SUBSETS, SUBSET_SIZE = 10, 5
ROOT = Path(__file__).parents[3]


class Images(Dataset[Tensor]):
    """The only kind of data set that torch-fidelity takes besides files: single uint8 images."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def write_weights(path: Path) -> Path:
    """Write a file of random weights that carry a signal through all layers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(fidelity.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        network = fidelity.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
    torch.save(network.state_dict(), path)
    return path


def draw_images() -> dict[str, Tensor]:
    """Draw nine dark images of noise and seven bright ones: neither number fills batches or suits two processes."""
    generator = torch.Generator().manual_seed(0)
    dark = torch.randint(0, 160, (9, 3, 32, 32), dtype=torch.uint8, generator=generator)
    bright = torch.randint(60, 256, (7, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return {"generated": dark, "real": bright}


def extract(weights: Path, sha256: str, images: dict[str, Tensor]) -> dict[str, Tensor]:
    """Extract the features of both sets, as many processes as there are."""
    inception, accelerator = load_inception(weights, weights.parent, CPU, sha256=sha256), Accelerator(cpu=True)

    def features(batch: Tensor) -> dict[str, Tensor]:
        return {"features": inception(batch)}

    return {
        name: map_images(features, part, accelerator, batch_size=BATCH)["features"] for name, part in images.items()
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_weights(tmp_path_factory.mktemp("inception") / "weights.pth")


@pytest.fixture(scope="module")
def sha256(weights: Path) -> str:
    return hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def images() -> dict[str, Tensor]:
    return draw_images()


@pytest.fixture(scope="module")
def features(weights: Path, sha256: str, images: dict[str, Tensor]) -> dict[str, Tensor]:
    return extract(weights, sha256, images)


def distances(features: dict[str, Tensor]) -> list[float]:
    generated, real = features["generated"], features["real"]
    return [
        frechet_distance(generated, real),
        *kernel_distance(generated, real, subsets=SUBSETS, subset_size=SUBSET_SIZE),
        *precision_recall(generated, real),
    ]


# --- the features ----------------------------------------------------------------------------------------------------


def test_distances_are_those_of_torch_fidelity(
    weights: Path, images: dict[str, Tensor], features: dict[str, Tensor]
) -> None:
    expected = torch_fidelity.calculate_metrics(
        input1=Images(images["generated"]),
        input2=Images(images["real"]),
        fid=True,
        kid=True,
        prc=True,
        feature_extractor="inception-v3-compat",  # precision and recall alone would be of VGG-16
        feature_extractor_weights_path=str(weights),
        batch_size=BATCH,
        kid_subsets=SUBSETS,
        kid_subset_size=SUBSET_SIZE,
        cuda=False,
        cache=False,
        save_cpu_ram=True,  # without workers
        verbose=False,
    )
    assert features["generated"].dtype == torch.float32
    assert features["generated"].shape == (9, 2048)
    kernel = ("kernel_inception_distance_mean", "kernel_inception_distance_std")
    names = ["frechet_inception_distance", *kernel, "precision", "recall"]
    frechet, *others = distances(features)
    assert frechet == pytest.approx(expected[names[0]], rel=1e-5)  # of 9 images, which torch-fidelity measures roughly
    assert others == [expected[name] for name in names[1:]]
    assert expected["frechet_inception_distance"] > 0.1  # the random network does tell dark from bright


def test_features_do_not_depend_on_autocast(weights: Path, sha256: str, images: dict[str, Tensor]) -> None:
    inception = load_inception(weights, weights.parent, CPU, sha256=sha256)
    batch = images["real"][:1]
    with torch.autocast("cpu", torch.bfloat16):
        values = inception(batch)
    assert torch.equal(values, inception(batch))
    assert not values.requires_grad
    with pytest.raises(ValueError, match="uint8"):
        inception(batch / 255)


# --- the files -------------------------------------------------------------------------------------------------------


class Payload:
    """Pickles to code that leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.mark,)


def file_url(path: Path, value: float) -> tuple[str, str]:
    """Write weights; return their URL and their sha256."""
    torch.save({"weight": torch.tensor(value)}, path)
    return path.as_uri(), hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_file_is_refused_before_it_is_read(weights: Path) -> None:
    expected = "0" * 64
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    message = re.escape(f"'{weights}' should have the sha256 {expected} but has {found}")
    with pytest.raises(InputError, match=message):
        load_inception(weights, weights.parent, CPU, sha256=expected)
    with pytest.raises(InputError, match="6726825d"):  # the published one, unless told otherwise
        load_inception(weights, weights.parent, CPU)


def test_weights_that_hold_code_do_not_run_it(tmp_path: Path) -> None:
    mark, path = tmp_path / "mark", tmp_path / "weights.pth"
    torch.save({"fc.weight": Payload(mark)}, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(pickle.UnpicklingError):
        load_inception(path, tmp_path, CPU, sha256=sha256)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists()  # the file would have run it


def test_a_given_file_is_used_as_it_is(tmp_path: Path) -> None:
    given, cache = tmp_path / "mine.pth", tmp_path / "cache"
    with pytest.raises(InputError, match=r"no file '.*mine\.pth': give the path of published\.pth"):
        load_weights(given, cache, url="file:///published.pth", sha256="0" * 64)
    _, sha256 = file_url(given, 1.5)
    assert load_weights(given, cache, url="file:///published.pth", sha256=sha256)["weight"] == 1.5
    assert not cache.exists()
    with pytest.raises(InputError, match="cannot be read"):
        load_weights(tmp_path, cache, url="file:///published.pth", sha256="0" * 64)


def test_weights_are_downloaded_once(tmp_path: Path) -> None:
    url, sha256 = file_url(tmp_path / "published.pth", 2.5)
    assert load_weights(None, tmp_path / "cache", url=url, sha256=sha256)["weight"] == 2.5
    (tmp_path / "published.pth").unlink()
    assert load_weights(None, tmp_path / "cache", url=url, sha256=sha256)["weight"] == 2.5
    assert [path.name for path in (tmp_path / "cache" / "weights").iterdir()] == ["published.pth"]


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Name a port of this machine at which nobody listens."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/weights.pth"


def test_a_download_that_fails_says_why(tmp_path: Path, no_server: str) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(MissingWeightsError, match=r"weights\.pth is not in '.*' and cannot be downloaded \(.*refused"):
        load_weights(None, cache, url=no_server, sha256="0" * 64)
    missing = (tmp_path / "missing.pth").as_uri()
    with pytest.raises(MissingWeightsError, match=r"missing\.pth is not in .* cannot be downloaded \(.*No such file"):
        load_weights(None, cache, url=missing, sha256="0" * 64)
    url, sha256 = file_url(tmp_path / "published.pth", 3.5)
    with pytest.raises(MissingWeightsError, match=f"whose sha256 is {sha256}, not {'0' * 64}"):
        load_weights(None, cache, url=url, sha256="0" * 64)
    assert list((cache / "weights").iterdir()) == []
