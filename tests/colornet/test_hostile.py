"""Input that means harm, or got damaged: a clear error, little memory, no code run, nothing hangs."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import math
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file
from torchvision.datasets import CIFAR10

from colornet import colorize, evaluate, train
from colornet.command import exiting_on_errors
from colornet.config import TrainConfig, check_config
from colornet.data import load_dataset
from colornet.data.images import open_rgb
from colornet.data.listing import iter_images
from colornet.errors import InputError, printable
from colornet.inference.photos import read_photo
from colornet.models.build import build_generator
from colornet.runs.checkpoint import State, find_checkpoint, list_checkpoints, load_checkpoint, save_checkpoint
from colornet.runs.run import load_run
from colornet.runs.saved_config import load_config
from colornet.training.build import compose_trainer
from tests.conftest import small
from tests.runs import nested, save_as_format_1


class Payload:
    """Unpickling it makes a folder: evidence that code of a file was run."""

    def __init__(self, evidence: Path) -> None:
        self.evidence = evidence

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.evidence),)


def encoded(format_: str, **options: Any) -> bytes:
    """Return a picture of 24×16 pixels in a file format."""
    ramp = Image.linear_gradient("L").resize((24, 16))
    file = io.BytesIO()
    Image.merge("RGB", (ramp, ramp.rotate(180), ramp)).save(file, format_, **options)
    return file.getvalue()


def png(
    width: int, height: int, *more: tuple[bytes, bytes], pixels: bytes = b"\0", kind: tuple[int, int] = (8, 2)
) -> bytes:
    """Return a PNG that claims a size; `more` are chunks before its pixels, `kind` its bit depth and color type."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, *kind, 0, 0, 0))
    body = b"".join(chunk(*one) for one in more) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def tiff(*entries: tuple[int, int, int, int], next_directory: int = 0) -> bytes:
    """Return a TIFF of one directory, at byte 8, with entries of tag, type, count and value."""
    directory = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", next_directory)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../outside", "x")
    return file.getvalue()


NO_IMAGES: dict[str, bytes] = {
    "empty.jpg": b"",
    "text.jpg": b"this is not a picture\n",
    "page.png": b"<!DOCTYPE html><html><script>alert(1)</script></html>",
    "archive.jpg": zipped(),
    "program.png": b"\x7fELF" + bytes(200),
    "pickle.png": pickle.dumps({"a": 1}),
    "truncated.jpg": encoded("JPEG")[:200],
    "truncated.png": encoded("PNG")[:-40],
    "truncated.webp": encoded("WEBP")[:60],
    "truncated.gif": encoded("GIF")[:40],
    "truncated.tif": encoded("TIFF")[:100],
    "truncated.bmp": encoded("BMP")[:60],
    "bomb-100k.png": png(100_000, 100_000),
    "bomb-2g.png": png(2**31 - 1, 2**31 - 1),
    "empty-size.png": png(0, 16),
    "bomb.bmp": encoded("BMP")[:18] + struct.pack("<ii", 100_000, 100_000) + encoded("BMP")[26:],
    "negative.bmp": encoded("BMP")[:18] + struct.pack("<ii", -24, 16) + encoded("BMP")[26:],
    "bomb.gif": encoded("GIF")[:6] + struct.pack("<HH", 65535, 65535) + encoded("GIF")[10:],
    "headed.gif": b"GIF89a" + struct.pack("<HH", 24, 16) + b"\0\0\0;",
    "bomb.ppm": b"P6 99999999 99999999 255\n",
    "negative.ppm": b"P6 -24 16 255\n" + bytes(2000),
    "endless.ppm": b"P6 " + b"9" * 100_000,
    "bomb.tif": tiff((256, 4, 1, 100_000), (257, 4, 1, 100_000), (258, 3, 1, 8), (262, 3, 1, 1), (273, 4, 1, 8)),
    "loop.tif": tiff((256, 4, 1, 0), next_directory=8),
    "strips.tif": tiff((256, 4, 1, 24), (257, 4, 1, 16), (262, 3, 1, 1), (273, 4, 2**31, 8), (279, 4, 2**31, 8)),
    "bomb.psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 100_000, 100_000, 8, 3) + bytes(12),
    "beyond.ico": struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, 999, 2**31),
    "bomb.dds": b"DDS " + struct.pack("<IIII", 124, 0x1007, 100_000, 100_000) + bytes(120),
    "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(%pipe%touch ran) (w) file closefile\n",
}

