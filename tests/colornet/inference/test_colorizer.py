"""Coloring images of any kind and size as the model was trained and measured to do."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import colornet
import colornet.inference
from colornet.color import lightness_input, rgb_to_lab, to_float, to_uint8
from colornet.errors import InputError
from colornet.evaluation.loop import colorize_with
from colornet.inference import colorizer as inference
from colornet.inference.colorizer import Colorizer
from colornet.models.build import color_space
from colornet.runs import pretrained as released
from colornet.runs.run import load_run
from tests.images import lightness, photo
from tests.runs import save_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def colorizer(run: Path) -> Colorizer:
    return Colorizer.load(run, "cpu")


def noise(count: int, size: int = 16) -> Tensor:
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Seen:
    """Keep what a network was given and what it said."""

    def __init__(self, network: Callable[[Tensor], Tensor]) -> None:
        assert isinstance(network, nn.Module)
        self.given: list[Tensor] = []
        self.said: list[Tensor] = []
        self.hook = network.register_forward_hook(self)

    def __call__(self, _: nn.Module, given: tuple[Tensor], said: Tensor) -> None:
        self.given.append(given[0].clone())
        self.said.append(said.clone())

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        self.hook.remove()


@pytest.mark.parametrize("preset", ["ae", "notebook-ae"])
@pytest.mark.parametrize("size", [(16, 16), (16, 24)])
def test_network_input_and_output_are_those_of_evaluation(preset: str, size: tuple[int, int], tmp_path: Path) -> None:
    # Color images: feeding their red channel as lightness, or lightness that is not at 8 bits, would fail.
    config, network = load_run(save_run(tmp_path, preset))
    images = noise(5, 24)[..., : size[0], : size[1]]
    loaded = Colorizer.load(tmp_path, "cpu")
    with Seen(network) as expected:
        colorize_with(network, color_space(config), Accelerator(cpu=True))(images)
    with Seen(loaded.network) as seen:
        loaded.colorize(images)
    assert len(seen.given) == 1
    assert torch.equal(seen.given[0], expected.given[0])
    assert torch.equal(seen.said[0], expected.said[0])


def test_pixels_at_training_size_are_those_of_evaluation(run: Path, colorizer: Colorizer) -> None:
    config, network = load_run(run)
    images = noise(8)
    # Evaluation joins colors with L* at 8 bits; given an image whose L* is that, inference must, too. Where sRGB ends,
    # evaluation clips channels and inference keeps the lightness.
    evaluated = colorize_with(network, color_space(config), Accelerator(cpu=True), gray=lightness_input)(images)
    colored = to_uint8(colorizer.colorize(lightness_input(to_float(images))))
    shown = ((evaluated > 0) & (evaluated < 255)).all(1, keepdim=True).expand_as(evaluated)
    assert 0.3 < shown.float().mean() < 1
    assert torch.equal(colored[shown], evaluated[shown])
    assert not torch.equal(colored, evaluated)


def test_colors_of_an_rgb_model_are_joined_with_the_lightness_of_the_image(tmp_path: Path) -> None:
    loaded = Colorizer.load(save_run(tmp_path, "notebook-ae"), "cpu")
    image = torch.full((1, 3, 16, 16), 0.5)
    with Seen(loaded.network) as seen:
        lab = rgb_to_lab(loaded.colorize(image))
    said = rgb_to_lab(seen.said[0].clamp(0, 1))
    assert said[:, 1:].abs().max() > 3
    torch.testing.assert_close(lab[:, 1:], said[:, 1:], atol=2e-2, rtol=0)
    torch.testing.assert_close(lab[:, :1], rgb_to_lab(image)[:, :1], atol=2e-2, rtol=0)


@pytest.mark.parametrize("saturation", [1.0, 3.0])
def test_lightness_stays(saturation: float, colorizer: Colorizer) -> None:
    image = photo(90, 130)
    image[:10] = np.arange(130)[:, None] * 255 // 129  # from black to white, where sRGB has the least room
    original, eight = lightness(image), colorizer.colorize(image, saturation=saturation)
    assert (rgb_to_lab(torch.from_numpy(eight.transpose(2, 0, 1) / 255.0))[1:].abs().amax((1, 2)) > 10).all()
    difference = (lightness(eight) - original).abs()
    # 8 bits round each channel by up to half a level, and neighboring grays are up to 0.51 L* units apart.
    assert difference.max() < 0.26
    assert difference.mean() < 0.08
    sixteen = colorizer.colorize(image.astype(np.uint16) * 257, saturation=saturation)
    assert (lightness(sixteen) - original).abs().max() < 0.005


def test_saturation(colorizer: Colorizer) -> None:
    image = 0.4 + 0.2 * to_float(noise(1, 40))  # far from black and white
    chroma = [rgb_to_lab(colorizer.colorize(image, saturation=s))[:, 1:] for s in (0.0, 0.25, 0.5)]
    assert chroma[0].abs().max() < 0.05
    inside = chroma[2].abs().amax(1, keepdim=True).expand_as(chroma[2]) < 20  # far from where sRGB ends
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(chroma[2][inside], 2 * chroma[1][inside], atol=0.05, rtol=0)
    for saturation in (-1, 101):
        with pytest.raises(ValueError, match=f"saturation is {saturation}: it must be from 0 to 100"):
            colorizer.colorize(image, saturation=saturation)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_colors_that_are_not_numbers_are_an_error_and_not_black(value: float, run: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(run, tmp_path / "run"))
    weights = load_file(broken / "model.safetensors")
    save_file({name: torch.full_like(tensor, value) for name, tensor in weights.items()}, broken / "model.safetensors")
    with pytest.raises(InputError, match=r"holds infinity or NaN|produces infinite or NaN colors"):
        Colorizer.load(broken, "cpu").colorize(np.zeros((32, 32), np.uint8))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1), (20, 30, 3)])
def test_arrays(dtype: type[Any], shape: tuple[int, ...], colorizer: Colorizer) -> None:
    scale = {"u": np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1, "f": 1}[np.dtype(dtype).kind]
    image = (np.random.default_rng(0).uniform(0, 1, shape) * scale).astype(dtype)
    image.flags.writeable = False
    colored = colorizer.colorize(image)
    assert colored.shape == (20, 30, 3)
    assert colored.dtype == np.dtype(dtype)
    assert colored.flags.c_contiguous
    turned = colorizer.colorize(image[::-1].astype(image.dtype.newbyteorder(">")))
    assert (turned.shape, turned.dtype) == (colored.shape, colored.dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(1, 20, 30), (3, 20, 30), (2, 1, 20, 30), (2, 3, 20, 30)])
def test_tensors(dtype: torch.dtype, shape: tuple[int, ...], colorizer: Colorizer) -> None:
    level = {torch.uint8: 255, torch.uint16: 65535}.get(dtype, 1)
    image = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * level).to(dtype)
    colored = colorizer.colorize(image)
    assert colored.dtype == dtype
    assert colored.shape == (*shape[:-3], 3, 20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr",
                                  "LAB", "HSV", "I", "I;16", "I;16B", "F"])  # fmt: skip
def test_pillow_images_of_any_mode(mode: str, colorizer: Colorizer) -> None:
    image = Image.new(mode, (30, 20), 1)
    colored = colorizer.colorize(image)
    assert colored.mode == ("RGBA" if mode in ("LA", "La", "PA", "RGBA", "RGBa") else "RGB")
    assert colored.size == (30, 20)


def test_kinds_agree(colorizer: Colorizer) -> None:
    pixels = photo(40, 50)
    colored = colorizer.colorize(pixels)
    assert np.array_equal(np.asarray(colorizer.colorize(Image.fromarray(pixels))), colored)
    chw = colorizer.colorize(torch.from_numpy(pixels).permute(2, 0, 1))
    assert np.array_equal(chw.permute(1, 2, 0).numpy(), colored)
    floats = colorizer.colorize(pixels.astype(np.float32) / np.float32(255))
    assert np.abs(floats * 255 - colored).max() <= 0.51
    deep = colorizer.colorize(pixels.astype(np.uint16) * 257)
    assert np.abs(deep / 257 - colored).max() <= 0.51
    gray = pixels[..., 0]
    assert np.array_equal(colorizer.colorize(gray), colorizer.colorize(np.repeat(gray[..., None], 3, axis=2)))


def test_deep_gray_of_pillow_is_rounded_only_once(colorizer: Colorizer) -> None:
    gray = np.linspace(0, 65535, 40 * 50).reshape(40, 50).astype(np.uint16)
    colored = np.asarray(colorizer.colorize(Image.fromarray(gray)))
    assert np.abs(colored - colorizer.colorize(gray) / 257).max() < 0.503


def test_lists_are_batched(colorizer: Colorizer) -> None:
    images = [photo(40, 40), photo(60, 40), photo(80, 80), photo(20, 20)]
    with Seen(colorizer.network) as seen:
        together = colorizer.colorize(images)
    assert sorted(given.shape for given in seen.given) == [(1, 1, 24, 16), (3, 1, 16, 16)]
    for image, colored in zip(images, together, strict=True):
        assert np.abs(colorizer.colorize(image).astype(int) - colored).max() <= 1  # batches sum in another order
    assert colorizer.colorize([]) == []


def test_large_batches_are_divided(colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(5)
    whole = colorizer.colorize(images)
    monkeypatch.setattr(inference, "_FORWARD", 2 * 16 * 16)
    with Seen(colorizer.network) as seen:
        divided = colorizer.colorize(images)
    assert [len(given) for given in seen.given] == [2, 2, 1]
    assert (divided.int() - whole.int()).abs().max() <= 1


@pytest.mark.parametrize("size", [(70, 90), (5, 9), (16, 16)])
def test_result_does_not_depend_on_the_strips(
    size: tuple[int, int], colorizer: Colorizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = photo(*size)
    whole = colorizer.colorize(image)
    monkeypatch.setattr(inference, "_TILE", 3 * size[1])
    assert np.abs(colorizer.colorize(image).astype(int) - whole).max() <= 1


@pytest.mark.parametrize(
    ("size", "seen_size"),
    [
        ((16, 16), (16, 16)),
        ((400, 600), (16, 24)),
        ((600, 410), (24, 16)),
        ((1, 1), (16, 16)),
        ((18, 16), (18, 16)),
        ((1, 3000), (16, 128)),
    ],
)
def test_network_sees_the_whole_image_at_its_scale(
    size: tuple[int, int], seen_size: tuple[int, int], colorizer: Colorizer
) -> None:
    with Seen(colorizer.network) as seen:
        assert colorizer.colorize(photo(*size)).shape == (*size, 3)
    assert [given.shape[-2:] for given in seen.given] == [seen_size]


def test_what_the_network_sees_was_reduced_as_training_images_are(colorizer: Colorizer) -> None:
    image = photo(160, 240)
    with Seen(colorizer.network) as seen:
        colorizer.colorize(image)
    reduced = np.asarray(Image.fromarray(image).resize((24, 16), Image.Resampling.BICUBIC))
    condition, _ = colorizer.space.encode(to_float(torch.from_numpy(reduced.copy()).permute(2, 0, 1)[None]))
    assert (seen.given[0] - condition).abs().max() < 2.1 * 2 / 255  # Pillow rounds to 8 bits between the two passes


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (7, TypeError, "must be a Pillow image, an array, a tensor or a path, not int"),
        (np.zeros((3, 20, 30), np.uint8), ValueError, r"\(H, W, 3\), not \(3, 20, 30\)"),
        (np.zeros((20, 30, 4), np.uint8), ValueError, "must be"),
        (np.zeros((20, 30), np.int64), TypeError, "not int64"),
        (np.zeros((20, 30), bool), TypeError, "not bool"),
        (np.zeros((0, 30), np.uint8), ValueError, "no pixels"),
        (np.full((20, 30), 200.0), ValueError, r"in \[0, 1\], not from 200.0 to 200.0"),
        (np.full((20, 30), np.nan), ValueError, r"in \[0, 1\]"),
        (torch.zeros(20, 30), ValueError, r"\(C, H, W\)"),
        (torch.zeros(20, 30, 3), ValueError, r"\(C, H, W\)"),
        (torch.zeros(1, 20, 30, dtype=torch.int32), TypeError, "not torch.int32"),
        (Image.new("L", (0, 5)), ValueError, "no pixels"),
    ],
)
def test_what_cannot_be_colored(image: Any, error: type[Exception], words: str, colorizer: Colorizer) -> None:
    with pytest.raises(error, match=words):
        colorizer.colorize(image)
    with pytest.raises(error, match=words):
        colorizer.colorize([photo(5, 5), image])


def test_given_images_are_not_changed(colorizer: Colorizer) -> None:
    pixels = photo(30, 30)
    before = pixels.copy()
    colorizer.colorize(pixels)
    colorizer.colorize(torch.from_numpy(pixels).permute(2, 0, 1))
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_path_is_colored_as_its_image_is(kind: type, run: Path, tmp_path: Path) -> None:
    loaded, path = Colorizer.load(run, "cpu"), tmp_path / "photo.png"
    image = Image.effect_noise((40, 30), 60).convert("RGB")
    image.save(path)
    (colored,) = loaded.colorize([kind(path)])
    assert colored.tobytes() == loaded.colorize(kind(path)).tobytes() == loaded.colorize(image).tobytes()
    with pytest.raises(OSError, match="missing"):
        loaded.colorize(kind(tmp_path / "missing.png"))


def test_released_models(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(released, "WEIGHTS", tmp_path)
    with pytest.raises(InputError, match=r"'cgan' does not come with this .* \(it has: none\): train one with"):
        Colorizer.load("cgan")
    (tmp_path / "ae").mkdir()
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "ae" / name).write_bytes((run / name).read_bytes())
    pixels = photo(20, 20)
    expected = Colorizer.load(run, "cpu").colorize(pixels)
    assert np.array_equal(colornet.Colorizer.load("ae", device="cpu").colorize(pixels), expected)
    with pytest.raises(InputError, match=r"\(it has: ae\)"):
        Colorizer.load("cgan")
    with pytest.raises(InputError, match=r"'cgann' is neither a released one \(ae, cgan\), one of the Hub"):
        Colorizer.load("cgann")
    with pytest.raises(InputError, match="is not a run folder"):
        Colorizer.load(tmp_path)


def test_package_offers_the_colorizer_without_importing_torch() -> None:
    code = (
        "import sys, colornet; assert 'torch' not in sys.modules; "
        "import colornet.cli, colornet.inference; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert colornet.Colorizer is colornet.inference.Colorizer is Colorizer
    with pytest.raises(AttributeError, match="no attribute 'colorizer'"):
        _ = colornet.colorizer
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = colornet.inference.nothing


def test_coloring_loads_nothing_of_training() -> None:
    code = (
        "import sys; from colornet.inference import Colorizer; "
        "heavy = ('tensorboard', 'accelerate', 'torchvision', 'skimage', 'scipy', 'colornet.training', "
        "'colornet.evaluation', 'colornet.data.loader'); "
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


MEASURE = """
import resource, sys
import numpy as np, torch
from colornet import Colorizer
torch.set_num_threads(1)
colorizer = Colorizer.load(sys.argv[1], "cpu")
colorizer.colorize(np.zeros((500, 1000), np.uint8))
for height, width in ((1000, 3000), (1, 1_000_000), (1_000_000, 1)):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    colorizer.colorize(np.random.default_rng(0).integers(0, 256, (height, width), np.uint8), saturation=0.1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kilobytes on Linux, bytes on macOS")
def test_memory_grows_with_the_pixels_by_little_more_than_they_take(run: Path) -> None:
    printed = subprocess.run([sys.executable, "-c", MEASURE, run], check=True, capture_output=True, text=True).stdout
    # 1 byte comes in and 3 go out: 118 a pixel were measured without strips, and of
    # thin images in whole rows, whose short sides were enlarged first, 770 and 1,280.
    assert max(int(line) * 1024 for line in printed.split()) < 100e6


def test_thin_images_get_the_colors_of_their_places(colorizer: Colorizer) -> None:
    """They are averaged before they are reduced; the colors change where the image does, in both directions."""
    image = np.zeros((3, 40_000), np.uint8)
    image[:, :20_000] = photo(3, 20_000)[..., 0]
    image[:, 20_000:] = 200
    wide, tall = colorizer.colorize(image), colorizer.colorize(np.ascontiguousarray(image.T))
    for colored in (wide, tall.transpose(1, 0, 2)):
        assert (lightness(colored) - lightness(np.repeat(image[..., None], 3, axis=2))).abs().max() < 0.52
        flat = colored[:, 21_000:39_000].astype(int)
        assert np.ptp(flat, axis=(0, 1)).max() < np.ptp(colored[:, :19_000].astype(int), axis=(0, 1)).max()


@pytest.mark.parametrize("preset", ["ae", "flow"])
def test_samples_are_different_colorings_and_the_same_at_every_call(preset: str, tmp_path: Path) -> None:
    loaded = Colorizer.load(save_run(tmp_path / "noisy", preset, noise_channels=4), "cpu")
    images = [photo(24, 30), photo(16, 16)]
    several = loaded.colorize(images, samples=3)
    assert [len(colorings) for colorings in several] == [3, 3]
    for image, colorings in zip(images, several, strict=True):
        assert all(c.dtype == np.uint8 and c.shape == image.shape for c in colorings)
        assert np.abs(colorings[0].astype(int) - colorings[1]).max() > 2
        assert np.abs(colorings[1].astype(int) - colorings[2]).max() > 2
        alone = loaded.colorize(image, samples=2)
        assert max(np.abs(a.astype(int) - b).max() for a, b in zip(alone, colorings, strict=False)) <= 1
        assert np.array_equal(loaded.colorize(image), alone[0])
        assert (lightness(colorings[2]) - lightness(colorings[0])).abs().max() < 0.6


def test_a_model_without_noise_makes_one_coloring(colorizer: Colorizer, run: Path) -> None:
    image = photo(16, 16)
    (only,) = colorizer.colorize(image, samples=1)
    assert np.array_equal(only, colorizer.colorize(image))
    with pytest.raises(ValueError, match=rf"the model '{run}' has no noise input"):
        colorizer.colorize(image, samples=2)
    with pytest.raises(ValueError, match="samples is 0"):
        colorizer.colorize(image, samples=0)
