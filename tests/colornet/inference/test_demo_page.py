"""The page that colors photographs, served and used over HTTP."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from colornet.demo import DemoConfig, check
from colornet.errors import InputError
from colornet.inference.colorizer import Colorizer
from tests.colornet.inference.test_photos import odd_exif
from tests.hub import serving_hub
from tests.images import lightness, photo
from tests.runs import save_run

# gradio must not connect to other machines: an attempt ends the server.
PROGRAM = """
import os, sys
def watch(event, arguments):
    if event == "socket.connect" and arguments[1][0] not in ("127.0.0.1", "::1"):
        os.write(2, f"connects to {arguments[1]}".encode())
        os._exit(3)
sys.addaudithook(watch)
from colornet.cli import main
main(["demo", "--no-open", "--cpu", "--max-megapixels", "0.1", "--max-megabytes", "1", *sys.argv[1:]])
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(tmp_path_factory.mktemp("demo") / "tiny")


@pytest.fixture(scope="module")
def port(run: Path) -> Iterator[int]:
    """Serve a random model; in the end nothing of what was uploaded is left."""
    number, temporary = free_port(), run.parent / "tmp"
    temporary.mkdir()
    program = [sys.executable, "-c", PROGRAM, "--models", str(run), "--port", str(number)]
    process = subprocess.Popen(
        ["env", f"TMPDIR={temporary}", *program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == f"The page is at http://127.0.0.1:{number}/ until Ctrl-C.\n"
        yield number
    finally:
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.count("Traceback") == said.count("\ngradio.exceptions.Error: 'Value "), said  # of the slider alone
    assert list(temporary.iterdir()) == []


@pytest.fixture
def client(port: int, tmp_path: Path) -> Iterator[Client]:
    with closing(
        Client(f"http://127.0.0.1:{port}", verbose=False, analytics_enabled=False, download_files=tmp_path)
    ) as it:
        yield it


def test_upload_is_shown_and_made_a_png(client: Client, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "the old mill"
    pixels = photo(120, 200)
    Image.fromarray(pixels).save(tmp_path / "mill.png", exif=exif, dpi=(300, 300))
    caption, _, came, colored = client.predict(handle_file(tmp_path / "mill.png"), 1, api_name="/show")
    assert caption == "<p><strong>mill.png</strong>, 200 × 120 pixels</p>"
    for pair in (came, colored):
        for path in pair:
            with Image.open(path) as image:
                assert image.size == (200, 120)
    files: Any = client.predict(1, api_name="/write")[0]
    (path,) = files["value"] if isinstance(files, dict) else files
    assert Path(path).name == "mill.tiny.png"
    with Image.open(path) as image:
        assert (image.format, image.size, image.getexif()[0x010E]) == ("PNG", (200, 120), "the old mill")
        result = np.asarray(image.convert("RGB"))
    assert (lightness(result) - lightness(pixels)).abs().max() < 0.52  # both are rounded to 8 bits
    assert (result.astype(int) - pixels).__abs__().mean() > 3


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("notes.jpg", "it is not an image, or damaged"), ("huge.png", "it has more than 0.1 megapixels, the limit")],
)
def test_what_cannot_be_read_gets_a_sentence_and_the_server_goes_on(
    client: Client, tmp_path: Path, name: str, sentence: str
) -> None:
    (tmp_path / "notes.jpg").write_text("no photograph")
    Image.new("L", (400, 400)).save(tmp_path / "huge.png")
    Image.fromarray(photo(20, 30)).save(tmp_path / "small.png")
    caption, _, *pictures = client.predict(handle_file(tmp_path / name), 1, api_name="/show")
    assert caption == f'<p class="refused" role="alert">{name} cannot be colored: {sentence}.</p>'
    assert pictures == 2 * [{"__type__": "update"}]  # what was shown stays
    assert "30 × 20" in client.predict(handle_file(tmp_path / "small.png"), 1, api_name="/show")[0]


def test_large_uploads_are_refused(client: Client, tmp_path: Path) -> None:
    (tmp_path / "large.jpg").write_bytes(bytes(2 * 2**20))
    caption, _, *pictures = client.predict(handle_file(tmp_path / "large.jpg"), 1, api_name="/show")
    sentence = "large.jpg cannot be colored: its file has more than 1 MB, the limit."
    assert caption == f'<p class="refused" role="alert">{sentence}</p>'
    assert pictures == 2 * [{"__type__": "update"}]  # what was shown stays
    (tmp_path / "large.jpg").write_bytes(bytes(5 * 2**20))
    with pytest.raises(Exception, match=r"413|exceed|[Ll]arge"):
        client.predict(handle_file(tmp_path / "large.jpg"), 1, api_name="/show")


def test_saturation_out_of_range_is_refused(client: Client, tmp_path: Path) -> None:
    Image.fromarray(photo(20, 30)).save(tmp_path / "small.png")
    for saturation, sentence in ((-1, "less than minimum"), (2.5, "greater than maximum")):
        with pytest.raises(Exception, match=sentence):
            client.predict(handle_file(tmp_path / "small.png"), saturation, api_name="/show")


@pytest.mark.parametrize("route", ["run/show", "api/show", "run/predict"])
def test_the_queue_cannot_be_bypassed(port: int, route: str) -> None:
    """Photographs are read one at a time, so no route may read one beside the queue."""
    body = json.dumps({"data": [None, 1], "fn_index": 1}).encode()
    request = Request(f"http://127.0.0.1:{port}/gradio_api/{route}", body, {"Content-Type": "application/json"})
    with pytest.raises(HTTPError) as refused:
        urlopen(request)
    with refused.value:
        assert refused.value.code == 404


def answer(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """Ask the server with any headers, as a browser does that another site leads here."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, body, {"Host": f"127.0.0.1:{port}", **headers})
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_names_that_are_not_its_own_are_refused(port: int) -> None:
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST", "[::1]:9000"):
        assert answer(port, "GET", "/config", Host=host)[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "192.168.1.7", "[", ""):
        status, said = answer(port, "GET", "/config", Host=host)
        assert status == 403
        assert "is not a name of this demo: open it by its address" in said


def test_other_sites_cannot_use_the_page(port: int, run: Path) -> None:
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\nabc\r\n--x--\r\n'
    upload = {"Content-Type": "multipart/form-data; boundary=x"}
    files = len(list((run.parent / "tmp").rglob("a.png")))
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1", "http://["):
        status, said = answer(port, "POST", "/gradio_api/upload", body, **upload, Origin=origin)
        assert (status, "is not this demo: it may not use it" in said) == (403, True)
    assert len(list((run.parent / "tmp").rglob("a.png"))) == files
    assert answer(port, "POST", "/gradio_api/upload", body, **upload, Origin=f"http://127.0.0.1:{port}")[0] == 200


def test_larger_uploads_are_refused_in_a_sentence_that_browsers_show(port: int) -> None:
    body = bytes(5 * 2**20)
    status, said = answer(port, "POST", "/gradio_api/upload", body)
    assert (status, said) == (413, "The upload has more than 4 MB: choose a smaller file.")


def test_only_this_machine_may_come(port: int) -> None:
    with urlopen(f"http://127.0.0.1:{port}/config") as answer:
        assert json.load(answer)["analytics_enabled"] is False
    with pytest.raises(OSError, match="refused"):  # another of the machine's own addresses
        socket.create_connection(("127.0.0.2", port), timeout=5)


def test_released_models_are_called_by_their_character(tmp_path: Path) -> None:
    """Only these: a user's own run may lie in a folder `cgan`, too."""
    from colornet.inference.demo_page import Studio, _introduction, _titles

    colorizers = {name: Colorizer.load(name, "cpu") for name in ("ae", "cgan")}
    released, own = (Studio(colorizers, tmp_path, 10**6, 1, released) for released in (True, False))
    assert _titles(released) == ["Cautious (ae)", "Vivid (cgan)"]
    assert _titles(own) == ["ae", "cgan"]
    assert "mostly fail" in _introduction(released)
    assert "fail" not in _introduction(own)


def test_models_with_noise_show_and_write_several_colorings(run: Path, tmp_path: Path) -> None:
    from colornet.inference.demo_page import Studio  # here, as it brings gradio itself

    noisy = save_run(tmp_path / "noisy", noise_channels=4)
    colorizers = {name: Colorizer.load(folder, "cpu") for name, folder in (("tiny", run), ("C:\\noisy", noisy))}
    studio = Studio(colorizers, tmp_path, 10**6, 1, released=False)
    path = str(tmp_path / "mill.png")
    Image.fromarray(photo(40, 60)).save(path, exif=odd_exif())  # which can be read but not written
    first, second = (studio.show(path, 1, sample)[-2:] for sample in (1, 2))
    assert np.array_equal(first[0][1], second[0][1])
    assert not np.array_equal(first[1][1], second[1][1])
    assert np.array_equal(studio.show(path, 1)[-1][1], first[1][1])
    files = studio.write(path, 1, 2)[0].value
    names = [Path(file["path"]).name for file in files]
    assert names == ["mill.tiny.png", "mill.C--noisy.2.png"]  # a name that Windows takes
    for file, shown in zip(files, second, strict=True):
        with Image.open(file["path"]) as image:
            assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(shown[1]))


def test_mistakes_are_found_before_anything_is_loaded(run: Path) -> None:
    models = (str(run),)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"^Port {port} of 127\.0\.0\.1 is in use: choose another with --port\.$"):
            check(DemoConfig(models, port=port))
    for config, sentence in (
        (DemoConfig(models, port=0), "--port is 0"),
        (DemoConfig(models, host="203.0.113.1", port=free_port()), "--host 203.0.113.1 "),
        (DemoConfig(models, max_megapixels=0), "--max-megapixels is 0"),
        (DemoConfig(models, max_megabytes=0), "--max-megabytes is 0"),
        (DemoConfig(()), "No model is named"),
        (DemoConfig(("nowhere",)), "neither a released one"),
    ):
        with pytest.raises(InputError, match=sentence):
            check(config)


def test_models_of_one_name_are_told_apart(run: Path, tmp_path: Path) -> None:
    other = save_run(tmp_path / "tiny")
    assert check(DemoConfig((str(run), str(other)), port=free_port())) == {str(run): run, str(other): other}
    assert check(DemoConfig((str(run),), port=free_port())) == {"tiny": run}


def test_a_model_of_the_hub_is_called_as_it_was_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving_hub(tmp_path / "hub-cache", monkeypatch) as hub:
        hub.repos["models/user/model"] = {n: (run / n).read_bytes() for n in ("config.json", "model.safetensors")}
        assert [*check(DemoConfig(("hf:user/model", str(run)), port=free_port()))] == ["hf:user/model", "tiny"]
