"""Write the generator of a run as a graph in one file, and compare what was written with PyTorch."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.files import replacing
from colornet.inference.onnx_model import FORMAT, RECORD, OnnxNetwork
from colornet.runs.provenance import provenance
from colornet.runs.run import load_run

__all__ = ["TOLERANCE", "export"]

TOLERANCE = 1e-4  # of the color: 0.011 units of a*b*, or a fortieth of a level of 8-bit RGB

_ONNX_BYTES = 1_500_000_000  # torch puts the weights of larger networks into a second file, as protobuf ends at 2 GiB
_CHECKED = 256  # pixels a side at most: the memory that onnxruntime takes for attention grows with the fourth power


@torch.no_grad()
def export(run: Path, source: str, kind: Literal["onnx", "pt2"], out: Path) -> float:
    """Write the generator of a run folder to a file; return by how much its colors differ from PyTorch's at most.

    `source` is what the file's record calls the model. Raises InputError for a run that cannot be loaded or exported,
    and for a difference above `TOLERANCE`; `out` is what it was before, then.
    """
    config, network = load_run(run)
    network.to(memory_format=torch.contiguous_format)
    multiple = 2 ** (len(config.multipliers) - 1)
    weights = sum(value.nbytes for value in network.state_dict().values())
    if kind == "onnx" and weights > _ONNX_BYTES:
        raise InputError(f"{source} has {weights / 1e9:.1f} GB of weights, too many for ONNX in one file: use pt2.")
    program = _trace(network, multiple)
    graph = _to_onnx(program, multiple) if kind == "onnx" else program
    record = _describe(config, source, run, kind)
    with replacing(out) as path:
        _write(graph, record, path)
        difference = _difference(_read(path, kind), network, config, multiple)
        if not difference <= TOLERANCE:
            raise InputError(
                f"Exported as {kind}, the colors of {source} differ from PyTorch's by up to {difference:.1e}, more "
                f"than {TOLERANCE:.0e}: nothing is written; try the other --format."
            )
        _write(graph, record | {"max_difference": difference}, path)  # the same graph
    return difference


def _dynamic_shapes(multiple: int) -> tuple[dict[int, Any]]:
    """Say what may vary in the condition (N, 1, H, W): N, and H and W in multiples."""
    height, width = Dim("h"), Dim("w")
    if multiple > 1:  # torch refuses 1 * dimension
        height, width = multiple * height, multiple * width
    return ({0: Dim("batch"), 2: height, 3: width},)


def _trace(network: nn.Module, multiple: int) -> ExportedProgram:
    example = torch.zeros(2, 1, 3 * multiple, 5 * multiple)  # nowhere a side of 1, which torch takes for constant
    program = torch.export.export(network, (example,), dynamic_shapes=_dynamic_shapes(multiple))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    return program


def _to_onnx(program: ExportedProgram, multiple: int) -> torch.onnx.ONNXProgram:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # torch 2.11, of its own code
        graph = torch.onnx.export(
            program,
            dynamo=True,
            dynamic_shapes=_dynamic_shapes(multiple),  # for their names
            input_names=["condition"],
            output_names=["color"],
            verbose=False,
        )
    assert graph is not None
    return graph


def _describe(config: TrainConfig, source: str, run: Path, kind: str) -> dict[str, Any]:
    """Put together what inference must know of the graph, and where it comes from."""
    record = {
        "format": FORMAT,
        "color_space": config.color_space,
        "image_size": config.image_size,
        "multiple": 2 ** (len(config.multipliers) - 1),
        "model": source,
        "sha256": hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest(),
        **provenance(torch.device("cpu")),
    }
    if kind == "onnx":
        record["versions"] |= {name: version(name) for name in ("onnx", "onnxscript", "onnxruntime")}
    return record


def _write(graph: torch.onnx.ONNXProgram | ExportedProgram, record: dict[str, Any], path: Path) -> None:
    text = json.dumps(record)
    if isinstance(graph, ExportedProgram):
        torch.export.save(graph, path, extra_files={f"{RECORD}.json": text})
    else:
        graph.model.metadata_props[RECORD] = text
        graph.save(path)


def _read(path: Path, kind: str) -> Callable[[Tensor], Tensor]:
    if kind == "onnx":
        return OnnxNetwork(path)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", "The given buffer is not writable", UserWarning
        )  # torch 2.11, of its own code
        return torch.export.load(path).module()  # it unpickles: safe only for what was written a moment ago


def _difference(written: Callable[[Tensor], Tensor], network: nn.Module, config: TrainConfig, multiple: int) -> float:
    """Return the largest absolute difference of the colors of random conditions; NaN where either has NaN.

    Numbers and sizes of images are not those of the example: one of the training size, three small ones.
    """
    side = max(2, min(config.image_size, _CHECKED) // multiple) * multiple
    generator = torch.Generator().manual_seed(0)
    differences = []
    for shape in (1, 1, side, side), (3, 1, 2 * multiple, 4 * multiple):
        condition = torch.rand(shape, generator=generator)
        if config.color_space == "lab":
            condition = condition * 2 - 1
        differences.append((written(condition) - network(condition)).abs().max())
    return torch.stack(differences).max().item()
