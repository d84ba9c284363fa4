"""What `throughput` shows: images per second, the least time that a step could take, and the largest batches."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.core.colors import Colors
from benchmarks.core.record import Record, Result
from benchmarks.core.sections import Block, Details, Note, Section, listed, measured_on
from benchmarks.core.tables import (
    DASH,
    Cell,
    Line,
    Table,
    decimals_for,
    format_digits,
    format_number,
    format_percent,
    format_precision,
    format_spread,
    headings,
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
_TIPS = {
    "step ms": "Median, and in brackets the 10th and the 90th percentile.",
    "MFU": "Share of the device's measured peak of matrix products and convolutions.",
    "compile s": "The first step of a compiled network, compilation included.",
    "× notebook": "Images a second relative to the original notebooks' pipeline, measured in the same run.",
}
_BATCH_READING = "The largest batch with which a step of training fits into memory."


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
    """Lay out all tables of a record, each below what there is to say of it."""
    return [*_main_blocks(record), *_layer_tables(record)]


def _main_blocks(record: Record) -> list[Block]:
    blocks: list[Block] = [*_readings(record), images_table(record)]
    if record.get("rooflines"):
        bandwidth = format_digits(record["bandwidth"], unit=1e9)
        reading = (
            "Least time of a step of training, by kind of layer: each pass of a layer takes the longer of its "
            f"arithmetic at the measured peak and its bytes at the {bandwidth} GB/s of copies, and passes follow one "
            "another. Set apart: the step as it was measured."
        )
        blocks += [Note(reading), roofline_table(record["rooflines"])]
    if record.get("largest_batches"):
        blocks += [Note(_BATCH_READING), largest_table(record["largest_batches"])]
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
    reasons = list(dict.fromkeys(row["reason"] for row in record["rows"] if row.get("reason")))
    unit, flops = _flops_unit(record)
    lines = [_images_line(row, reasons, flops) for row in record["rows"]]
    if notebook := record.get("notebook_pipeline"):
        first = {**notebook, "preset": "notebook pipeline", "mode": "train", "ratio_to_notebook": 1.0}
        lines.insert(0, _images_line(first, reasons, flops, ranked=False))
    titles = ("preset", "mode", "batch", "precision", "compile", "images/s", "× notebook", "step ms", unit, "MFU",
              "memory MiB", "compile s", "width", "parameters, M")  # fmt: skip
    words = frozenset({"mode", "precision", "compile"})
    return Table("Images a second", headings(titles, _TIPS), lines, reasons, words)


def _images_line(row: Record, reasons: list[str], flops: float, ranked: bool = True) -> Line:
    step, tf32 = row.get("step_ms"), row.get("tf32")
    note = reasons.index(row["reason"]) + 1 if row.get("reason") else None
    cells = [
        Cell(row["mode"]),
        Cell(format_number(row.get("batch_size"), 0)),
        Cell(format_precision(row.get("precision")) + (f", TF32 {tf32}" if tf32 else "")),
        Cell(_on(row.get("compile"))),
        Cell(format_digits(row.get("images_per_second"))),
        Cell(format_number(row.get("ratio_to_notebook"), 2)),
        Cell(format_spread(step, decimals_for(step["median"])) if step else DASH),
        Cell(format_number(row.get("achieved_flops"), 1, flops)),
        Cell(format_percent(row.get("mfu"), 1)),
        Cell(format_digits(row.get("peak_memory_bytes"), unit=_MIB), note=note),
        Cell(format_number(row.get("compile_seconds"), 1)),
        Cell(format_number(row.get("width"), 0)),
        Cell(format_digits(row.get("parameters"), unit=1e6)),
    ]
    return Line(Cell(row["preset"]), cells, ranked)


def _on(value: bool | None) -> str:
    return "on" if value else "off"


# Rooflines


def roofline_table(rooflines: Sequence[Record]) -> Table:
    """Lay out the least milliseconds of a step, a column a case, and below them the step that was measured."""

    def line(name: str, seconds: Sequence[float | None], *, bold: bool = False, ranked: bool = True) -> Line:
        return Line(Cell(name, bold), [Cell(format_digits(value, 4, 1e-3), bold) for value in seconds], ranked)

    speeds = [row["measured_images_per_second"] for row in rooflines]
    steps = [row["batch_size"] / speed if speed else None for row, speed in zip(rooflines, speeds, strict=True)]
    shares = [Cell(format_percent(row["share_of_bound"], 1)) for row in rooflines]
    groups = dict.fromkeys(group for row in rooflines for group in row["groups"])
    lines = [
        *(line(group, [row["groups"][group]["seconds"] for row in rooflines]) for group in groups),
        line("least time together", [row["seconds"] for row in rooflines], bold=True),
        line("measured step", steps, ranked=False),
        Line(Cell("least time ÷ measured step"), shares, ranked=False),
        line("input side by itself", [row["input_seconds"] for row in rooflines], ranked=False),
    ]
    return Table("Least time of a step", headings(["ms", *map(_case, rooflines)]), lines)


def _case(row: Record) -> str:
    compiled = ", compiled" if row["compile"] else ""
    return f"{row['preset']}, {row['batch_size']}, {format_precision(row['precision'])}{compiled}"


def _layer_tables(record: Record) -> list[Table]:
    """Lay out the layers, and in bold their groups, of the first step with the largest batch of each preset."""
    rooflines = record.get("rooflines") or []
    largest: dict[str, Record] = {}
    for row in rooflines:
        if row["preset"] not in largest or row["batch_size"] > largest[row["preset"]]["batch_size"]:
            largest[row["preset"]] = row
    return [_layers_table(row) for row in largest.values()]


def _layers_table(row: Record) -> Table:
    def line(name: str, kind: str, counts: Record, *, bold: bool = False) -> Line:
        texts = [
            kind,
            format_digits(counts["flops"], unit=1e9),
            format_digits(counts["bytes"], unit=1e9),
            format_digits(counts["seconds"], unit=1e-3),
            format_percent(counts["seconds"] / row["seconds"], 1),
        ]
        return Line(Cell(name, bold), [Cell(text, bold) for text in texts])

    lines = [line(layer["layer"], layer["kind"], layer) for layer in row["layers"]]
    lines += [line(name, "together", group, bold=True) for name, group in row["groups"].items()]
    title = f"Layers of a step, forward and backward: {_case(row)}"
    return Table(title, headings(("layer", "kind", "GFLOP", "GB", "ms", "share")), lines, words=frozenset({"kind"}))


# Largest batches


def largest_table(found: Sequence[Record]) -> Table:
    """Lay out the largest batches that were found, or that none was."""
    lines = []
    for row in found:
        size, limit = row["batch_size"], row["memory_limit_bytes"]
        more = " or more" if row["capped"] else ""
        texts = [
            format_precision(row["precision"]),
            _on(row["compile"]),
            "not even the smallest" if size is None else f"{format_number(size, 0)}{more}",
            format_number(row["granularity"], 0),
            format_digits(row["peak_memory_bytes"], unit=_MIB),
            "the device's" if limit is None else format_digits(limit, unit=_MIB),
        ]
        lines.append(Line(Cell(row["preset"]), [Cell(text) for text in texts]))
    titles = ("preset", "precision", "compile", "largest batch", "steps of", "memory MiB", "limit MiB")
    return Table("Largest batches", headings(titles), lines, words=frozenset({"precision", "compile"}))
