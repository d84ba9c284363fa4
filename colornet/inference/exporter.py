"""Write the generator of a run as an ONNX file, and compare what was written with PyTorch."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

from colornet.config import TrainConfig
from colornet.errors import InputError
from colornet.files import replacing
from colornet.inference.onnx_model import FORMAT, RECORD, OnnxModel
from colornet.inference.onnx_seal import BLANK, KEY, seal
from colornet.models.build import Generator
from colornet.runs.provenance import provenance
from colornet.runs.run import Run

TOLERANCE = 1e-4  # of the color: 0.011 units of a*b*, or a fortieth of a level of 8-bit RGB

_ONNX_BYTES = 1_500_000_000  # torch puts the weights of larger networks into a second file, as protobuf ends at 2 GiB
_CHECKED = 256  # pixels a side at most: the memory that onnxruntime takes for attention grows with the fourth power


@torch.no_grad()
def export_onnx(folder: Path, source: str, out: Path) -> float:
    """Write the generator of a run folder to an ONNX file; return the largest difference of its colors from PyTorch's.

    `source` is what the file's record calls the model. Raises InputError for a run that cannot be loaded or exported,
    and for a difference above `TOLERANCE`; `out` is unchanged then.
    """
    run = Run(folder)
    config, network = run.config, run.load_generator()
    network.to(memory_format=torch.contiguous_format)
    weights = sum(value.nbytes for value in network.state_dict().values())
    if weights > _ONNX_BYTES:
        raise InputError(f"{source} has {weights / 1e9:.1f} GB of weights, too many for ONNX in one file: use the run.")
    graph = _trace(network, config.size_multiple)
    record = {
        "format": FORMAT,
        "color_space": config.color_space,
        "image_size": config.image_size,
        "multiple": config.size_multiple,
        "noise_channels": config.noise_channels,
        "model": source,
        "sha256": run.sha256,
        **provenance(torch.device("cpu")),
    }
    record["versions"] |= {name: version(name) for name in ("onnx", "onnxscript", "onnxruntime")}
    with replacing(out) as path:
        graph.model.metadata_props[RECORD] = json.dumps(record)
        graph.save(path)
        difference = _difference(OnnxModel(path), network, config)
        if not difference <= TOLERANCE:
            differ = f"differ from PyTorch's by up to {difference:.1e}, more than {TOLERANCE:.0e}"
            raise InputError(f"Exported as ONNX, the colors of {source} {differ}: nothing is written; use the run.")
        graph.model.metadata_props[RECORD] = json.dumps(record | {"max_difference": difference, KEY: BLANK})
        graph.save(path)
        seal(path)
    return difference


def _trace(network: Generator, multiple: int) -> torch.onnx.ONNXProgram:
    """Trace a generator for conditions (N, 1, H, W) of any N, and of H and W in multiples, and their noise."""
    batch, rows, columns = Dim("batch"), Dim("h"), Dim("w")

    def sides(pixels: int) -> dict[int, Any]:
        return {2: pixels * rows, 3: pixels * columns} if pixels > 1 else {2: rows, 3: columns}  # torch refuses 1 * h

    examples = {"condition": torch.zeros(2, 1, 3 * multiple, 5 * multiple)}  # a side of 1 would be taken for constant
    shapes: list[dict[int, Any]] = [{0: batch} | sides(multiple)]
    if network.noise_channels:
        examples["noise"] = network.noise(examples["condition"])
        shapes.append({0: batch} | (sides(multiple // 2) if examples["noise"].ndim == 4 else {}))
    program = torch.export.export(network, tuple(examples.values()), dynamic_shapes=tuple(shapes))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)  # torch 2.11, about its own code
        # Condition and noise share it.
        warnings.filterwarnings("ignore", ".*axis name: batch will not be used", UserWarning)
        names: dict[str, Any] = {"input_names": [*examples], "output_names": ["color"]}
        graph = torch.onnx.export(program, dynamo=True, verbose=False, dynamic_shapes=tuple(shapes), **names)
    assert graph is not None
    return graph


def _difference(written: Callable[[Tensor], Tensor], network: Generator, config: TrainConfig) -> float:
    """Return the largest absolute difference of the colors of random conditions; NaN where either has NaN."""
    multiple = config.size_multiple
    side = max(2, min(config.image_size, _CHECKED) // multiple) * multiple
    generator = torch.Generator().manual_seed(0)
    differences = []
    for shape in (1, 1, side, side), (3, 1, 2 * multiple, 4 * multiple):  # neither is that of the traced example
        condition = torch.rand(shape, generator=generator)
        if config.color_space == "lab":
            condition = condition * 2 - 1
        differences.append((written(condition) - network(condition)).abs().max())
    return torch.stack(differences).max().item()
