"""The tables of the documents, generated from the results that the comments around them name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path

from benchmarks.core.record import Record, read_json, without_seed
from benchmarks.core.tables import DASH, Cell, Line, Table, format_number, format_values, headings, line_of
from benchmarks.report.read import SECTIONS
from benchmarks.report.tables_options import ROOT, TablesOptions
from colornet.errors import InputError
from colornet.evaluation.compare import COLUMNS
from colornet.files import write_text

_BEGIN = "<!-- table: "
_MARKED = re.compile(rf"(?P<begin>{_BEGIN}(?P<request>.*?)-->\n)(?P<table>.*?)(?P<end><!-- end -->)", re.DOTALL)


def write(options: TablesOptions) -> None:
    """Write the tables of the documents, or only exit with code 1 if one is outdated; name what has changed."""
    changed = []
    for page in options.pages or (ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted(ROOT.glob("docs/*.md"))):
        text = page.read_text(encoding="utf-8")
        try:
            new = regenerated(text, options.results)
        except InputError as error:
            raise InputError(f"{page}: {error}") from None
        if new != text:
            changed.append(str(page))
            if not options.check:
                write_text(page, new)
    if changed and options.check:
        print(f"Outdated tables, to be written by `python -m benchmarks tables`: {', '.join(changed)}")
        raise SystemExit(1)
    print(f"Written: {', '.join(changed)}" if changed else "All tables are up to date.")


def regenerated(text: str, results: Path) -> str:
    """Return the text of a document with its tables generated anew."""
    if text.count(_BEGIN) != len(_MARKED.findall(text)):
        raise InputError("a table has no end: put <!-- end --> after it.")
    return _MARKED.sub(lambda m: f"{m['begin']}{_table(_parse(m['request']), results).to_markdown()}\n{m['end']}", text)


# What a comment asks for


@dataclass(frozen=True)
class _Request:
    """The results by the name of their file, `*` for any text in it, and which table, columns and rows of them."""

    results: str
    title: str
    columns: Sequence[str]
    rows: Sequence[str]


def _parse(text: str) -> _Request:
    results, *lines = filter(None, map(str.strip, text.splitlines()))
    values = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if unknown := values.keys() - {"title", "columns", "rows"}:
        raise InputError(
            f"the table of {results} has the unknown key {min(unknown)!r}: it may have title, columns, rows."
        )
    columns, rows = ([*filter(None, map(str.strip, values.get(name, "").split(";")))] for name in ("columns", "rows"))
    return _Request(results, values.get("title", ""), columns, rows)


def _table(request: _Request, results: Path) -> Table:
    """Make the table that a comment asks for."""
    paths = sorted(results.glob(f"{request.results}.json"))
    if not paths:
        raise InputError(f"there is no result {request.results} in {results}.")
    notes: list[str] = []
    parts = [_select(request, _tables(read_json(path)), notes) for path in paths]
    if len({tuple(heading.text for heading in part.headings) for part in parts}) > 1:
        raise InputError(f"the results {request.results} have tables of different columns: name the columns.")
    lines = [line for part in parts for line in part.lines]
    if missing := set(request.rows) - {line.name.text for line in lines}:
        raise InputError(f"{request.results} has no row {min(missing)!r} in this table.")
    return replace(parts[0], lines=lines, notes=notes)


def _select(request: _Request, tables: Iterable[Table], notes: list[str]) -> Table:
    """Take columns, side by side where several tables have them, and rows; gather the footnotes that they need."""
    tables = [table for table in tables if request.title in ("", table.title)]
    if not tables or (len(tables) > 1 and not request.columns):
        raise InputError(f"{request.results} has {len(tables)} tables titled {request.title!r}: name one, or columns.")
    places = [(table, index) for table in tables for index in range(1, len(table.headings))]
    named = {table.headings[index].text: (table, index) for table, index in reversed(places)}  # the first of a name
    if unknown := set(request.columns) - named.keys():
        raise InputError(f"{request.results} has no column {min(unknown)!r} in this table.")
    columns = [named[column] for column in request.columns] or places
    first = columns[0][0]

    def taken(cell: Cell, table: Table) -> Cell:
        cell = replace(cell, bold=cell.bold and not request.rows)  # the best of all rows, which may be left out
        if cell.note is None:
            return cell
        text = table.notes[cell.note - 1]
        if text not in notes:
            notes.append(text)
        return replace(cell, note=notes.index(text) + 1)

    lines = []
    for line in first.lines:
        if not request.rows or line.name.text in request.rows:
            found = [(_same(line, first, table).cells[index - 1], table) for table, index in columns]
            lines.append(replace(line, name=taken(line.name, first), cells=[taken(*pair) for pair in found]))
    heads = [taken(table.headings[index], table) for table, index in columns]
    return replace(first, headings=[first.headings[0], *heads], lines=lines)


def _same(line: Line, first: Table, table: Table) -> Line:
    """Find the line of a table that stands for the same row as a line of the first table."""
    return line if table is first else next(other for other in table.lines if other.name.text == line.name.text)


# What there is to ask for


def _tables(record: Record) -> Iterator[Table]:
    """Yield the tables of a record: those of its section and, of runs, their scores over epochs."""
    if record.get("kind") not in SECTIONS:
        yield _comparison(record)
        return
    blocks = import_module(SECTIONS[record["kind"]]).tables(record)
    yield from (block for block in blocks if isinstance(block, Table))
    if record["kind"] == "quality":
        yield _over_epochs(record)


def _comparison(record: Record) -> Table:
    """Lay out a comparison by `colornet evaluate`, runs that differ in their seed as one row; the truth comes last."""
    groups: dict[str, list[Record]] = {}
    for name, row in record["rows"].items():
        groups.setdefault(without_seed(name), []).append(row)
    lines = [
        line_of(name, *(format_values([row[key] for row in rows], decimals) for key, decimals in COLUMNS.values()))
        for name, rows in groups.items()
    ]
    truth = format_number(record["rows"]["gray"]["cf_truth"], 1)
    lines.append(line_of("truth", *(truth if heading == "CF" else DASH for heading in COLUMNS), ranked=False))
    return Table("Comparison", headings(["", *COLUMNS]), lines)


def _over_epochs(record: Record) -> Table:
    """Lay out the validation of the models of a quality record that were evaluated more than once, by epoch."""
    measures = {"FD dev": ("fd_cifar10_dev", 3), "CF": ("cf", 1), "PSNR": ("psnr", 2)}
    models = {row["name"]: next(iter(row["runs"].values())) for row in record["rows"] if row["runs"]}
    models = {name: run for name, run in models.items() if len(run.get("validation") or ()) > 1}
    texts: dict[str, dict[str, str]] = {}  # by epoch and column
    for name, run in models.items():
        epochs = run["config"]["epochs"] / run["validation"][-1]["images"]  # an image
        for point in run["validation"]:
            for heading, (key, decimals) in measures.items():
                line = texts.setdefault(format_number(point["images"] * epochs, 0), {})
                line[f"{heading}, {name}"] = format_number(point[key], decimals)
    columns = [f"{heading}, {name}" for name in models for heading in measures]
    lines = [line_of(epoch, *(found.get(c, DASH) for c in columns)) for epoch, found in texts.items()]
    return Table("Validation over epochs", headings(["epochs", *columns]), lines)
