"""Safetensors files that depend on their content alone, and that show whether it is still what was written."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from colornet.files import LARGEST_WEIGHTS, open_regular

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_SEAL = "sha256"  # entry of the metadata: the hash of all others and of the tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file, tensor by tensor; equal content makes equal files, whatever the order of its parts.

    The writer of the library orders metadata at random. The file of a model has `metadata`, and then also the hash that
    `read_tensors` compares. Tensors may be on any device and need not be contiguous. `OSError` if the disk is full.
    """
    # The order of the library: the widest first, so that each tensor is aligned and can be mapped into memory.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, object] = {}
    if metadata is not None:
        header["__metadata__"] = {**metadata, _SEAL: _content_hash(tensors, metadata)}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].numel() * tensors[name].element_size()
        shape = list(tensors[name].shape)
        header[name] = {"dtype": _NAMES[tensors[name].dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in names:
            file.write(_bytes(tensors[name]))


def read_tensors(path: Path, expected: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Read a safetensors file onto the CPU.

    `expected`, if given, are tensors of the same names and shapes, maybe on the device meta; any precision will do.
    They are compared before anything is read. Raises `ValueError` for other tensors and for content that has changed
    since it was written, and `OSError` or `SafetensorError` for a file that cannot be read.
    """
    with open_regular(path, LARGEST_WEIGHTS), safe_open(path, "pt") as file:
        if expected is not None:
            _compare({name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}, expected)  # noqa: SIM118
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dictionary
        metadata = dict(file.metadata() or {})
    seal = metadata.pop(_SEAL, None)  # earlier versions wrote none
    if seal is not None and seal != _content_hash(tensors, metadata):
        raise ValueError("its sha256 is not that of what was written: it is damaged")
    for name, tensor in tensors.items():
        if expected is not None and tensor.is_floating_point() != expected[name].is_floating_point():
            raise ValueError(f"{name} holds {tensor.dtype} instead of {expected[name].dtype}")
    return tensors


def _compare(shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor]) -> None:
    if unknown := shapes.keys() - expected.keys():
        raise ValueError(f"the network has no {min(unknown)!r}")
    if missing := expected.keys() - shapes.keys():
        raise ValueError(f"it has no {min(missing)!r}")
    for name, shape in shapes.items():
        if shape != expected[name].shape:
            raise ValueError(f"{name} has the shape {shape}, the network needs {tuple(expected[name].shape)}")


def _content_hash(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name in sorted(tensors):
        digest.update(json.dumps([name, _NAMES.get(tensors[name].dtype), list(tensors[name].shape)]).encode())
        digest.update(_bytes(tensors[name]))
    return digest.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    """Return the numbers of a tensor in row-major order."""
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().data
