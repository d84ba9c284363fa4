"""Run a benchmark's command: parse and check its options, measure, write the record, print the tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from benchmarks.core.record import Record
from colornet.command import exiting_on_errors, parse
from colornet.data.listing import default_cache_dir
from colornet.environment import is_quiet
from colornet.errors import InputError


@dataclass(frozen=True)
class Command:
    """What a command NAME consists of, by names below `benchmarks`: nothing is imported before it is needed.

    Args:
        help: what the command does, in a line.
        options: module with the torch-free dataclass `NameOptions` and `check(options)`; its docstring is the text of
            `--help`. The default is NAME/options.py, and likewise for the next two.
        measure: "module:function" that takes the options and returns the record, or None if there is nothing to show.
        report: module with `summarize(record)`, `tables(record)`, and, if there is a plot to be written beside the
            record, `draw(record, path)`; if a record can mean failure, `passed(record)`.
        record: name of the record where `--out` is a folder, such as "quality.json"; the tables are written beside it
            in Markdown. None where `--out` is the file of the record.
        beside: names of files that the measurement itself writes to that folder.
        distributed: whether a launcher may start several processes of it.
    """

    help: str
    options: str = "{name}.options"
    measure: str = "{name}.measure:measure"
    report: str = "{name}.report"
    record: str | None = None
    beside: tuple[str, ...] = ()
    distributed: bool = False


def options_class(name: str, command: Command) -> Any:
    """Return the dataclass of a command's options."""
    return resolve_name(f"benchmarks.{command.options.format(name=name)}:{name.capitalize()}Options")


def run(name: str, command: Command, arguments: Sequence[str] | None = None) -> None:
    """Run a command; a mistake of the user is one sentence and exit code 2, a record that did not pass exit code 1."""
    quiet = is_quiet()
    with exiting_on_errors(quiet=quiet):
        with suppress(InputError):  # no home folder: matplotlib takes a temporary one
            os.environ.setdefault("MPLCONFIGDIR", str(default_cache_dir() / "matplotlib"))
        found = options_class(name, command)
        module: Any = sys.modules[found.__module__]
        options = parse(found, arguments, prog=f"python -m benchmarks {name}", description=module.__doc__, quiet=quiet)
        if not command.distributed and (processes := os.environ.get("WORLD_SIZE", "1")) != "1":
            raise InputError(f"{processes} processes were launched: {name} takes one, start it without a launcher.")
        module.check(options)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        record = resolve_name(f"benchmarks.{command.measure.format(name=name)}")(options)
        if record is None:
            return
        report: Any = import_module(f"benchmarks.{command.report.format(name=name)}")
        _show(record, report, options.out, command)
    if hasattr(report, "passed") and not report.passed(record):
        raise SystemExit(1)


def _show(record: Record, report: Any, out: Path | None, command: Command) -> None:
    """Write the record, then the tables in a folder, then the plot, if there is one; print the tables last.

    The record comes first: what took hours must not be lost where a table cannot be made. Printing comes last: it fails
    where the terminal is closed.
    """
    from benchmarks.core.sections import Section, blocks_text
    from colornet.files import write_json, write_text
    from colornet.tables import plain

    path = None if out is None else out if command.record is None else out / command.record
    if path is not None:
        write_json(path, record)
    summary, blocks = report.summarize(record), report.tables(record)
    text = f"{plain(summary)}\n\n{blocks_text(blocks)}"
    if path is not None:
        written = [path]
        if command.record is not None:
            written.append(path.with_suffix(".md"))
            write_text(written[-1], Section(path.stem, summary, None, blocks).to_markdown() + "\n")
        if hasattr(report, "draw") and (plot := report.draw(record, path.with_suffix(".png"))):
            written.append(plot)
        written += [path.with_name(name) for name in command.beside]
        text += f"\n\nWritten: {plain(', '.join(map(str, written)))}"
    print(text, flush=True)
