"""What `throughput` shows: images per second, the least time that a step could take, and the largest batches."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Details, Note, Section, listed, measured_on
from colornet.tables import (
    Cell,
    Column,
    Line,
    Table,
    decimals_for,
    format_digits,
    format_number,
    format_percent,
    format_precision,
    format_spread,
    table_of,
)

REQUIRED = {
    "throughput": (
        ("device", "commit", "date", "rows"),
        {
            "rows": ("preset", "mode", "batch_size", "images_per_second"),
            "rooflines": ("preset", "batch_size", "precision", "compile", "groups", "layers", "seconds",
                          "share_of_bound", "measured_images_per_second", "input_seconds"),
            "largest_batches": ("preset", "precision", "compile", "batch_size", "peak_memory_bytes",
                                "memory_limit_bytes", "granularity", "capped"),
        },
    )
}  # fmt: skip

_MIB = 2**20
_NOTEBOOK = "notebook pipeline"
_format_share = partial(format_percent, decimals=1)
_PRESET = Column("preset", "preset")
_COMPILE = Column("compile", lambda row: "on" if row.get("compile") else "off", words=True)
_LAYERS = (
    Column("layer", "layer"),
    Column("kind", "kind", words=True),
    Column("GFLOP", "flops", format_digits, 1e9),
    Column("GB", "bytes", format_digits, 1e9),
    Column("ms", "seconds", format_digits, 1e-3),
    Column("share", "share", _format_share),
)


def _largest(row: Record) -> str | None:
    size = row["batch_size"] and format_number(row["batch_size"], 0)
    return f"{size} or more" if row["capped"] else size


_LARGEST = (
    _PRESET,
    Column("precision", "precision", format_precision, words=True),
    _COMPILE,
    Column("largest batch", _largest, missing="not even the smallest"),
    Column("steps of", "granularity", 0),
    Column("memory MiB", "peak_memory_bytes", format_digits, _MIB),
    Column("limit MiB", "memory_limit_bytes", format_digits, _MIB, missing="the device's"),
)


def section(result: Result, colors: Colors) -> Section:
    """Show a record of `throughput`; the layers of its steps are folded away."""
    record = result.record
    folded = [Details(table.title, [table]) for table in _layer_tables(record)]
    title = f"Throughput on {record['device']}"
    return Section(title, summarize(record), result.path, [*_main_blocks(record), *folded])


def summarize(record: Record) -> str:
    """Say what was timed and what may have made it faster or slower."""
    options = record.get("options") or {}
    side = f", images of {size}×{size} pixels" if (size := options.get("image_size")) else ""
    given = [f"--{name} {options[name]}" for name in ("width", "blocks") if options.get(name) is not None]
    reduced = f" {' '.join(given)}, not the presets' own." if given else ""
    if options.get("activation_checkpointing"):
        reduced += " Activations are checkpointed: less memory, more time."
    return f"Steps of training and inference{side}.{reduced} {measured_on(record)}"


def tables(record: Record) -> list[Block]:
    """Lay out all tables of a record, each below its explanation."""
    return [*_main_blocks(record), *_layer_tables(record)]


def _main_blocks(record: Record) -> list[Block]:
    blocks: list[Block] = [*_readings(record), images_table(record)]
    if record.get("rooflines"):
        bandwidth = format_digits(record["bandwidth"], unit=1e9)
        reading = (
            "Least time of a step of training, by kind of layer: each pass of a layer takes the longer of its "
            f"arithmetic at the measured peak and its bytes at the {bandwidth} GB/s of copies, and passes follow one "
            "another. Set apart: the measured step."
        )
        blocks += [Note(reading), roofline_table(record["rooflines"])]
    if record.get("largest_batches"):
        reading = "The largest batch with which a step of training fits into memory."
        blocks += [Note(reading), table_of("Largest batches", _LARGEST, record["largest_batches"])]
    return blocks


def _readings(record: Record) -> list[Note]:
    """Say what the columns MFU and × notebook relate to."""
    unit, flops = _flops_unit(record)
    peaks = [f"{format_number(peak, 1, flops)} {unit} in {name}" for name, peak in (record.get("peak") or {}).items()]
    notes = [f"Measured peak of matrix products and convolutions: {listed(peaks)}."] if peaks else []
    if segments := (record.get("notebook_pipeline") or {}).get("segments"):
        notes.append(
            "× notebook relates to the notebook pipeline right before and right after the row, which trains in rows of "
            f"inference, too; its {len(segments)} segments made {format_digits(min(segments))} to "
            f"{format_digits(max(segments))} images/s."
        )
    return [Note(note) for note in notes]


def _flops_unit(record: Record) -> tuple[str, float]:
    """Choose the unit in which a device's FLOP/s read well: CPUs are far from a TFLOP/s."""
    return ("TFLOP/s", 1e12) if max((record.get("peak") or {"": 0.0}).values()) >= 1e12 else ("GFLOP/s", 1e9)


