"""Exported models compute what the run does, and say what they are; other files are refused in a sentence."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from colornet import cli, colorize, export
from colornet.color import LabSpace, to_float, to_uint8
from colornet.errors import InputError
from colornet.inference import onnx_model
from colornet.inference.colorizer import Colorizer
from colornet.inference.onnx_model import OnnxModel
from colornet.runs.run import load_run
from tests.images import photo
from tests.runs import save_run

ROOT = Path(__file__).parents[2]
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lab": ("ae", {}),  # residual, with attention
    "rgb": ("notebook-ae", {"multipliers": (1, 2, 2)}),
    "flat": ("ae", {"multipliers": (1,), "activation_checkpointing": True}),  # any size
}
MULTIPLES = {"lab": 2, "rgb": 4, "flat": 1}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of runs, NAME, what is exported of them, NAME.onnx, and what the command printed, NAME.txt."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "flat.onnx").write_text("to be replaced")
    for name, (preset, changes) in KINDS.items():
        save_run(folder / name, preset, **changes)
        with (folder / f"{name}.txt").open("w") as printed, contextlib.redirect_stdout(printed):
            force = ["--force"] if name == "flat" else []
            cli.main(["export", str(folder / name), "--out", str(folder / f"{name}.onnx"), *force])
    return folder


def opened(path: Path) -> Callable[[Tensor], Tensor]:
    """Open an export as onnxruntime does."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda condition: torch.from_numpy(session.run(["color"], {"condition": condition.numpy()})[0])


def record_of(path: Path) -> dict[str, Any]:
    (entry,) = onnx.load(path).metadata_props
    assert entry.key == "colornet"
    return json.loads(entry.value)


