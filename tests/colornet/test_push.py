"""Models on the Hub: published, found again and loaded; every refusal is one sentence."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard, constants
from safetensors.torch import load_file, save_file

from colornet import train
from colornet.cli import main
from colornet.errors import InputError
from colornet.inference.colorizer import Colorizer
from colornet.models.build import build_generator
from colornet.runs.model_card import write_model_card
from colornet.runs.pretrained import find_model
from colornet.training.build import warm_start
from tests.hub import COMMIT, TOKEN, Hub, serving_hub
from tests.runs import save_run

# Of huggingface_hub itself, where it uploads a file.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

GRAY = np.linspace(0, 255, 16 * 16, dtype=np.uint8).reshape(16, 16)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving_hub(tmp_path / "hub-cache", monkeypatch) as hub:
        yield hub


@pytest.fixture
def token(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run, which was trained in folders of this machine."""
    run = save_run(tmp_path / "runs" / "ours", data="/home/somebody/holidays", init_from="/home/somebody/runs/ae")
    weights = load_file(run / "model.safetensors")
    save_file(weights, run / "model.safetensors", metadata={"format": "pt", "step": "6"})
    scores = {"validation/psnr": 21.5, "validation/cf": 12.25, "validation/cf_truth": 30.0}
    (run / "metrics.jsonl").write_text(json.dumps({"step": 6, **scores}) + "\n")
    start = {"step": 0, "command": "colornet train ae --data /home/somebody/holidays --run-dir=/tmp/x/ours", "date": "",
             "commit": None, "device": "cpu", "versions": {"torch": "2.11"}, "data": ""}  # fmt: skip
    (run / "provenance.json").write_text(json.dumps([start]))
    write_model_card(run)
    return run


def test_a_published_run_is_loaded_elsewhere(
    hub: Hub, token: None, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run.iterdir()}
    main(["push", str(run), "user/model", "--license", "mit"])
    assert 'Colorizer.load("hf:user/model")' in capsys.readouterr().out
    assert {path: path.read_bytes() for path in run.iterdir()} == before
    files = hub.repos["models/user/model"]
    assert files.keys() == {"README.md", "config.json", "model.safetensors"}
    assert len(hub.commits) == 1
    assert not any(b"/home/" in content or b"/tmp/" in content for content in files.values())

    monkeypatch.delenv("HF_TOKEN")
    asked = len(hub.server.requests)
    colored = Colorizer.load("hf:user/model", "cpu").colorize(GRAY)
    assert np.array_equal(colored, Colorizer.load(run, "cpu").colorize(GRAY))
    requests = [request for request, _ in hub.server.requests[asked:]]
    assert not any("README" in request for request in requests)
    weights = [request for request in requests if "model.safetensors" in request]
    assert weights
    assert all(COMMIT in request for request in weights)  # that of the configuration, whatever was pushed meanwhile
    asked = len(hub.server.requests)
    assert find_model("hf:user/model@v1").name == find_model("hf:user/model").name
    assert {request.split()[0] for request, _ in hub.server.requests[asked:]} == {"HEAD"}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert np.array_equal(Colorizer.load("hf:user/model", "cpu").colorize(GRAY), colored)


def test_a_published_run_is_compared_with_others_by_its_name(
    hub: Hub, token: None, run: Path, folder: Path, tmp_path: Path
) -> None:
    main(["push", str(run), "user/model"])
    main(["evaluate", "hf:user/model", str(run), "--data", str(folder), "--cpu", "--out", str(tmp_path / "out")])
    rows = json.loads((tmp_path / "out/comparison.json").read_text())["rows"]
    assert [*rows] == ["gray", "user/model", "ours"]
    assert rows["user/model"] == rows["ours"]


def test_a_training_starts_from_a_published_run(hub: Hub, token: None, run: Path, tmp_path: Path) -> None:
    main(["push", str(run), "user/model"])
    options = ["--data", "sample", "--image-size", "16", "--run-dir", str(tmp_path / "run")]
    config = train.parse(["ae", "--init-from", "hf:user/model", *options])
    assert config.width == json.loads((run / "config.json").read_text())["width"]
    train.check(config)
    generator = build_generator(config)
    assert warm_start(generator, config)["run"] == config.init_from == "hf:user/model"
    weights = load_file(run / "model.safetensors")
    assert all(np.array_equal(value.numpy(), weights[name].numpy()) for name, value in generator.state_dict().items())


