"""Memory that is freed and needed again does not come from the kernel twice."""

from __future__ import annotations

import subprocess
import sys

import pytest

from colornet.training.accelerator import keep_freed_memory

PROGRAM = """
import resource, sys, torch
from colornet.training.accelerator import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(12):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MiB, freed at once
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' allocators are left alone, as the next test says")
def test_freed_memory_is_not_asked_for_again() -> None:
    faults = {}
    for choice in ("keep", "default"):
        done = subprocess.run([sys.executable, "-c", PROGRAM, choice], capture_output=True, text=True, check=True)
        faults[choice] = int(done.stdout)
    assert faults["keep"] <= 10
    assert faults["default"] > 10  # otherwise there is nothing to keep


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not keep_freed_memory()