# A wrong name, or damage beside the pixels: these are shown.
IMAGES: dict[str, bytes] = {
    "jpeg.png": encoded("JPEG"),
    "png.jpg": encoded("PNG"),
    "webp.bmp": encoded("WEBP"),
    "followed.jpg": encoded("JPEG") + b"\0" * 1000 + zipped(),
    "exif.jpg": encoded("JPEG", exif=b"Exif\0\0" + os.urandom(64)),
    "profile.jpg": encoded("JPEG", icc_profile=b"no profile" * 20),
    "orientation.jpg": encoded("JPEG", exif=b"Exif\0\0" + tiff((0x0112, 3, 1, 99))),
    "exif-loop.jpg": encoded("JPEG", exif=b"Exif\0\0" + tiff((0x8769, 4, 1, 8), next_directory=8)),
}


@pytest.mark.parametrize("name", NO_IMAGES)
@pytest.mark.parametrize("read", [open_rgb, read_photo])
def test_files_that_are_not_images_raise_os_error(tmp_path: Path, name: str, read: Callable[[Path], object]) -> None:
    path = tmp_path / name
    path.write_bytes(NO_IMAGES[name])
    with pytest.raises(OSError, match=r"."):
        read(path)
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", IMAGES)
def test_damage_beside_the_pixels_costs_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(IMAGES[name])
    assert open_rgb(path).size == (24, 16)
    assert read_photo(path).pixels.shape == (16, 24, 3)