def test_the_card_tells_the_hub_license_data_and_results(hub: Hub, token: None, run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"data": "hf:somebody/photographs@v1"}))
    main(["push", str(run), "user/model", "--license", "cc-by-4.0"])
    card = ModelCard(hub.repos["models/user/model"]["README.md"].decode())
    data: Any = card.data
    assert data.license == "cc-by-4.0"
    assert data.datasets == ["somebody/photographs"]
    assert (data.library_name, data.pipeline_tag) == ("colornet", "image-to-image")
    assert "image-colorization" in data.tags
    assert data.model_name == "model"
    results = {result.metric_type: (result.metric_value, result.dataset_split) for result in data.eval_results}
    assert results == {"psnr": (21.5, "validation"), "cf": (12.25, "validation")}
    assert 'Colorizer.load("hf:user/model")' in card.text
    assert "--data holidays" in card.text


def test_a_private_model_needs_a_token(hub: Hub, token: None, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["push", str(run), "user/model", "--private"])
    assert find_model("hf:user/model").is_dir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", f"{constants.HF_HUB_CACHE}-of-others")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(InputError, match=r"does not exist at http://127.*, or is private: .* HF_TOKEN"):
        find_model("hf:user/model")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:user/nothing", "'hf:user/nothing' does not exist at http"),
        ("hf:user/gated", "is gated: ask for access on its page, and log in"),
        ("hf:user/model@v9", "has no revision 'v9'"),
        ("hf:user/other", "holds no config.json: it is no run of colornet"),
        ("hf:user/weightless", "holds no model.safetensors: it is no run of colornet"),
        ("hf:user/foreign", "is no run of this version of colornet: in its config.json, "),
        ("hf:model", "write hf:OWNER/NAME"),
        ("hf:a/b/c", "write hf:OWNER/NAME"),
        ("hf:user/model@", "write hf:OWNER/NAME"),
        ("hf:../model", "write hf:OWNER/NAME"),
    ],
)
def test_what_is_no_run_of_the_hub_is_refused(name: str, message: str, hub: Hub, run: Path) -> None:
    config = (run / "config.json").read_bytes()
    hub.repos = {
        "models/user/gated": {},
        "models/user/model": {"config.json": config},
        "models/user/other": {"pytorch_model.bin": b""},
        "models/user/weightless": {"config.json": config, "model.pt": b""},
        "models/user/foreign": {"config.json": b'{"model_type": "bert"}', "model.safetensors": b""},
    }
    hub.gated = {"models/user/gated"}
    with pytest.raises(InputError) as caught:
        find_model(name)
    assert message in str(caught.value)


def test_without_network_the_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_hub(tmp_path, monkeypatch) as hub:
        pass  # from now on, nobody listens there
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(time, "sleep", lambda _: None)  # huggingface_hub tries for 23 seconds
    with pytest.raises(InputError, match=f"is not in the cache, and {hub.server.address} cannot be reached"):
        find_model("hf:user/model")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match="is not in the cache of the Hub, and HF_HUB_OFFLINE is set"):
        find_model("hf:user/model")


def test_what_cannot_be_published_is_refused(
    hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def message(*words: str) -> str:
        with pytest.raises(SystemExit) as caught:
            main(["push", *words])
        assert caught.value.code == 2
        return capsys.readouterr().err

    assert "or got none" in message(str(run), "user/model")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert "does not permit this with your token" in message(str(run), "other/model")
    assert "names a revision" in message(str(run), "user/model@v1")
    assert "write hf:OWNER/NAME" in message(str(run), "model")
    assert "is not a run folder" in message(str(run.parent), "user/model")
    (run / "README.md").unlink()
    assert "has no README.md, which training writes when it ends" in message(str(run), "user/model")
    assert not hub.commits
