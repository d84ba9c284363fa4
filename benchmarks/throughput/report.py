"""The section of a device's speed: images/s, the least time that a step could take, and the largest batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.core.html import Section, listed, note, source_of
from benchmarks.core.tables import (
    DASH,
    Cell,
    Line,
    Table,
    decimals_for,
    escape_markdown,
    format_number,
    format_precision,
    table_html,
    table_markdown,
)
from benchmarks.report.read import Record, Result

__all__ = ["throughput_section"]

_TIPS = {
    "ms a step": "Median, and in brackets the 10th and the 90th percentile.",
    "MFU": "Share of the device's measured peak of arithmetic.",
    "compile s": "The first step of a compiled network, compilation included.",
    "× notebook": "Images a second relative to the original notebooks' pipeline, measured in the same run.",
}
_ROOFLINE_READING = (
    "Of a step of training, by kind of layer: each pass of a layer takes the longer of its arithmetic at the measured "
    "rate of arithmetic and its bytes at the measured {bandwidth} of copies, and passes follow one another. Set "
    "apart: the step as it was measured."
)
_BATCH_READING = "The largest batch that a step of training fits into memory with."


def throughput_section(device: str, results: Sequence[Result]) -> Section:
    """Show the tables of all throughput results of a device, file by file."""
    html, markdown = [], []
    for result in results:
        html.append(source_of(result.path))
        markdown.append(f"### {escape_markdown(str(result.path))}")
        for table, reading in throughput_tables(result.record):
            html.append(f"<h4>{escape(table.title)}</h4>{note(reading) if reading else ''}{table_html(table)}")
            markdown += [f"#### {table.title}", *([escape_markdown(reading)] if reading else [])]
            markdown.append(table_markdown(table))
    return Section(f"Throughput on {device}", "".join(html), "\n\n".join(markdown))


def throughput_tables(record: Record) -> Iterator[tuple[Table, str]]:
    """Lay out the tables of a result, each with what there is to say before it; what was not measured has none."""
    peaks = (record.get("peak") or {}).items()
    unit, flops = flops_unit(record)
    measured = listed([f"{format_number(peak / flops, 1)} {unit} in {name}" for name, peak in peaks])
    reading = f"Measured peak of matrix products and convolutions: {measured}." if measured else ""
    if (record.get("options") or {}).get("activation_checkpointing"):
        reading += " Activations are checkpointed: less memory, more time."
    yield images_table(record), reading.strip()
    if record.get("rooflines"):
        bandwidth = f"{format_number(record['bandwidth'] / 1e9, decimals_for(record['bandwidth'] / 1e9))} GB/s"
        yield roofline_table(record["rooflines"]), _ROOFLINE_READING.format(bandwidth=bandwidth)
    if record.get("largest_batches"):
        yield largest_table(record["largest_batches"]), _BATCH_READING


def flops_unit(record: Record) -> tuple[str, float]:
    """Choose the unit in which a device's FLOP/s read well: CPUs are far from a TFLOP/s."""
    return ("TFLOP/s", 1e12) if max((record.get("peak") or {"": 0.0}).values()) >= 1e12 else ("GFLOP/s", 1e9)


def images_table(record: Record) -> Table:
    """Lay out the rows of a throughput result below the notebook pipeline that they are compared with."""
    reasons = list(dict.fromkeys(row["reason"] for row in record["rows"] if row.get("reason")))
    unit, flops = flops_unit(record)
    lines = [_images_line(row, reasons, flops) for row in record["rows"]]
    if seed := record.get("notebook_pipeline"):
        first = {**seed, "preset": "notebook pipeline", "mode": "train", "ratio_to_notebook": 1.0}
        lines.insert(0, _images_line(first, reasons, flops, ranked=False))
    headings = ("preset", "mode", "batch", "precision", "compile", "images/s", "× notebook", "ms a step", unit, "MFU",
                "peak memory", "compile s", "width", "parameters")  # fmt: skip
    return Table("Images a second", [Cell(name, tip=_TIPS.get(name, "")) for name in headings], lines, reasons)


