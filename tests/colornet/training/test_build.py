"""How networks are prepared: what is compiled, and into how many graphs."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from colornet.errors import InputError
from colornet.training.build import compose_trainer, is_compiled
from tests.conftest import small


@pytest.mark.parametrize("preset", ["cgan", "notebook-cgan"])
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf Tensor:UserWarning")
def test_every_network_is_compiled_for_constant_shapes_and_one_layout(
    preset: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The generator once; the discriminator once for its own step and once for the generator's, where it is frozen."""
    graphs: list[bool] = []

    def note(graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        graphs.append(any(not isinstance(value, torch.Tensor) for value in inputs))
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend=note))
    trainer = compose_trainer(small(preset, folder, tmp_path / "run", compile="on"))
    for microbatches in trainer.loader.epoch(0):
        trainer.train_step(microbatches)
    assert graphs == [False] * 3


def test_what_would_break_the_graph_is_not_compiled() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))
    synchronized = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))  # in place
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert [is_compiled(choice, plain, gpu) for choice in ("auto", "on", "off")] == [True, True, False]
    assert [is_compiled(choice, plain, cpu) for choice in ("auto", "on", "off")] == [False, True, False]
    assert [is_compiled(choice, synchronized, gpu) for choice in ("auto", "off")] == [False, False]
    with pytest.raises(InputError, match="--compile is on, but BatchNorm that is synchronized"):
        is_compiled("on", synchronized, gpu)
