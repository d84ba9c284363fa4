"""The tables of the documents, generated from the results that the comments around them name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from benchmarks.core.record import Record, first_key, read_json, showing, without_seed
from benchmarks.report.read import SECTIONS, check_record
from benchmarks.report.tables_options import ROOT, TablesOptions
from colornet.errors import InputError
from colornet.evaluation.comparison_table import comparison_table
from colornet.files import write_text
from colornet.tables import Cell, Column, Table, format_number, table_of, without_arrow

_BEGIN = "<!-- table: "
_MARKED = re.compile(rf"({_BEGIN}(.*?)-->\n).*?(<!-- end -->)", re.DOTALL)


def write(options: TablesOptions) -> None:
    """Write the tables of the documents, or only exit with code 1 if one is outdated; name what has changed."""
    changed = []
    for page in options.pages or (ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted(ROOT.glob("docs/*.md"))):
        try:
            text = page.read_text(encoding="utf-8")
            new = regenerated(text, options.results)
        except (InputError, UnicodeDecodeError) as error:
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
    """Return the text of a document with its tables regenerated."""
    if text.count(_BEGIN) != len(_MARKED.findall(text)):
        raise InputError("a table has no end: put <!-- end --> after it.")
    return _MARKED.sub(lambda found: f"{found[1]}{_table(found[2], results).to_markdown()}\n{found[3]}", text)


def _table(request: str, results: Path) -> Table:
    """Make the table that a comment asks for."""
    name, *lines = [*filter(None, map(str.strip, request.splitlines()))] or [""]
    if not name:
        raise InputError("a table names no result: write its name after `table:`.")
    values = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if unknown := values.keys() - {"title", "columns", "rows"}:
        raise InputError(f"the table of {name} has the unknown key {min(unknown)!r}: it may have title, columns, rows.")
    title = values.get("title", "")
    columns, rows = ([*filter(None, map(str.strip, values.get(k, "").split(";")))] for k in ("columns", "rows"))
    notes: list[str] = []
    parts = []
    for path in sorted(results.glob(f"{name}.json"), key=lambda path: path.stem):
        with showing(path):
            tables = [table for table in _tables(path) if title in ("", table.title)]
        if not tables or (len(tables) > 1 and not columns):
            raise InputError(f"{name} has {len(tables)} tables titled {title!r}: name one, or columns.")
        parts.append(_select(name, tables, columns, rows, notes))
    if not parts:
        raise InputError(f"there is no result {name} in {results}.")
    if len({tuple(heading.text for heading in part.headings) for part in parts}) > 1:
        raise InputError(f"the results {name} have tables of different columns: name the columns.")
    joined = replace(parts[0], lines=[line for part in parts for line in part.lines], notes=notes)
    if missing := set(rows) - {line.name.text for line in joined.lines}:
        raise InputError(f"{name} has no row {min(missing)!r} in this table.")
    return joined if columns else joined.without_empty_columns()


def _select(name: str, tables: Sequence[Table], columns: list[str], rows: list[str], notes: list[str]) -> Table:
    """Take rows, and columns from whichever table has them, side by side; gather the footnotes that they need."""
    places = {
        without_arrow(heading.text): (table, index)
        for table in reversed(tables)
        for index, heading in enumerate(table.headings[1:])
    }
    if missing := [column for column in columns if column not in places]:
        raise InputError(f"{name} has no column {missing[0]!r} in this table.")
    chosen = [places[column] for column in columns or [without_arrow(h.text) for h in tables[0].headings[1:]]]
    first = chosen[0][0]
    by_name = {table.title: {line.name.text: line for line in table.lines} for table, _ in chosen}

    def taken(cell: Cell, table: Table) -> Cell:
        cell = replace(cell, bold=cell.bold and not rows)  # the best of all rows, which may be left out
        if cell.note is None:
            return cell
        if (text := table.notes[cell.note - 1]) not in notes:
            notes.append(text)
        return replace(cell, note=notes.index(text) + 1)

    lines = []
    for line in first.lines:
        if not rows or line.name.text in rows:
            same = [line if table is first else by_name[table.title][line.name.text] for table, _ in chosen]
            cells = [taken(other.cells[index], table) for other, (table, index) in zip(same, chosen, strict=True)]
            lines.append(replace(line, name=taken(line.name, first), cells=cells))
    heads = [taken(table.headings[index + 1], table) for table, index in chosen]
    return replace(first, headings=[first.headings[0], *heads], lines=lines)


# What there is to ask for


def _tables(path: Path) -> Iterator[Table]:
    """Yield the tables of a record: those of its section and, of runs, their scores over epochs."""
    record = read_json(path)
    if not isinstance(record, dict) or record.get("kind") not in SECTIONS:
        try:
            yield _comparison(record)
        except (KeyError, TypeError, AttributeError):
            raise InputError(f"{path} is no result of `benchmarks` or of `colornet evaluate`: name one.") from None
        return
    check_record(path, record)
    blocks = import_module(SECTIONS[record["kind"]]).tables(record)
    yield from (block for block in blocks if isinstance(block, Table))
    if record["kind"] == "quality":
        yield _over_epochs(record)


def _comparison(record: Record) -> Table:
    """Lay out a comparison by `colornet evaluate`, runs that differ in their seed as one row; the truth comes last."""
    rows: dict[str, list[Record]] = {}
    configs: dict[str, Record] = {}
    for name, scores in record["rows"].items():
        config = (record.get("runs") or {}).get(name, {}).get("config") or {}
        config = {key: value for key, value in config.items() if key not in ("seed", "run_dir")}
        if configs.setdefault(without_seed(name), config) != config:
            raise InputError(f"{name} differs in more than its seed from a run of the same name: name it otherwise.")
        rows.setdefault(without_seed(name), []).append(scores)
    return comparison_table(rows)


def _over_epochs(record: Record) -> Table:
    """Lay out the validation of the models of a quality record that were evaluated more than once, by epoch."""
    measures = {"FD dev": ("fd_cifar10_", 3), "CF": ("cf", 1), "PSNR": ("psnr", 2)}
    columns = [Column("epochs", "epochs")]
    rows: dict[str, Record] = {}
    for model in record["rows"]:
        run: Record = next(iter(model["runs"].values()), {})
        if len(points := run.get("validation") or []) < 2:
            continue
        keys = {key: f"{key}, {model['name']}" for key, _ in measures.values()}
        columns += [Column(f"{text}, {model['name']}", keys[key], n) for text, (key, n) in measures.items()]
        for point in points:
            epochs = format_number(point["images"] * (run["config"]["epochs"] / points[-1]["images"]), 0)
            found = {name: point[first_key(point, key)] for key, name in keys.items()}
            rows.setdefault(epochs, {"epochs": epochs}).update(found)
    return table_of("Validation over epochs", columns, rows.values())
