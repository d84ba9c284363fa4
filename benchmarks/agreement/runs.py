"""Compare the models of runs that were resumed with those of runs that were not: the last lines of a stage of gpu.sh.

`python benchmarks/agreement/runs.py WORK PRESET …` reads WORK/resume/resumed-PRESET and whole-PRESET. Equal models are
equal to the last bit on a CPU; on a GPU, sums in another order differ by rounding.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

TOLERANCE = 0.02
"""Largest distance of all weights of the moving averages, relative to their size."""


def main(work: Path, presets: list[str]) -> None:
    """Print a line for each preset; exit with code 1 where a resumed run ended elsewhere."""
    wrong = []
    for preset in presets:
        apart = distance(*(work / "resume" / f"{kind}-{preset}" / "model.safetensors" for kind in ("resumed", "whole")))
        print(f"{preset}: {'equal to the last bit' if apart == 0 else f'relative distance {apart:.2g}'}")
        wrong += [preset] if not apart <= TOLERANCE else []
    if wrong:
        sys.exit(f"error: resumed runs of {', '.join(wrong)} ended elsewhere (more than {TOLERANCE:g}).")


def distance(found: Path, expected: Path) -> float:
    """Return the distance of two models, relative to the size of the second."""
    vectors = []
    for path in (found, expected):
        tensors = load_file(path)
        vectors.append(torch.cat([tensors[name].double().flatten() for name in sorted(tensors)]))
    return ((vectors[0] - vectors[1]).norm() / vectors[1].norm()).item()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