def test_bombs_are_refused_in_little_memory(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="Windows limits no memory")
    ones = zlib.compress(bytes(200_000_000))
    for name, data in NO_IMAGES.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "text.png").write_bytes(png(24, 16, (b"zTXt", b"a\0\0" + ones), pixels=bytes(73 * 16)))
    (tmp_path / "profile.png").write_bytes(png(24, 16, (b"iCCP", b"a\0\0" + ones), pixels=bytes(73 * 16)))
    program = """
import resource, sys
from pathlib import Path
from colornet.data.images import open_rgb
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        open_rgb(path)
    except OSError:
        pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert int(result.stdout) < 100  # MiB


ENCODED = [encoded(name) for name in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM", "TGA")]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.sampled_from(ENCODED),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=8),
    length=st.integers(0, 2000),
)
def test_any_bytes_are_an_image_or_an_os_error(
    tmp_path: Path, data: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    path = tmp_path / "image"
    path.write_bytes(changed[:length])
    try:
        image = open_rgb(path)
    except OSError:
        return
    assert image.mode == "RGB"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.sampled_from(ENCODED), place=st.integers(0, 2000), inserted=st.binary(max_size=30))
def test_any_bytes_are_a_photo_or_an_os_error(tmp_path: Path, data: bytes, place: int, inserted: bytes) -> None:
    path = tmp_path / "image"
    path.write_bytes(data[:place] + inserted + data[place:])
    try:
        photo = read_photo(path)
    except OSError:
        return
    assert photo.pixels.ndim in (2, 3)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """Make a folder within more folders than Python calls itself; its own `rmtree` fails on them."""
    folder = tmp_path / "photos" / "/".join("d" * 1100)
    subprocess.run(["mkdir", "-p", folder], check=True)
    yield folder
    subprocess.run(["rm", "-r", tmp_path / "photos" / "d"], check=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither pipes in folders nor such names")
def test_folders_full_of_traps(tmp_path: Path, deep: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "photos"
    for index in range(20):
        (folder / f"{index}.png").write_bytes(encoded("PNG"))
    (deep / "deep.png").write_bytes(encoded("PNG"))
    (folder / "two\nlines \x1b[31mred.png").write_bytes(b"not an image")
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png"))).write_bytes(b"not an image")
    (folder / "folder.png").mkdir()
    (folder / "loop").symlink_to(folder)
    (folder / "itself.png").symlink_to(folder / "itself.png")
    (folder / "zeros.png").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.png")
    (folder / "to-pipe.png").symlink_to(folder / "pipe.png")

    names = [file.name for file in iter_images(folder)]
    assert len(names) == 24
    assert not {"zeros.png", "pipe.png", "to-pipe.png", "folder.png"} & set(names)
    dataset = load_dataset(str(folder), image_size=16)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 21
    (message,) = [record.getMessage() for record in caplog.records]
    assert "Left out 3 file(s)" in message
    assert r"two\nlines \x1b[31mred.png" in message
    assert message.isprintable()


CONFIGS: dict[str, str | bytes] = {
    "empty": "",
    "null": "null",
    "list": "[]",
    "text": '"cgan"',
    "nested": "[" * 100_000,
    "not UTF-8": b"\xff\xfe\xfa",
    "NaN": '{"lr": NaN}',
    "infinite": '{"reconstruction_weight": Infinity}',
    "endless integer": '{"epochs": ' + "9" * 5000 + "}",
    "negative": '{"width": -64}',
    "zero": '{"batch_size": 0}',
    "huge width": '{"width": 1000000000}',
    "huge blocks": '{"blocks": 1000000000}',
    "huge image": '{"image_size": 1099511627776}',
    "huge seed": '{"seed": 1e400}',
    "many levels": '{"multipliers": [' + "1," * 5000 + "1]}",
    "huge level": '{"multipliers": [1, 1000000000]}',
    "levels of text": '{"multipliers": "12"}',
    "number of levels": '{"multipliers": 3}',
    "text for a number": '{"width": "64"}',
    "number for a text": '{"data": 7}',
    "truth for a number": '{"width": true}',
    "more steps than 64 bits count": '{"penalty_every": 100000000000000000000}',
    "fraction": '{"blocks": 1.5}',
    "null for a number": '{"epochs": null}',
    "list for a number": '{"lr": [0.1]}',
    "unknown choice": '{"color_space": "cmyk"}',
    "unknown field": '{"__class__": "os.system"}',
}


def values(text: str | bytes) -> str | bytes:
    """Complete the fields of a configuration that the text leaves out."""
    if isinstance(text, bytes) or not text.startswith("{"):
        return text
    return json.dumps(dataclasses.asdict(TrainConfig()))[:-1] + ", " + text[1:]


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations_that_no_run_wrote(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = values(CONFIGS[name])
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    for main, arguments in (
        (evaluate.main, [str(tmp_path)]),
        (train.main, ["ae", "--run-dir", str(tmp_path), "--resume", "auto", "--data", "sample"]),
    ):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 2
        message = capsys.readouterr().err
        assert str(tmp_path / "config.json") in message
        assert message.count("\n") == 1
        assert len(message) < 600


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "it is not a JSON object"),
        ("{}", "it lacks the field 'multipliers'"),
        ('{"multipliers": 4}', "multipliers is 4, and int is not a tuple"),
        ('{"width": true, "multipliers": [1]}', "width is True, and it must be a number"),
    ],
)
def test_a_configuration_is_refused_for_a_reason_that_can_be_understood(text: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError, match=re.escape(f"config.json cannot be used: {reason};")):
        load_config(tmp_path)


def test_a_configuration_may_be_a_folder(tmp_path: Path) -> None:
    (tmp_path / "config.json").mkdir()
    with pytest.raises(InputError, match="it holds no"):
        load_config(tmp_path)


FIELDS = [field.name for field in dataclasses.fields(TrainConfig)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
def test_any_configuration_is_valid_or_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**dataclasses.asdict(TrainConfig()), **changes}))
    try:
        config = load_config(tmp_path)
    except InputError:
        return
    check_config(dataclasses.replace(config, num_processes=None, accumulation_steps=1))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1500), removed=st.integers(0, 40), inserted=st.binary(max_size=8))
def test_any_bytes_are_a_configuration_or_refused(tmp_path: Path, place: int, removed: int, inserted: bytes) -> None:
    text = json.dumps(dataclasses.asdict(TrainConfig())).encode()
    (tmp_path / "config.json").write_bytes(text[:place] + inserted + text[place + removed :])
    try:
        config = load_config(tmp_path)
    except InputError:
        return
    check_config(dataclasses.replace(config, num_processes=None, accumulation_steps=1))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ae", "--data", "x" * 5000], "too long"),
        (["ae", "--data", "sample", "--run-dir", "x" * 300], "too long"),
        (["ae", "--data", "no\nsuch\x1b[2Jfolder"], r"no\nsuch\x1b[2Jfolder"),
        (["ae", "--data", "sample", "--lr", "nan"], "--lr is nan"),
        (["ae", "--data", "sample", "--width", "1000000000000"], "at most 4,096"),
        (["ae", "--data", "sample", "--batch-size", "-5"], "--batch-size is -5"),
    ],
)
def test_command_lines(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        train.main(arguments)
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert words in message
    assert message.count("\n") == 1


def state(**changes: Any) -> State:
    return State({"step": 1, "data": "", "scaler": None, **changes}, {})


def test_a_checkpoint_runs_no_code_though_its_hash_is_right(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, state(), keep=1)
    save_as_format_1(path, {**nested(state()), "networks": {}, "optimizers": {}, "ema": Payload(tmp_path / "ran")})
    assert find_checkpoint(tmp_path) == path
    with pytest.raises(InputError, match="tampered with"):
        load_checkpoint(path)
    assert not (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a cGAN of four steps, the last of which has a checkpoint."""
    run_dir = tmp_path_factory.mktemp("hostile") / "run"
    compose_trainer(small("cgan", folder, run_dir, max_steps=4)).fit()
    return run_dir


