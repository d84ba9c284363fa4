"""What gray images tell of their classes: the accuracy that a result of `benchmarks ceiling` reached on them."""

from __future__ import annotations

from pathlib import Path

from benchmarks.core.record import Record, check_shape, read_json
from colornet.errors import InputError

COMMITTED = Path(__file__).parents[1] / "results"
_SHAPE: Record = {"data": {"fingerprint": str}, "splits": {"*": {"accuracy": float}}}


def read_ceiling(path: Path) -> Record:
    """Read a result of `benchmarks ceiling`; raise `InputError` for another file."""
    record = read_json(path)
    if not isinstance(record, dict) or record.get("kind") != "ceiling":
        raise InputError(f"{path} is no result of `python -m benchmarks ceiling`: name one.")
    try:
        check_shape(record, _SHAPE)
    except ValueError as error:
        raise InputError(f"{path} is damaged, make it again: {error}.") from None
    return record


def accuracy_told(path: Path | None, fingerprint: str, split: str) -> Record | None:
    """Return the accuracy that was reached on a part of a data set from gray alone, in per cent, and the file's name.

    It is read from `path`, or from the committed result for these images. None where there is none. Raises `InputError`
    where `path` is of other images.
    """
    for file in sorted(COMMITTED.glob("*ceiling*.json")) if path is None else [path]:
        record = read_ceiling(file)
        if record["data"]["fingerprint"] == fingerprint and split in record["splits"]:
            return {"accuracy": 100 * record["splits"][split]["accuracy"], "file": file.name}
    if path is not None:
        raise InputError(f"--ceiling {path} was measured on other images: run `python -m benchmarks ceiling` on these.")
    return None
