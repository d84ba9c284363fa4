"""Run a benchmark's command: parse and check its options, measure, print the tables, write the record."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import tyro

from benchmarks.core.record import Record
from colornet.command import exiting_on_errors


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
    """

    help: str
    options: str = "{name}.options"
    measure: str = "{name}.measure:measure"
    report: str = "{name}.report"
    record: str | None = None


def options_class(name: str, command: Command) -> Any:
    """Return the dataclass of a command's options."""
    return resolve_name(f"benchmarks.{command.options.format(name=name)}:{name.capitalize()}Options")


def run(name: str, command: Command, arguments: Sequence[str] | None = None) -> None:
    """Run a command; a mistake of the user is one sentence and exit code 2, a record that did not pass exit code 1."""
    quiet = os.environ.get("RANK", "0") != "0"
    with exiting_on_errors(quiet=quiet):
        found = options_class(name, command)
        module: Any = sys.modules[found.__module__]
        options = tyro.cli(
            found,
            args=arguments,
            prog=f"python -m benchmarks {name}",
            description=module.__doc__,
            console_outputs=not quiet,
        )
        module.check(options)
        # Imported only now: torch takes seconds, which neither --help nor a mistake should cost.
        record = resolve_name(f"benchmarks.{command.measure.format(name=name)}")(options)
        if record is None:
            return
        from benchmarks.core.sections import blocks_text

        report: Any = import_module(f"benchmarks.{command.report.format(name=name)}")
        print(f"{report.summarize(record)}\n\n{blocks_text(report.tables(record))}", flush=True)
        if options.out is not None:
            _write(record, report, options.out, command.record)
    if hasattr(report, "passed") and not report.passed(record):
        raise SystemExit(1)


def _write(record: Record, report: Any, out: Path, name: str | None) -> None:
    """Write the record, beside it a plot if there is one and, in a folder, the tables."""
    from benchmarks.core.sections import Section
    from colornet.files import replacing, write_json

    path = out if name is None else out / name
    write_json(path, record)
    written = [path]
    if name is not None:
        section = Section(path.stem, report.summarize(record), None, report.tables(record))
        written.append(path.with_suffix(".md"))
        with replacing(written[-1]) as temporary:
            temporary.write_text(section.to_markdown() + "\n", encoding="utf-8")
    if hasattr(report, "draw") and (plot := report.draw(record, path.with_suffix(".png"))):
        written.append(plot)
    print(f"\nWritten: {', '.join(map(str, written))}")