def images_table(record: Record) -> Table:
    """Lay out the rows below the notebook pipeline that they are compared with."""
    unit, flops = _flops_unit(record)
    columns = (
        _PRESET,
        Column("mode", "mode", words=True),
        Column("batch", "batch_size", 0),
        Column("precision", _precision, words=True),
        _COMPILE,
        Column("whole step", lambda row: "on" if row.get("whole_step") else None, words=True,
               tip="The step is one CUDA graph."),
        Column("images/s", "images_per_second", format_digits),
        Column("× notebook", "ratio_to_notebook", 2,
               tip="Images per second relative to the original notebooks' pipeline, measured in the same run."),
        Column("step ms", "step_ms", lambda step: format_spread(step, decimals_for(step["median"])),
               tip="Median, and in brackets the 10th and the 90th percentile."),
        Column(unit, "achieved_flops", 1, flops),
        Column("MFU", "mfu", _format_share,
               tip="Share of the device's measured peak of matrix products and convolutions."),
        Column("memory MiB", "peak_memory_bytes", format_digits, _MIB, note="reason"),
        Column("compile s", "compile_seconds", 1, tip="The first step of a compiled network, compilation included."),
        Column("width", "width", 0),
        Column("parameters, M", "parameters", format_digits, 1e6),
    )  # fmt: skip
    rows = record["rows"]
    if notebook := record.get("notebook_pipeline"):
        rows = [{**notebook, "preset": _NOTEBOOK, "mode": "train", "ratio_to_notebook": 1.0}, *rows]
    return table_of("Images per second", columns, rows, ranked=lambda row: row["preset"] != _NOTEBOOK)


def _precision(row: Record) -> str:
    tf32 = row.get("tf32")
    return format_precision(row.get("precision")) + (f", TF32 {tf32}" if tf32 else "")


def roofline_table(rooflines: Sequence[Record]) -> Table:
    """Lay out the least milliseconds of a step, a column a case, and below them the step that was measured."""

    def line(name: str, seconds: Sequence[float | None], *, bold: bool = False, ranked: bool = True) -> Line:
        return Line(Cell(name, bold), [Cell(format_digits(value, 4, 1e-3), bold) for value in seconds], ranked)

    speeds = [row["measured_images_per_second"] for row in rooflines]
    steps = [row["batch_size"] / speed if speed else None for row, speed in zip(rooflines, speeds, strict=True)]
    shares = [Cell(_format_share(row["share_of_bound"])) for row in rooflines]
    groups = dict.fromkeys(group for row in rooflines for group in row["groups"])
    lines = [
        *(line(group, [row["groups"][group]["seconds"] for row in rooflines]) for group in groups),
        line("least time together", [row["seconds"] for row in rooflines], bold=True),
        line("measured step", steps, ranked=False),
        Line(Cell("least time ÷ measured step"), shares, ranked=False),
        line("input side by itself", [row["input_seconds"] for row in rooflines], ranked=False),
    ]
    return Table("Least time of a step", [Cell("ms"), *(Cell(_case(row)) for row in rooflines)], lines)


def _case(row: Record) -> str:
    compiled = ", compiled" if row["compile"] else ""
    whole = ", whole step" if row.get("whole_step") else ""
    return f"{row['preset']}, {row['batch_size']}, {format_precision(row['precision'])}{compiled}{whole}"


def _layer_tables(record: Record) -> list[Table]:
    """Lay out the layers, and in bold their groups, of the first step with the largest batch of each preset."""
    largest: dict[str, Record] = {}
    for row in record.get("rooflines") or []:
        if row["preset"] not in largest or row["batch_size"] > largest[row["preset"]]["batch_size"]:
            largest[row["preset"]] = row
    tables = []
    for row in largest.values():
        groups = [{"layer": name, "kind": "together", **group} for name, group in row["groups"].items()]
        rows = [{**layer, "share": layer["seconds"] / row["seconds"]} for layer in (*row["layers"], *groups)]
        title = f"Layers of a step, forward and backward: {_case(row)}"
        tables.append(table_of(title, _LAYERS, rows, bold=lambda layer: layer["kind"] == "together"))
    return tables
