"""No command writes outside the folders that it was given, or asks for a host that it was not told of."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.images import photo
from tests.runs import save_run

pytestmark = [pytest.mark.system, pytest.mark.skipif(sys.platform == "win32", reason="HOME is not the home folder")]

ROOT = Path(__file__).parents[2]

# Ends the process at the first file that it opens to write outside the current folder, and the first host it looks for.
# gradio keeps a random number in its own package.
PROGRAM = """
import os, sys
here = os.getcwd()
written = os.O_WRONLY | os.O_RDWR | os.O_CREAT
def outside(path):
    path = os.path.realpath(os.fsdecode(path))
    return not (path.startswith((here, "/dev/", "/proc/self/")) or path.endswith("/gradio/hash_seed.txt"))
def watch(event, arguments):
    wrong = None
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        wrong = arguments[2] & written and outside(arguments[0])
    elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink"):
        wrong = outside(arguments[0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        wrong = arguments[0] not in ("127.0.0.1", "localhost", "::1", None)
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        wrong = arguments[1][0] not in ("127.0.0.1", "::1")
    if wrong:
        os.write(2, f"{event} {arguments}\\n".encode())
        os._exit(99)
sys.addaudithook(watch)
if sys.argv[1] == "benchmarks":
    from benchmarks.__main__ import main
    main(sys.argv[2:])
else:
    from colornet.cli import main
    main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a folder to work in, with a run, a photograph and an exported model, and beside it a home folder."""
    place = tmp_path_factory.mktemp("traces")
    for name in ("work/tmp", "home"):
        (place / name).mkdir(parents=True)
    save_run(place / "work/run")
    Image.fromarray(photo(40, 60)).convert("L").save(place / "work/a.png")
    shutil.copy(ROOT / "benchmarks/results/cifar10-jpeg-cpu-growth.json", place / "work/growth.json")
    run(place, "export", "run", "--out", "model.onnx")
    yield place
    assert list((place / "home").rglob("*")) == []  # nor do libraries that are not written in Python
    assert sorted(path.name for path in place.iterdir()) == ["home", "work"]
    assert [path for path in (place / "work/tmp").iterdir() if not path.name.startswith("torchinductor_")] == []


def environment(place: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("XDG_", "COLORNET_", "HF_", "TORCHINDUCTOR_", "TRITON_", "MPL"))
    }
    changes = {"HOME": str(place / "home"), "TMPDIR": str(place / "work/tmp"), "PYTHONPATH": str(ROOT)}
    return kept | changes | {"COLORNET_DATA": str(place / "work/cache"), "PYTHONDONTWRITEBYTECODE": "1"}


def run(place: Path, *arguments: str) -> None:
    command = [sys.executable, "-c", PROGRAM, *arguments]
    result = subprocess.run(
        command, cwd=place / "work", env=environment(place), capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr


COMMANDS = {
    "help": "train --help",
    "train": "train ae --data sample --cpu --width 8 --max-steps 2 --run-dir trained",
    "evaluate": "evaluate run --data sample --cpu --out comparison",
    "colorize": "colorize a.png --out colored --model run --cpu --compare",
    "colorize-onnx": "colorize a.png --out colored-onnx --model model.onnx",
    "report": "benchmarks report growth.json --out report",
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_commands_leave_traces_only_where_they_are_told_to(command: str, place: Path) -> None:
    run(place, *command.split())


@pytest.mark.parametrize("end", ["SIGINT", "SIGHUP"])
def test_the_demo_leaves_no_traces(end: str, place: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", PROGRAM, "demo", "--models", "run", "--no-open", "--cpu", "--port", str(port)]
    with subprocess.Popen(
        command, cwd=place / "work", env=environment(place), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        said = server.stdout.readline()
        server.send_signal(signal.Signals[end])
        _, errors = server.communicate(timeout=60)
    assert said.startswith("The page is at "), errors
    assert server.returncode == 130, errors