MOMENT = "optimizers/generator/0/exp_avg"
FORGED: dict[str, Callable[[State], object]] = {
    "moments of one element": lambda s: s.tensors.update({MOMENT: torch.zeros(1)}),
    "moments of half precision": lambda s: s.tensors.update({MOMENT: s.tensors[MOMENT].half()}),
    "moments of another shape": lambda s: s.tensors.update({MOMENT: s.tensors[MOMENT].flatten()}),
    "no moments": lambda s: s.tensors.pop(MOMENT),
    "no moments of a parameter": lambda s: [s.tensors.pop(n) for n in list(s.tensors) if "/generator/0/" in n],
    "more moments": lambda s: s.tensors.update({MOMENT + "_2": s.tensors[MOMENT]}),
    "a step to come": lambda s: s.tensors.update({"optimizers/generator/0/step": torch.tensor(5.0)}),
    "a step before the first": lambda s: s.tensors.update({"optimizers/generator/0/step": torch.tensor(-1.0)}),
    "a step that is no number": lambda s: s.tensors.update({"optimizers/generator/0/step": torch.tensor(math.nan)}),
    "no networks": lambda s: [s.tensors.pop(n) for n in list(s.tensors) if n.startswith("networks/")],
    "another moving average": lambda s: s.tensors.update({"ema/stem.weight": torch.zeros(3)}),
}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", FORGED)
def test_a_state_that_does_not_fit_is_refused(
    name: str, version: int, trained: Path, folder: Path, tmp_path: Path
) -> None:
    """Before it is given to fused Adam, which believes that moments are as large as their parameters."""
    run_dir = shutil.copytree(trained, tmp_path / "run")
    (path, *_) = list_checkpoints(run_dir / "checkpoints")
    forged = load_checkpoint(path)
    FORGED[name](forged)
    save_checkpoint(run_dir / "checkpoints", 4, forged, keep=1)
    if version == 1:
        save_as_format_1(path, {"networks": {}, **nested(forged)})
    trainer = compose_trainer(small("cgan", folder, run_dir, max_steps=5, resume="auto"))
    before = trainer.generator.state_dict()["stem.weight"].clone()
    with pytest.raises(InputError, match=r"does not fit the networks of .*: remove it to resume from an older one"):
        trainer.fit()
    assert torch.equal(trainer.generator.state_dict()["stem.weight"], before)


VALUES: dict[str, dict[str, Any]] = {
    "another step": {"step": 3},
    "a step of text": {"step": "4"},
    "a step that is no whole number": {"step": 4.0},
    "no sums": {"metrics": {"since": 4}},
    "sums of later steps": {"metrics": {"since": 9, "sums": []}},
    "sums of names": {"metrics": {"since": 2, "sums": ["loss/reconstruction"]}},
    "other options": {"options": 3},
    "an option of another type": {"options": {"lr": "fast", "multipliers": [1, 2]}},
}


