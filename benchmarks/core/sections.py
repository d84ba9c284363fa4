"""What a benchmark shows: blocks of a section, rendered for the page, for Markdown and for the terminal."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from benchmarks.core.record import Record
from colornet.tables import Table, escape_markdown, plain


class Heading(NamedTuple):
    """A heading within a section, or within a part of it."""

    text: str
    level: int = 3  # of HTML


class Note(NamedTuple):
    """How to read what follows."""

    text: str


class Verdicts(NamedTuple):
    """Sentences that say what the numbers mean."""

    texts: Sequence[str]


class Definitions(NamedTuple):
    """Terms and what they mean; `style` is the CSS class of the list."""

    entries: Mapping[str, str]
    style: str = "columns"


class Legend(NamedTuple):
    """The colors of curves by name; shown on the page only."""

    colors: Mapping[str, str]


class Figure(NamedTuple):
    """Drawings, SVG elements as text, below a caption."""

    caption: str
    drawings: Sequence[str]


class Figures(NamedTuple):
    """Figures beside each other, shown on the page only: three in a row, two if "wide", four if "small"."""

    figures: Sequence[Figure]
    style: str = ""


class Pictures(NamedTuple):
    """Images in a grid, shown on the page only: a row a model, a column a label; images are data URIs."""

    labels: Sequence[str]
    rows: Mapping[str, Sequence[str]]


class Examples(NamedTuple):
    """Single images, shown on the page only: (data URI, description, caption, lines below it) each."""

    items: Sequence[tuple[str, str, str, Sequence[str]]]


class Details(NamedTuple):
    """Blocks that are folded away below their summary, shown on the page only."""

    summary: str
    blocks: Sequence[Block]
    is_open: bool = False


class PageOnly(NamedTuple):
    """Blocks that the page alone shows: figures with their heading, and how to read them."""

    blocks: Sequence[Block]


Block = Table | Heading | Note | Verdicts | Definitions | Legend | Figures | Pictures | Examples | Details | PageOnly


@dataclass(frozen=True)
class Section:
    """A part of the report: its title, a summary, the file it comes from, and its blocks."""

    title: str
    summary: str = ""
    source: Path | None = None
    blocks: Sequence[Block] = field(default_factory=list)

    def to_markdown(self) -> str:
        """Return what Markdown can show of the section; empty where all of it is plots."""
        top = ": ".join(escape_markdown(str(text)) for text in (self.source, self.summary) if text)
        parts = [text for block in self.blocks if (text := _markdown(block))]
        return "\n\n".join(filter(None, [top, *parts]))


def blocks_text(blocks: Iterable[Block]) -> str:
    """Return what a terminal shows of blocks: tables below their titles, and notes."""
    parts = []
    for block in blocks:
        if isinstance(block, Table):
            parts.append("\n".join(filter(None, (plain(block.title), block.without_empty_columns().to_text()))))
        elif isinstance(block, Note):
            parts.append(plain(block.text))
        elif isinstance(block, Verdicts):
            parts.append("\n".join(map(plain, block.texts)))
    return "\n\n".join(parts)


def _markdown(block: Block) -> str:
    if isinstance(block, Table):
        title = f"#### {escape_markdown(block.title)}\n\n" if block.title else ""
        return title + block.without_empty_columns().to_markdown()
    if isinstance(block, Heading):
        return f"{'#' * block.level} {escape_markdown(block.text)}"
    if isinstance(block, Note):
        return escape_markdown(block.text)
    if isinstance(block, Verdicts):
        return "\n".join(f"- {escape_markdown(text)}" for text in block.texts)
    if isinstance(block, Definitions):
        return "\n".join(f"- **{escape_markdown(k)}**: {escape_markdown(v)}" for k, v in block.entries.items())
    return ""


# Text


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def measured_on(record: Record) -> str:
    """Say where, when and with which code a result was measured."""
    commit = re.sub(r"^(\w{12})\w+", r"\1", record["commit"] or "unknown")  # keeps a + that stands for changed files
    return f"Measured on {record['device']}, {str(record['date'])[:10]}, commit {commit}."


def image_uri(image: NDArray[np.uint8]) -> str:
    """Return a uint8 image (3, H, W) as the data URI of a PNG."""
    buffer = BytesIO()
    Image.fromarray(rearrange(image, "c h w -> h w c")).save(buffer, format="png")
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
