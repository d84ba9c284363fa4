"""Machines that are network namespaces of this one, connected by a bridge in another namespace."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from colornet.errors import InputError

# Sets the machine's name and hosts file, then becomes the command. Only the command and its children see both, since
# `ip netns exec` gives a process its own mounts.
BECOME = 'hostname "$0" && mount --bind "$1" /etc/hosts && shift && exec "$@"'
HOSTS = "hosts"  # file in the current folder


@dataclass
class Machine:
    """A network namespace with one interface, `eth0`, whose cable leads to the switch."""

    namespace: str
    switch: str
    name: str
    address: str
    pid: int = 0  # of the command that was started last

    def start(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command on this machine, with its output in a file."""
        inside = ["ip", "netns", "exec", self.namespace, "unshare", "--uts", "sh", "-c", BECOME, self.name]
        with log.open("wb") as output:
            job = subprocess.Popen(
                [*inside, HOSTS, *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.pid = job.pid
        return job

    def connect(self, connected: bool) -> None:
        """Connect the cable to the switch, or disconnect it."""
        _ip("-n", self.switch, "link", "set", self.name, "up" if connected else "down")

    def kill(self) -> None:
        """End everything that runs here."""
        listed = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
        for pid in listed.stdout.split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@contextmanager
def network(count: int, tcp_retries: int) -> Iterator[list[Machine]]:
    """Create machines that reach each other and nothing else; remove them and their processes afterwards."""
    prefix = f"colornet-{os.getpid()}"
    switch = f"{prefix}-switch"
    machines = [Machine(f"{prefix}-{rank}", switch, f"machine-{rank}", f"10.0.0.{rank + 1}") for rank in range(count)]
    names = [f"{machine.address} {machine.name}\n" for machine in machines]
    Path(HOSTS).write_text("".join(["127.0.0.1 localhost\n", *names]), encoding="utf-8")
    try:
        _ip("netns", "add", switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for machine in machines:
            inside = ("-n", machine.namespace)
            _ip("netns", "add", machine.namespace)
            _ip(*inside, "link", "add", "eth0", "type", "veth", "peer", "name", machine.name, "netns", switch)
            _ip(*inside, "address", "add", f"{machine.address}/24", "dev", "eth0")
            for interface in ("lo", "eth0"):
                _ip(*inside, "link", "set", interface, "up")
            _ip("-n", switch, "link", "set", machine.name, "master", "bridge", "up")
            setting = f"echo {tcp_retries} > /proc/sys/net/ipv4/tcp_retries2"
            _ip("netns", "exec", machine.namespace, "sh", "-c", setting)
        yield machines
    finally:
        for machine in machines:
            machine.kill()
        for name in (*(machine.namespace for machine in machines), switch):
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL, check=False)


def _ip(*arguments: str) -> None:
    """Run iproute2's `ip`; raise `InputError` where it fails."""
    try:
        subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
        raise InputError(
            f"Network namespaces cannot be made here ({reason}): they need root and `ip` of Debian's iproute2."
        ) from error