@pytest.mark.parametrize("name", VALUES)
def test_values_that_no_run_wrote_are_refused(name: str, trained: Path, folder: Path, tmp_path: Path) -> None:
    run_dir = shutil.copytree(trained, tmp_path / "run")
    (path, *_) = list_checkpoints(run_dir / "checkpoints")
    state = load_checkpoint(path)
    save_checkpoint(run_dir / "checkpoints", 4, State({**state.values, **VALUES[name]}, state.tensors), keep=1)
    with pytest.raises(InputError, match=r"step-00000004 (is not of this run|does not fit)"):
        compose_trainer(small("cgan", folder, run_dir, max_steps=5, resume="auto")).fit()


FOREIGN: list[dict[str, Any]] = [
    {"seed": 1}, {"lr": 0.5}, {"batch_size": 9}, {"flip": False}, {"reconstruction_weight": 3.0}, {"beta1": 0.9},
    {"lr_schedule": "constant"}, {"adversarial_loss": "hinge"}, {"warmup_steps": 0}, {"epochs": 30},
]  # fmt: skip


@pytest.mark.parametrize("changes", FOREIGN, ids=str)
def test_a_checkpoint_of_another_run_is_refused(
    changes: dict[str, Any], trained: Path, folder: Path, tmp_path: Path
) -> None:
    """Its networks fit, but the run would go on as none that its configuration describes."""
    run_dir = shutil.copytree(trained, tmp_path / "run")
    (name,) = changes
    option = f"--{name.replace('_', '-')}"
    config = small("cgan", folder, run_dir, resume="auto", **changes)
    (run_dir / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    with pytest.raises(InputError, match=rf"step-00000004 is not of this run \({option} was .* and is "):
        compose_trainer(config).fit()


def test_an_old_checkpoint_takes_no_more_memory_than_its_size(tmp_path: Path) -> None:
    """Compressed, its zeros would be a thousandth; expanded or counted twice, one number is as many as one likes."""
    path = save_checkpoint(tmp_path, 1, state(), keep=1)
    rest: dict[str, Any] = {"step": 1, "data": "", "scaler": None, "networks": {}, "optimizers": {}}
    save_as_format_1(path, {**rest, "ema": {"weight": torch.zeros(1).expand(10**12)}})
    with pytest.raises(InputError, match="repeats its numbers"):
        load_checkpoint(path)
    save_as_format_1(path, {**rest, "ema": {"weight": torch.zeros(10**6)}})
    with (
        zipfile.ZipFile(path / "state.pt") as stored,
        zipfile.ZipFile(path / "small", "w", zipfile.ZIP_DEFLATED) as out,
    ):
        for member in stored.infolist():
            out.writestr(member.filename, stored.read(member))
    (path / "small").replace(path / "state.pt")
    with pytest.raises(InputError, match="is compressed"):
        load_checkpoint(path)


def test_an_old_checkpoint_of_large_bytes_is_refused(tmp_path: Path) -> None:
    """One of the few functions that torch calls for a file: `bytearray(10 ** 12)`."""
    path = save_checkpoint(tmp_path, 1, state(), keep=1)

    class Large:
        def __reduce__(self) -> tuple[object, tuple[int]]:
            return bytearray, (10**12,)

    save_as_format_1(path, {"step": Large()})
    with pytest.raises(InputError, match=r"names '[a-z_]+ bytearray', which is no tensor"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "manifest",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        '{"format": 2}',
        '{"format": 1, "step": 2, "files": {}}',
        '{"format": 1, "files": {"../../../../dev/zero": {"bytes": 0, "sha256": ""}}}',
        '{"format": 1, "files": {"/dev/zero": {"bytes": 0, "sha256": ""}}}',
        '{"format": 1, "files": {"state.pt": {"bytes": "many", "sha256": 5}}}',
        '{"format": 1, "files": {"state.pt": 3}}',
        '{"format": 1, "files": 3}',
        '{"format": {}, "files": {}}',
        '{"format": Infinity, "files": {}}',
        '{"format": 0, "step": 2, "files": {}}',
        '{"format": 2, "step": 2, "files": {"state.json": 3, "state.safetensors": []}}',
        '{"format": 2, "step": 2, "files": {"state.json": {}, "state.safetensors": {"bytes": "many", "sha256": 5}}}',
    ],
)
def test_manifests(tmp_path: Path, manifest: str) -> None:
    good = save_checkpoint(tmp_path, 1, state(), keep=5)
    bad = save_checkpoint(tmp_path, 2, state(), keep=5)
    (bad / "manifest.json").write_text(manifest)
    assert find_checkpoint(tmp_path) == good