@pytest.mark.parametrize("name", KINDS)
def test_other_numbers_and_sizes_of_images(name: str, runs: Path) -> None:
    network, graph = load_run(runs / name)[1], opened(runs / f"{name}.onnx")
    for count, rows, columns in (1, 2, 2), (4, 9, 5), (2, 3, 30):
        shape = (count, 1, rows * MULTIPLES[name], columns * MULTIPLES[name])
        condition = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
        expected = network(condition)
        assert expected.std() > 0.02
        torch.testing.assert_close(graph(condition), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", KINDS)
def test_file_says_what_inference_needs(name: str, runs: Path) -> None:
    record = record_of(runs / f"{name}.onnx")
    assert record["color_space"] == ("rgb" if name == "rgb" else "lab")
    assert (record["image_size"], record["multiple"], record["model"]) == (16, MULTIPLES[name], str(runs / name))
    assert 0 <= record["max_difference"] < 1e-5
    assert {"sha256", "command", "commit", "date"} <= record.keys()
    assert {"colornet", "torch", "onnxruntime"} <= record["versions"].keys()


def test_no_paths_of_this_machine_in_the_graph(runs: Path) -> None:
    content = (runs / "lab.onnx").read_bytes()
    assert b"colornet/models/unet.py" not in content
    assert b"site-packages" not in content


@pytest.mark.parametrize("name", KINDS)
def test_difference_is_printed(name: str, runs: Path) -> None:
    out = runs / f"{name}.onnx"
    difference = f"{record_of(out)['max_difference']:.1e}"
    assert (runs / f"{name}.txt").read_text() == (
        f"{out} is written. Read again, its colors differ from PyTorch's by at most {difference} (allowed: 1e-04).\n"
    )
    assert len(list(runs.iterdir())) == 3 * len(KINDS)  # no second file of weights


def test_inputs_and_outputs_have_names_and_free_sizes(runs: Path) -> None:
    session = onnxruntime.InferenceSession(runs / "rgb.onnx", providers=["CPUExecutionProvider"])
    ports = [(port.name, port.shape) for port in (*session.get_inputs(), *session.get_outputs())]
    assert ports == [("condition", ["batch", 1, "4*h", "4*w"]), ("color", ["batch", 3, "4*h", "4*w"])]


@pytest.mark.parametrize("name", KINDS)
def test_colors_are_those_of_the_run(name: str, runs: Path) -> None:
    images = [photo(40, 60), photo(16, 16), photo(50, 31)]
    # Less vivid, or random weights go far beyond sRGB, and the steps of gamut mapping are large.
    expected = Colorizer.load(runs / name, "cpu").colorize(images, saturation=0.3)
    exported = Colorizer.load(runs / f"{name}.onnx").colorize(images, saturation=0.3)
    for mine, theirs in zip(exported, expected, strict=True):
        assert np.abs(mine.astype(int) - theirs).max() <= 1
        assert np.ptp(theirs, axis=-1).mean() > 1


def test_command_colors_with_an_onnx_file(runs: Path, tmp_path: Path) -> None:
    Image.fromarray(photo(40, 60)).convert("L").save(tmp_path / "a.png")
    for model in ("lab", "lab.onnx"):
        options = ["--model", str(runs / model), "--saturation", "0.3", "--cpu"]
        colorize.main([str(tmp_path / "a.png"), "--out", str(tmp_path / model), *options])
    with Image.open(tmp_path / "lab/a.png") as run, Image.open(tmp_path / "lab.onnx/a.png") as exported:
        assert np.abs(np.asarray(run, int) - np.asarray(exported, int)).max() <= 1


def sentence(main: Callable[[list[str]], None], arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a command line ends, exit code 2."""
    capsys.readouterr()
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    printed, errors = capsys.readouterr()
    assert printed == ""
    (line,) = errors.splitlines()
    return line


@pytest.mark.parametrize(
    ("model", "out", "options", "words"),
    [
        ("lab", "a.pt2", [], "must end in .onnx"),
        ("lab", "a", [], "must end in .onnx"),
        ("lab", "mine.onnx", [], "exists already: choose another name, or overwrite it with --force"),
        ("lab", "folder.onnx", ["--force"], "cannot be a file there"),
        ("lab", "mine.onnx/a.onnx", [], "cannot be a file there"),
        ("nowhere", "a.onnx", [], "is neither a released one"),
        ("lab.onnx", "a.onnx", [], "is neither a released one"),
        ("folder.onnx", "a.onnx", [], "is not a run folder: it holds no config.json"),
    ],
)
def test_mistakes(
    model: str, out: str, options: list[str], words: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.onnx").write_text("mine")
    (tmp_path / "folder.onnx").mkdir()
    path = runs / model if (runs / model).exists() else tmp_path / model
    assert words in sentence(export.main, [str(path), "--out", str(tmp_path / out), *options], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.onnx", "mine.onnx"]
    assert (tmp_path / "mine.onnx").read_text() == "mine"


@pytest.mark.parametrize(
    ("preset", "options"),
    [
        ("cgan", {"multipliers": (1, 2)}),
        ("flow", {"multipliers": (1, 2, 2), "flow_steps": 1}),
        ("flow", {"multipliers": (1, 2), "flow_steps": 2}),
    ],
)
def test_a_network_that_takes_noise_makes_the_same_colorings(
    preset: str, options: dict[str, Any], tmp_path: Path
) -> None:
    run = save_run(tmp_path / "run", preset, noise_channels=2, **options)
    export.main([str(run), "--out", str(tmp_path / "a.onnx")])
    image = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    exported, original = (Colorizer.load(path, "cpu").colorize(image, samples=3) for path in (tmp_path / "a.onnx", run))
    for one, other in zip(exported, original, strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    assert np.abs(exported[0].astype(int) - exported[1]).max() > 2
    Image.fromarray(image).save(tmp_path / "a.png")
    arguments = [str(tmp_path / "a.png"), "--model", str(tmp_path / "a.onnx"), "--out", str(tmp_path / "out")]
    colorize.main([*arguments, "--samples", "2"])
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_an_exported_model_makes_one_coloring(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.new("L", (20, 20)).save(tmp_path / "a.png")
    arguments = [str(tmp_path / "a.png"), "--model", str(runs / "lab.onnx"), "--out", str(tmp_path / "out")]
    assert "has no noise input" in sentence(colorize.main, [*arguments, "--samples", "2"], capsys)
    assert not (tmp_path / "out").exists()


def test_what_differs_is_not_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = save_run(tmp_path / "run", "ae", multipliers=(1,))
    weights = load_file(run / "model.safetensors")
    weights["head.2.weight"][0] = 3e38  # colors overflow: infinity − infinity is NaN
    save_file(weights, run / "model.safetensors")
    out = tmp_path / "out.onnx"
    out.write_text("mine")
    words = f"Exported as ONNX, the colors of {run} differ from PyTorch's by up to nan, more than 1e-04"
    assert words in sentence(export.main, [str(run), "--out", str(out), "--force"], capsys)
    assert out.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.onnx", "run"]


def changed(content: bytes, **changes: Any) -> bytes:
    """Return an export with other values in its record; `record` replaces all of it, None leaves it out."""
    model = onnx.load_from_string(content)
    (entry,) = model.metadata_props
    if "record" in changes:
        entry.value = changes["record"] or ""
        if changes["record"] is None:
            del model.metadata_props[:]
    else:
        record = json.loads(entry.value) | changes
        del record["file_sha256"]  # or every change is damage
        entry.value = json.dumps(record)
    return model.SerializeToString()


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "cannot be opened"),
    "text": (lambda _: b"no model at all", "cannot be opened"),
    "cut": (lambda content: content[: len(content) // 2], "cannot be opened"),
    "flipped": (lambda content: bytes(255 - byte for byte in content[:999]) + content[999:], "cannot be opened"),
    "not ours": (lambda content: changed(content, record=None), "is not from `colornet export`"),
    "no JSON": (lambda content: changed(content, record="{"), "cannot be used"),
    "no object": (lambda content: changed(content, record="[1]"), "cannot be used"),
    "deep": (lambda content: changed(content, record="[" * 100_000), "cannot be used"),
    "later": (lambda content: changed(content, format=2), "is 2, this version reads 1"),
    "multiple": (lambda content: changed(content, multiple=3), "an image size of 16"),
    "fraction": (lambda content: changed(content, multiple=2.0), "an image size of 16"),
    "huge": (lambda content: changed(content, image_size=2**20), "an image size of 1048576"),
    "other colors": (lambda content: changed(content, color_space="rgb"), "not those of its record"),
    "no colors": (lambda content: changed(content, color_space=["lab"]), "cannot be used"),
}


def test_any_flipped_bit_is_noticed(runs: Path, tmp_path: Path) -> None:
    content, model = (runs / "lab.onnx").read_bytes(), tmp_path / "model.onnx"
    rng = random.Random(0)
    for place in rng.sample(range(len(content)), 40):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        model.write_bytes(damaged)
        with pytest.raises(InputError, match="cannot be opened"):
            OnnxModel(model)


@pytest.mark.parametrize("name", DAMAGED)
def test_files_that_are_no_exports(name: str, runs: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    damage, words = DAMAGED[name]
    model = tmp_path / "model.onnx"
    model.write_bytes(damage((runs / "lab.onnx").read_bytes()))
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    arguments = [str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--model", str(model)]
    line = sentence(colorize.main, arguments, capfd)  # onnxruntime's own stream is silent, too
    assert line.startswith(f"error: {model} ")
    assert words in line


def test_graph_that_cannot_be_run(runs: Path) -> None:
    with pytest.raises(InputError, match=re.escape("rgb.onnx cannot be run: ")):
        OnnxModel(runs / "rgb.onnx")(torch.zeros(1, 1, 5, 7))  # not the multiples of 4


Value = onnx.helper.make_tensor_value_info


def forged(path: Path, name: str) -> Path:
    """Write an export whose graph is a loop without end, or takes or makes more than any memory has."""
    node, constant = onnx.helper.make_node, onnx.numpy_helper.from_array
    float_, long, flag = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL
    step = [node("Identity", ["going"], ["go on"]), node("Add", ["x", "x"], ["y"])]
    inputs = [Value("i", long, []), Value("going", flag, []), Value("x", float_, None)]
    body = onnx.helper.make_graph(step, "body", inputs, [Value("go on", flag, []), Value("y", float_, None)])
    first = {
        "loop": [node("Loop", ["large", "yes", "condition"], ["made"], body=body)],
        "memory": [node("ConstantOfShape", ["huge"], ["k"]), node("ReduceMax", ["k"], ["m"], keepdims=0),
                   node("Add", ["condition", "m"], ["made"])],
        "output": [node("Tile", ["condition", "by"], ["made"])],
    }[name]  # fmt: skip
    numbers = {
        "large": np.int64(2**62),
        "yes": np.bool_(True),
        "huge": np.array([10**11]),
        "by": np.array([1, 1, 2, 3]),
    }
    ports = [Value(port, float_, ["n", channels, "h", "w"]) for port, channels in (("condition", 1), ("color", 2))]
    graph = onnx.helper.make_graph(
        [*first, node("Concat", ["made", "made"], ["color"], axis=1)], name, ports[:1], ports[1:],
        [constant(np.asarray(value), key) for key, value in numbers.items()],
    )  # fmt: skip
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    record = {"format": 1, "image_size": 16, "multiple": 2, "color_space": "lab"}
    onnx.helper.set_model_props(model, {"colornet": json.dumps(record)})
    path.write_bytes(model.SerializeToString())
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("loop", "run: .*it takes more than 0.2 seconds"),
        ("memory", "(run: .*Available memory of|opened: .*bad_alloc)"),  # older onnxruntimes allocate when they open it
        ("output", r"run: .*its colors are of shape \(1, 2, 32, 48\), not \(1, 2, 16, 16\)"),
    ],
)
def test_graphs_that_would_never_end_or_take_all_memory(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_model, "_MOST_SECONDS", 0.2)
    path = forged(tmp_path / "forged.onnx", name)
    with pytest.raises(InputError, match=rf"forged\.onnx cannot be {words}"):
        OnnxModel(path)(torch.zeros(1, 1, 16, 16))


def test_other_models_are_refused_unopened(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(photo(20, 30)).save(tmp_path / "a.png")
    for model, words in {
        "any.pt2": "torch unpickles what is in a .pt2 file",
        "nowhere.onnx": "does not exist: name a file that `colornet export` wrote",
    }.items():
        arguments = [str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), "--model", str(runs / model)]
        assert words in sentence(colorize.main, arguments, capsys)
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="runs on the CPU: load it there, or a run folder onto cuda"):
        Colorizer.load(runs / "lab.onnx", "cuda")


def test_missing_packages_are_named(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=re.escape('onnxruntime: run `pip install ".[export]"`')):
        Colorizer.load(runs / "lab.onnx")
    with pytest.raises(InputError, match="onnxscript and onnxruntime: run"):
        export.check(export.ExportConfig(str(runs / "lab"), tmp_path / "a.onnx"))


def test_options_are_parsed_without_torch() -> None:
    program = "import sys, colornet.cli; print({'torch', 'onnxruntime'} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_example_of_the_docs(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/export.md").read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cgan.onnx").write_bytes((runs / "lab.onnx").read_bytes())
    gray = Image.fromarray(photo(16, 16)).convert("L")
    gray.save("photo.png")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Conversion from CIE-LAB")  # random weights: not all colors are possible
        exec(program, {})
    pixels = to_float(torch.from_numpy(np.array(gray)))[None, None].expand(1, 3, -1, -1)  # (1, 3, 16, 16)
    condition, _ = LabSpace().encode(pixels)
    expected = to_uint8(LabSpace().decode(condition, load_run(runs / "lab")[1](condition)))[0].permute(1, 2, 0).numpy()
    with Image.open("colored.png") as colored:
        difference = np.abs(np.asarray(colored, int) - expected)
    assert difference.max() <= 2  # the example keeps the lightness that has not been rounded
    assert difference.mean() < 0.6
