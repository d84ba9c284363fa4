"""Images in parquet files, as the Hub stores data sets; pyarrow is an extra."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from colornet.errors import InputError

_ROWS = 512  # read at a time


class Row(NamedTuple):
    """An encoded image and the name of its class; None if the file names none."""

    image: bytes
    label: str | None


def has_pyarrow() -> bool:
    """Tell whether parquet files can be read."""
    return importlib.util.find_spec("pyarrow") is not None


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the rows of a file whose first column of encoded images is taken, and its first column of classes.

    Raises InputError if it holds no images or is damaged.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            image, label, names = _columns(file.schema_arrow, path)
            for batch in file.iter_batches(_ROWS, columns=[image, *([label] if label else [])]):
                for row in batch.to_pylist():
                    encoded = (row[image] or {}).get("bytes")
                    if encoded is None:
                        raise InputError(f"{path.name} names images that it does not hold: use the images themselves.")
                    yield Row(encoded, None if label is None or row[label] is None else names[row[label]])
    except (pyarrow.ArrowException, IndexError, TypeError) as error:
        raise InputError(f"{path.name} is damaged ({error}): remove it and download it again.") from error


def _columns(schema: Any, path: Path) -> tuple[str, str | None, list[str]]:
    """Return the names of the columns of images and classes, and those of the classes, by what the Hub noted."""
    try:
        noted = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError):
        noted = {}
    kinds = {name: (noted.get(name) or {}).get("_type") for name in schema.names}
    images = [name for name, kind in kinds.items() if kind == "Image"] or [
        field.name for field in schema if str(field.type).startswith("struct<bytes: binary")
    ]
    if not images:
        raise InputError(f"{path.name} holds no column of images: choose a data set of images.")
    label = next((name for name, kind in kinds.items() if kind == "ClassLabel"), None)
    return images[0], label, noted[label]["names"] if label else []