def test_names_that_are_no_checkpoints(tmp_path: Path) -> None:
    good = save_checkpoint(tmp_path, 1, state(), keep=5)
    for name in ("step-", "step-abc", "step--5", "step-²", "step-99\n", "step-٣x"):
        (tmp_path / name).mkdir()
    assert find_checkpoint(tmp_path) == good


MODELS: dict[str, bytes] = {
    "empty": b"",
    "short": b"\x05",
    "endless header": struct.pack("<Q", 2**62) + b"{}",
    "no header": struct.pack("<Q", 2) + b"[]",
    "beyond": struct.pack("<Q", 74) + b'{"w": {"dtype": "F32", "shape": [1000000, 1000000], "data_offsets": [0, 4]}}  ',
    "pickle": pickle.dumps(Payload(Path("ran"))),
    "zip": zipped(),
}


@pytest.mark.parametrize("name", MODELS)
def test_model_files(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(TrainConfig(width=8))))
    (tmp_path / "model.safetensors").write_bytes(MODELS[name])
    with pytest.raises(InputError, match=r"model.safetensors cannot be loaded: .+"):
        load_run(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_configuration_that_claims_a_huge_network_takes_no_memory(tmp_path: Path) -> None:
    config = TrainConfig(width=4096, multipliers=(1, 512, 4096))  # thousands of terabytes
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    save_file({"stem.weight": torch.zeros(8, 1, 3, 3)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_run(tmp_path)


def test_weights_of_half_precision_are_computed_with_in_full(tmp_path: Path) -> None:
    config = TrainConfig(width=8, multipliers=(1, 2), blocks=1)
    (tmp_path / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
    weights = {name: value.half().contiguous() for name, value in build_generator(config).state_dict().items()}
    save_file(weights, tmp_path / "model.safetensors")
    _, network = load_run(tmp_path)
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_a_cifar10_archive_writes_nowhere_and_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CIFAR10, "url", "http://localhost:9/cifar-10-python.tar.gz")  # where nobody answers
    monkeypatch.setenv("HF_ENDPOINT", "http://localhost:9")
    monkeypatch.setattr("colornet.data.download.PAUSE", 0.0)
    root = tmp_path / "a" / "b" / "cifar10"
    root.mkdir(parents=True)
    evidence = tmp_path / "ran"
    (root / "cifar-10-batches-py").mkdir()
    (root / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Payload(evidence)))
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("../../../outside")
        archive.addfile(member, io.BytesIO())
    (root / "cifar-10-python.tar.gz").write_bytes(gzip.compress(file.getvalue()))
    with pytest.raises(InputError, match="cannot be downloaded"):
        load_dataset("cifar10", image_size=32, cache_dir=root.parent)
    assert not evidence.exists()
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
def test_a_pipe_is_no_photograph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(SystemExit) as caught:
        colorize.main([str(tmp_path / "pipe.jpg"), "--out", str(tmp_path / "out")])
    assert caught.value.code == 2
    assert "pipe.jpg" in capsys.readouterr().err


def test_memory_that_is_not_enough_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, exiting_on_errors(quiet=False):
        torch.empty(2**60)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("error: Memory is not enough")


def test_printable_keeps_text_and_escapes_control() -> None:
    assert printable("Größe 5 µm – 'x'") == "Größe 5 µm – 'x'"
    assert printable("a\nb\x1b[2J\udcff\u202e") == r"a\nb\x1b[2J\udcff\u202e"


def test_tables_can_be_written_where_the_code_page_lacks_their_letters() -> None:
    """A file or pipe on Windows; a comparison must not end on the Δ of its table."""
    program = (
        "from colornet.command import exiting_on_errors\nwith exiting_on_errors(quiet=False):\n    print('Größe, ΔE00')"
    )
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, "Größe, ".encode("cp1252") + rb"\u0394E00")
