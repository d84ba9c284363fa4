"""A training step that Inductor compiles is the plain one, but for rounding."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch._inductor.config
from torch import nn

from tests.colornet.training.test_precision import assert_alike, step

pytestmark = pytest.mark.system


@pytest.fixture
def _compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compile in this process: a pool would import torch again in others, which takes longer than to compile.

    Without a C++ compiler, let the traced forward and backward graphs run as they are: all but the last stage.
    """
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        monkeypatch.setattr(nn.Module, "compile", functools.partialmethod(nn.Module.compile, backend="aot_eager"))
    with torch._inductor.config.patch(compile_threads=1):
        yield


# The compiler itself looks at the gradient of what enters a network, here of the generator's output.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf Tensor:UserWarning")
# Of torch's own modules that the compiler imports, in torch 2.11.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.usefixtures("_compiler")
@pytest.mark.parametrize(("preset", "precision"), [("ae", "no"), ("cgan", "bf16")])
def test_compiled_step_is_the_plain_one(preset: str, precision: str, folder: Path, tmp_path: Path) -> None:
    plain = step(preset, folder, tmp_path / "plain")
    compiled = step(preset, folder, tmp_path / "compiled", compile="on", mixed_precision=precision)
    assert_alike(compiled, plain, precision)