def _images_line(row: Record, reasons: list[str], flops: float, ranked: bool = True) -> Line:
    def number(key: str, decimals: int, unit: float = 1.0, suffix: str = "") -> str:
        value = row.get(key)
        return DASH if value is None else format_number(value / unit, decimals) + suffix

    step = row.get("step_ms")
    times = "{} ({}–{})".format(*(format_number(step[key], 1) for key in ("median", "p10", "p90"))) if step else DASH
    precision = format_precision(row.get("precision"))
    note = reasons.index(row["reason"]) + 1 if row.get("reason") else None
    return Line(
        Cell(row["preset"]),
        [
            Cell(row["mode"]),
            Cell(number("batch_size", 0)),
            Cell(f"{precision}, TF32 {row['tf32']}" if row.get("tf32") else precision),
            Cell("on" if row.get("compile") else "off"),
            Cell(number("images_per_second", 0)),
            Cell(number("ratio_to_notebook", 2)),
            Cell(times),
            Cell(number("achieved_flops", 1, flops)),
            Cell(number("mfu", 1, 0.01, " %")),
            Cell(number("peak_memory_bytes", 2, 2**30, " GiB"), note=note),
            Cell(number("compile_seconds", 1)),
            Cell(number("width", 0)),
            Cell(number("parameters", 1, 1e6, " M")),
        ],
        ranked,
    )


def roofline_table(rooflines: Sequence[Record]) -> Table:
    """Lay out the least milliseconds of a step, a column a case, and below them the step that was measured."""
    decimals = [decimals_for(1000 * row["seconds"], 4) for row in rooflines]

    def line(name: str, seconds: Sequence[float | None], *, bold: bool = False, ranked: bool = True) -> Line:
        texts = [_milliseconds(value, places) for value, places in zip(seconds, decimals, strict=True)]
        return Line(Cell(name, bold), [Cell(text, bold) for text in texts], ranked)

    speeds = [row["measured_images_per_second"] for row in rooflines]
    steps = [row["batch_size"] / speed if speed else None for row, speed in zip(rooflines, speeds, strict=True)]
    shares = [row["share_of_bound"] for row in rooflines]
    share_cells = [Cell(DASH if share is None else f"{format_number(100 * share, 1)} %") for share in shares]
    groups = dict.fromkeys(group for row in rooflines for group in row["groups"])
    lines = [
        *(line(group, [row["groups"][group]["seconds"] for row in rooflines]) for group in groups),
        line("least time together", [row["seconds"] for row in rooflines], bold=True),
        line("measured step", steps, ranked=False),
        Line(Cell("least time ÷ measured step"), share_cells, ranked=False),
        line("input side by itself", [row["input_seconds"] for row in rooflines], ranked=False),
    ]
    return Table("Least time of a step", [Cell("ms"), *(Cell(_case(row)) for row in rooflines)], lines)


def _milliseconds(seconds: float | None, places: int) -> str:
    """Write a time with the decimals of its column, or fewer where four digits are enough."""
    return DASH if seconds is None else format_number(1000 * seconds, min(places, decimals_for(1000 * seconds, 4)))


def _case(row: Record) -> str:
    compiled = ", compiled" if row["compile"] else ""
    return f"{row['preset']}, {row['batch_size']}, {format_precision(row['precision'])}{compiled}"


def largest_table(found: Sequence[Record]) -> Table:
    """Lay out the largest batches that were found, or that none was."""
    headings = ("preset", "precision", "compile", "largest batch", "steps of", "peak memory", "memory limit")
    lines = []
    for row in found:
        size, peak, limit = row["batch_size"], row["peak_memory_bytes"], row["memory_limit_bytes"]
        more = " or more" if row["capped"] else ""
        cells = [
            format_precision(row["precision"]),
            "on" if row["compile"] else "off",
            "not even the smallest" if size is None else f"{format_number(size, 0)}{more}",
            format_number(row["granularity"], 0),
            DASH if peak is None else f"{format_number(peak / 2**30, 2)} GiB",
            "the device's" if limit is None else f"{format_number(limit / 2**30, 2)} GiB",
        ]
        lines.append(Line(Cell(row["preset"]), [Cell(text) for text in cells]))
    return Table("Largest batches", [Cell(name) for name in headings], lines)
