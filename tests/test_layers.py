"""The package's imports run one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import colornet

ROOT = Path(colornet.__file__).parent
MODULES = {
    ".".join(("colornet", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}

# What each module may import of the others at most; the order is that of the layers, low to high.
ALLOWED = {
    "": ["inference"],
    "allocator": [],
    "errors": [],
    "files": [],
    "color": [],
    "losses": [],
    "distances": [],
    "classifier": ["color"],
    "features": ["classifier"],
    "fidelity": ["features"],
    "noise": [],
    "models": ["noise"],
    "discriminators": [],
    "config": ["errors"],
    "presets": ["config"],
    "provenance": ["files"],
    "preemption": [],
    "rendezvous": ["errors"],
    "process_log": [],
    "model_card": ["config", "files", "provenance"],
    "checkpoint": ["errors", "files"],
    "data": ["errors", "files"],
    "metrics": ["color"],
    "objectives": ["color", "losses"],
    "optimization": ["config"],
    "evaluation": ["color", "metrics"],
    "histograms": ["color"],
    "logs": ["config", "files", "histograms", "provenance"],
    "validation": ["classifier", "data", "distances", "evaluation", "metrics"],
    "profiling": ["files", "provenance"],
    "state": ["objectives"],
    "steps": [],
    "run_folder": ["checkpoint", "config", "errors", "files", "provenance"],
    "trainer": ["color", "config", "data", "errors", "evaluation", "features", "histograms", "logs", "model_card",
                "models", "objectives", "optimization", "preemption", "process_log", "profiling", "provenance",
                "run_folder", "state", "steps", "validation"],
    "compose": ["allocator", "checkpoint", "color", "config", "data", "discriminators", "errors", "losses", "models",
                "objectives", "optimization", "provenance", "released", "rendezvous", "trainer"],
    "comparison": ["color", "compose", "config", "data", "evaluate", "evaluation", "files", "metrics", "provenance"],
    "released": ["errors"],
    "upsampling": [],
    "photos": ["data", "files"],
    "onnx_network": ["errors"],
    "exporters": ["compose", "config", "errors", "files", "onnx_network", "provenance"],
    "pictures": ["color", "photos"],
    "inference": ["color", "compose", "errors", "noise", "onnx_network", "pictures", "released", "upsampling"],
    "train": ["compose", "config", "data", "errors", "presets"],
    "evaluate": ["comparison", "config", "data", "errors", "evaluation"],
    "colorize": ["config", "data", "errors", "evaluation", "files", "inference", "onnx_network", "photos", "released"],
    "export": ["config", "errors", "exporters", "onnx_network", "released"],
    "demo_page": ["errors", "files", "inference", "photos"],
    "demo": ["colorize", "demo_page", "errors", "inference", "released"],
    "cli": ["colorize", "demo", "evaluate", "export", "train"],
    "__main__": ["cli"],
}  # fmt: skip

# Only these may know of processes and devices.
MAY_USE_ACCELERATE = {"optimization", "state", "steps", "validation", "trainer", "compose", "evaluation", "comparison"}


def imports(path: Path) -> set[str]:
    """List the modules that a file imports, at any depth of its code."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_one_way(module: str) -> None:
    own = {name for name in imports(MODULES[module]) if name in MODULES and layer(name)}
    assert {layer(name) for name in own} - {layer(module)} <= set(ALLOWED.get(layer(module), ()))


def test_every_module_has_its_place() -> None:
    assert {layer(module) for module in MODULES} == ALLOWED.keys()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_composing_training_and_scoring_know_accelerate(module: str) -> None:
    used = {name.split(".")[0] for name in imports(MODULES[module])}
    assert "accelerate" not in used or layer(module) in MAY_USE_ACCELERATE


def test_training_and_coloring_begin_without_torchvision() -> None:
    """Its models take as long to import as torch; distances and CIFAR-10 itself need it later."""
    program = "import sys, colornet.training.build, colornet.inference.colorizer; print('torchvision' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_import_is_a_requirement(module: str) -> None:
    known = {"torch", "torchvision", "accelerate", "einops", "gradio", "numpy", "onnxruntime", "PIL", "safetensors",
             "skimage", "torch_fidelity", "tqdm", "typeguard", "tyro"}  # fmt: skip
    used = {name.split(".")[0] for name in imports(MODULES[module])} - {"colornet"}
    assert used - set(sys.stdlib_module_names) <= known
