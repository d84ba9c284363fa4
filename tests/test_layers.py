"""Imports run one way: the layers of both packages, and what each of them may load."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent

BENCHMARKS = ["quality", "throughput", "scaling", "speedrun", "inference", "photos", "ablation", "growth", "evaluator",
              "release", "reliability", "agreement"]  # fmt: skip

# Low to high: a folder or top-level module may import those on its own line or on a line above it.
LAYERS = {
    "colornet": [
        ["errors", "files", "color", "bar", "command", "environment", "hub", "tables"],
        ["config"],
        ["data", "models", "metrics", "objectives"],
        ["runs"],
        ["evaluation", "inference"],
        ["training", "defaults"],
        ["train", "evaluate", "colorize", "export", "fetch", "push", "demo"],
        ["cli"],
        ["__main__"],
    ],
    "benchmarks": [["core", "baselines"], BENCHMARKS, ["report"], ["__main__"]],
}
STAGES = ("options", "measure", "report")  # of a benchmark: each may import those before it

ACCELERATE = {"colornet.training", "colornet.evaluation"}  # the folders that may know of processes

MODULE_OF = {
    "pillow": "PIL",
    "pillow-heif": "pillow_heif",
    "scikit-image": "skimage",
    "torch-fidelity": "torch_fidelity",
}  # where names differ

PLACES = {
    f"{package}.{name}": place
    for package, layers in LAYERS.items()
    for place, names in enumerate(layers)
    for name in names
}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in LAYERS
    for path in sorted((ROOT / package).rglob("*.py"))
}


@cache
def imports(module: str) -> frozenset[str]:
    """List what a module imports, at any depth of its code and also where only a type checker reads it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            assert node.module is not None
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            # Of a package, either one of its modules or something that the package exports.
            found |= {name if name in MODULES else node.module for name in names}
    return frozenset(found - {module})


def own(module: str) -> set[str]:
    """List the modules of the two packages that a module imports."""
    return {name for name in imports(module) if name in MODULES}


def part(module: str) -> str:
    """Name the folder or top-level module of a package that a module belongs to."""
    return ".".join(module.split(".")[:2])


def test_every_folder_has_its_place() -> None:
    assert {part(module) for module in MODULES} == {*PLACES, *LAYERS}


def is_benchmark(module: str) -> bool:
    return module.startswith("benchmarks")


def test_no_import_runs_upward() -> None:
    """The `__init__` of a package may export what lies above; benchmarks use colornet, and never the reverse."""
    upward = {
        f"{module} → {name}"
        for module in MODULES.keys() - LAYERS.keys()
        for name in own(module)
        if name.startswith(module.split(".")[0]) and PLACES.get(part(name), 0) > PLACES[part(module)]
    }
    assert not upward
    assert not [module for module in MODULES if module.startswith("colornet") and any(map(is_benchmark, own(module)))]


def circles() -> Iterator[str]:
    """Find the imports that lead back to a module on the way to it."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> Iterator[str]:
        if module in path:
            yield " → ".join([*path[path.index(module) :], module])
        elif module not in done:
            for name in sorted(own(module)):
                yield from visit(name, [*path, module])
            done.add(module)

    for module in sorted(MODULES):
        yield from visit(module, [])


def test_there_is_no_circle() -> None:
    assert not list(circles())


def test_a_benchmark_goes_from_options_to_measure_to_report() -> None:
    """Options import neither of the two others, a measurement no report, and none those of another benchmark."""
    wrong = set()
    for module in MODULES:
        package, folder, stage, *_ = [*module.split("."), "", ""]
        if package != "benchmarks" or folder not in BENCHMARKS:
            continue
        for name in own(module):
            _, other, other_stage, *_ = [*name.split("."), "", ""]
            if part(name) not in {f"benchmarks.{benchmark}" for benchmark in BENCHMARKS} or other_stage not in STAGES:
                continue
            if other != folder or (stage in STAGES and STAGES.index(other_stage) > STAGES.index(stage)):
                wrong.add(f"{module} → {name}")
    assert not wrong


def test_only_training_and_evaluation_know_accelerate() -> None:
    using = {part(module) for module in MODULES if any(name.split(".")[0] == "accelerate" for name in imports(module))}
    assert {folder for folder in using if folder.startswith("colornet")} == ACCELERATE


def test_every_import_is_a_requirement() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = setup["options.extras_require"]
    listed = setup["options"]["install_requires"] + "".join(extras[name] for name in extras if name != "test")
    names = {line.partition(">=")[0] for line in listed.split()}
    known = {MODULE_OF.get(name, name) for name in names} | {*LAYERS, *sys.stdlib_module_names}
    used = {f"{module} → {name}" for module in MODULES for name in imports(module) if name.split(".")[0] not in known}
    assert not used


def loaded(statement: str) -> set[str]:
    """List the modules that a fresh interpreter has loaded after a statement."""
    program = f"{statement}; import sys; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_importing_the_package_loads_no_torch() -> None:
    assert "torch" not in loaded("import colornet")


def test_inference_loads_nothing_of_training() -> None:
    """`torchvision` takes as long to import as torch; TensorBoard and Accelerate serve training."""
    modules = loaded("from colornet.inference.colorizer import Colorizer")
    assert "colornet.inference" in modules
    assert not {name.split(".")[0] for name in modules} & {"tensorboard", "accelerate", "torchvision"}
    assert not {name for name in modules if name.startswith(("colornet.training", "colornet.data.loader"))}


def test_training_begins_without_torchvision() -> None:
    """Distances and CIFAR-10 itself need it, later."""
    assert "torchvision" not in loaded("import colornet.training.build")
