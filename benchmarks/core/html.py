"""What the sections of the report are made of: colors that mean the same everywhere, and small pieces of HTML."""

from __future__ import annotations

import itertools
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from benchmarks.core import plots
from benchmarks.report.read import Record, Results, without_seed

__all__ = [
    "Colors",
    "Section",
    "aliases",
    "definitions",
    "figure",
    "grid",
    "image_html",
    "legend",
    "listed",
    "measured_on",
    "note",
    "source_of",
]


class Section(NamedTuple):
    """A part of the report: its heading, its HTML, and its Markdown, which is empty where all of it is plots."""

    title: str
    html: str
    markdown: str = ""


class Colors:
    """One color per model over all plots, in the order of the tables; rows that are no models share a gray."""

    def __init__(self, results: Results) -> None:
        self._colors: dict[str, str] = {}
        self._palette = itertools.cycle(plots.PALETTE)
        models = [row for result in results.quality for row in result.record["rows"] if row["kind"] == "model"]
        for row in models:
            self._choose(row["name"])
        for row in models:
            for alias in aliases(row):
                self._colors.setdefault(alias, self(row["name"]))
        for run in results.runs:
            self._choose(run.group)
        for result in results.speedrun:
            self._choose(result.record["ours"]["preset"])

    def __call__(self, name: str) -> str:
        return self._colors.get(name.casefold(), plots.NEUTRAL)

    def _choose(self, name: str) -> None:
        if name.casefold() not in self._colors:
            self._colors[name.casefold()] = next(self._palette)


def aliases(row: Record) -> set[str]:
    """Name a row as others may: its runs less their seed, or a preset."""
    return {
        row["name"].casefold(),
        *(without_seed(Path(member).name).casefold() for member in row.get("members") or ()),
    }


# Text


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def measured_on(record: Record) -> str:
    """Say where, when and with which code a result was measured."""
    commit = record["commit"]
    # Shortened, but for the + that says that files differed from it.
    short = re.sub(r"^(\w{12})\w+", r"\1", commit) if commit else "unknown"
    return f"Measured on {record['device']}, {str(record['date'])[:10]}, commit {short}."


# HTML


def source_of(path: Path) -> str:
    """Name the file that what follows comes from."""
    return f'<p class="source"><code>{escape(str(path))}</code></p>'


def note(text: str) -> str:
    """Say how to read what follows."""
    return f'<p class="note">{escape(text)}</p>'


def figure(title: str, *drawings: str) -> str:
    """Put a caption above drawings."""
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(drawings)}</figure>"


def grid(figures: Iterable[str], kind: str = "") -> str:
    """Set figures beside each other: three in a row, two if `wide`, four if `small`."""
    return f'<div class="plots {kind}">{"".join(figures)}</div>'


def image_html(image: NDArray[np.uint8], description: str) -> str:
    """Embed a uint8 image (3, H, W) pixel by pixel."""
    buffer = BytesIO()
    Image.fromarray(rearrange(image, "c h w -> h w c")).save(buffer, format="png")
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">'


def legend(colors: Mapping[str, str]) -> str:
    """Name the colors of curves."""
    keys = "".join(f'<li><i style="background: {color}"></i>{escape(name)}</li>' for name, color in colors.items())
    return f'<ul class="legend">{keys}</ul>'


def definitions(kind: str, entries: Mapping[str, str]) -> str:
    """List terms and what they mean."""
    items = "".join(f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in entries.items())
    return f'<dl class="{kind}">{items}</dl>'
