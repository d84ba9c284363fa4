"""Run the generator in an ONNX file of `colornet export`; torch and onnxruntime are imported when one is opened."""

from __future__ import annotations

import importlib.util
import json
import os
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colornet.errors import InputError
from colornet.files import expanded, read_bytes
from colornet.inference.onnx_seal import is_damaged

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1  # of the record that describes an export
RECORD = "colornet"  # its key in the metadata of the file

_CHANNELS = {"lab": 2, "rgb": 3}  # of the color that a network predicts, by color space
_MOST_NOISE = 4096  # channels
_LARGEST = 4096  # image size; more is damage or an attack
_MOST_SECONDS = 300  # of a forward pass, which takes a few
_MOST_MEMORY = 2**33  # bytes that graphs may take
_LARGEST_FILE = 2**31  # bytes, where protobuf ends


def require(*packages: str) -> None:
    """Raise InputError, which says how to install them, unless all of these optional packages are installed."""
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise InputError(f'ONNX needs {" and ".join(missing)}: run `pip install ".[export]"` in the checkout.')


def find_onnx(model: str | os.PathLike[str]) -> Path | None:
    """Return the path of the ONNX file that `model` names; None if it is the name of a model or a folder.

    Raises InputError for a file that does not exist or is not safe to open, and if onnxruntime is missing.
    """
    path = expanded(model)
    if path.suffix not in (".onnx", ".pt2") or path.is_dir():
        return None
    if path.suffix == ".pt2":
        reason = "as torch unpickles what is in a .pt2 file, which may be any program"
        advice = "color with its run folder, or export that to a file NAME.onnx"
        raise InputError(f"Model '{path}' is not opened, {reason}: {advice}.")
    if not path.is_file():
        raise InputError(f"Model '{path}' does not exist: name a file that `colornet export` wrote.")
    require("onnxruntime")
    return path


class OnnxModel:
    """Maps the condition (N, 1, H, W) to the color (N, C, H, W), float32 on the CPU, as the exported generator does.

    A generator with a noise input takes what `noise` returns, by default that of coloring 0. `record` is the file's
    metadata: color space, image size, multiple, noise and origin. Raises InputError, when opened or called, for a file
    that is damaged or that `colornet export` did not write.
    """

    def __init__(self, path: Path) -> None:
        import torch

        onnxruntime = _runtime()
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.use_env_allocators", "1")  # the bounded one
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # errors are raised, too
        self.path = path
        try:
            content = read_bytes(path, _LARGEST_FILE)  # as bytes, the model cannot name other files
            if is_damaged(content):
                raise ValueError("its sha256 is not that of what was written: it is damaged")
            cpu = ["CPUExecutionProvider"]
            self.session = onnxruntime.InferenceSession(content, options, providers=cpu, enable_fallback=0)
        except Exception as error:  # onnxruntime's errors have no type in common
            raise InputError(f"{path} cannot be opened: {_reason(error)}; export it again.") from error
        self.record = self._read_record()

    @property
    def noise_channels(self) -> int:
        """How many numbers the noise of an image is drawn from, 0 if the graph takes none."""
        return self.record.get("noise_channels", 0)

    def noise(self, condition: Tensor, sample: int = 0) -> Tensor:
        """Return what the graph takes as noise, as the generator's method of that name does."""
        from colornet.models.noise import fixed_noise, octave_noise

        seeds = fixed_noise(condition, self.noise_channels, sample)
        height, width = condition.shape[2:]
        spatial = len(self.session.get_inputs()[1].shape) == 4
        return octave_noise(seeds, 2, height // 2, width // 2) if spatial else seeds

    def __call__(self, condition: Tensor, noise: Tensor | None = None) -> Tensor:
        import torch

        inputs = {"condition": condition.numpy()}
        if self.noise_channels:
            inputs["noise"] = (self.noise(condition) if noise is None else noise).numpy()
        options = _runtime().RunOptions()
        # A graph may hold a loop that never ends: onnxruntime looks at `terminate` between its nodes.
        timer = threading.Timer(_MOST_SECONDS, setattr, (options, "terminate", True))
        timer.daemon = True
        timer.start()
        try:
            (color,) = self.session.run(["color"], inputs, options)
            expected = (len(condition), _CHANNELS[self.record["color_space"]], *condition.shape[2:])
            if color.shape != expected:
                raise ValueError(f"its colors are of shape {color.shape}, not {expected}")
        except Exception as error:  # onnxruntime's, as above
            reason = f"it takes more than {_MOST_SECONDS:,} seconds" if options.terminate else _reason(error)
            raise InputError(f"{self.path} cannot be run: {reason}; export it again.") from error
        finally:
            timer.cancel()
        return torch.from_numpy(color)

    def _read_record(self) -> dict[str, Any]:
        text = self.session.get_modelmeta().custom_metadata_map.get(RECORD)
        if text is None:
            raise InputError(f"{self.path} is not from `colornet export`: its metadata has no record {RECORD!r}.")
        try:
            record = json.loads(text)
            if record["format"] != FORMAT:
                raise ValueError(f"the format of its record is {record['format']}, this version reads {FORMAT}")
            size, multiple = record["image_size"], record["multiple"]
            whole = isinstance(size, int) and isinstance(multiple, int)
            if not (whole and 1 <= multiple <= size <= _LARGEST and size % multiple == 0):
                raise ValueError(f"an image size of {size} with sides that are multiples of {multiple} cannot be")
            ports = [*self.session.get_inputs(), *self.session.get_outputs()]
            found = [(port.name, port.type, len(port.shape), port.shape[1]) for port in ports]
            channels, seeds = _CHANNELS[record["color_space"]], record.get("noise_channels", 0)
            if not (isinstance(seeds, int) and 0 <= seeds <= _MOST_NOISE):
                raise ValueError(f"its noise cannot have {seeds!r} channels")
            noise = [[("noise", "tensor(float)", 2, seeds)], [("noise", "tensor(float)", 4, 2)]] if seeds else [[]]
            condition, color = ("condition", "tensor(float)", 4, 1), ("color", "tensor(float)", 4, channels)
            if found not in [[condition, *one, color] for one in noise]:
                raise ValueError("its inputs and outputs are not those of its record")
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise InputError(f"{self.path} cannot be used: {error}; export it again.") from error
        return record


@cache
def _runtime() -> Any:
    """Import onnxruntime: it sends nothing, and all that it computes is in `_MOST_MEMORY`."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # or it writes into the home folder and looks for its collector
    import onnxruntime

    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg({"max_mem": _MOST_MEMORY}))
    return onnxruntime


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return (reason or str(error).partition("\n")[0] or type(error).__name__).rstrip(". ")
