"""Processes that are forked, connected, from one that has imported everything: starting one costs no imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 300  # seconds, a sixth of what gloo waits for a process that is gone; it takes ten on an idle machine

# Answers a request to start processes with their ids, and one to await them with their exit codes.
PROGRAM = """
import functools, importlib, json, os, pathlib, resource, runpy, signal, sys
import torch
from benchmarks.reliability import kills

torch.set_num_threads(1)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a suite under nohup ignores it

def work(program, arguments, output, limit, apart):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if apart:
        os.environ["LOCAL_RANK"] = "0"
        os.chdir(f"{apart}/machine-{os.environ['RANK']}")
    for descriptor in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    if program.endswith(".py"):
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")
    else:
        importlib.import_module(program).main(arguments)

for line in sys.stdin:
    request = json.loads(line)
    if isinstance(request, dict):
        world = request.pop("world")
        answer = kills.start(world, functools.partial(work, **request), pathlib.Path(request["output"]).parent)
    else:
        signal.alarm(int(sys.argv[1]))  # ends this server, should the processes wait for each other
        answer = kills.finish(request)
        signal.alarm(0)
    print(json.dumps(answer), flush=True)
"""


class Job:
    """Processes that were started; `codes` waits for them. What they print goes to the file `output`."""

    def __init__(self, server: Server, processes: list[int], output: Path) -> None:
        self.server, self.processes, self.output = server, processes, output

    def codes(self) -> list[int]:
        reply = self.server.ask(self.processes)
        assert reply is not None, f"{self.output} has no end: {self.output.read_text()}"
        return reply


class Server:
    """Forks processes on demand."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, request: object) -> list[int] | None:
        """Send a request; return the answer, or None if the server has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        reply = self._process.stdout.readline()
        answer: list[int] | None = json.loads(reply) if reply else None
        return answer

    def start(
        self, world: int, program: str, arguments: Sequence[str], output: Path, *, limit: int = 0, apart: str = ""
    ) -> Job:
        """Start a script, by the path of its file, or the `main` of a module, by its name, on `world` processes.

        With `apart`, each works in its own folder machine-N of it, as if on a machine of its own. `limit` is the number
        of bytes that a file may have: to write more fails as it does on a full disk.
        """
        what = {"world": world, "program": program, "arguments": [*arguments], "output": str(output)}
        processes = self.ask(what | {"limit": limit, "apart": apart})
        assert processes is not None, "the server has ended"
        return Job(self, processes, output)

    def run(self, world: int, program: str, arguments: Sequence[str], output: Path) -> str:
        """Start processes, wait until all have succeeded, and return what they printed."""
        codes = self.start(world, program, arguments, output).codes()
        printed = output.read_text(encoding="utf-8")
        assert codes == [0] * world, printed
        return printed


@contextmanager
def serving(cache: Path) -> Iterator[Server]:
    """Start a server whose processes keep decoded images in `cache`, and end it."""
    command, environment = [sys.executable, "-c", PROGRAM, str(PATIENCE)], os.environ | {"COLORNET_DATA": str(cache)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Server(process)
        assert process.stdin is not None
        process.stdin.close()
