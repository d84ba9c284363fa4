"""Tables as a terminal and as Markdown show them: the same cells, escaped, aligned, grouped."""

from __future__ import annotations

from pathlib import Path

from colornet.tables import Cell, Column, Line, Table, format_percent, table_of, without_arrow

TABLE = Table(
    "Title",
    [Cell("model"), Cell("|ΔCF|"), Cell("kind")],
    [
        Line(Cell("gray"), [Cell("30.5", note=1), Cell("")], ranked=False, group="none"),
        Line(Cell("a*b"), [Cell("1,234.0", bold=True), Cell("GAN")], group="models"),
        Line(Cell("c"), [Cell("–"), Cell("AE")], group="models"),
    ],
    notes=["One seed."],
    words=frozenset({"kind"}),
)


def test_text_is_padded_and_markdown_escaped() -> None:
    assert TABLE.to_text().splitlines() == [
        "| model |    |ΔCF| | kind |",
        "| ----- | -------: | ---- |",
        "| gray  | 30.5 [1] |      |",
        "| a*b   |  1,234.0 | GAN  |",
        "| c     |        – | AE   |",
        "[1] One seed.",
    ]
    assert TABLE.to_markdown().splitlines() == [
        "| model | \\|ΔCF\\| | kind |",
        "| --- | ---: | --- |",
        "| *gray* | 30.5<sup>1</sup> |  |",
        "| a\\*b | **1,234.0** | GAN |",
        "| c | – | AE |",
        "",
        "<sup>1</sup> One seed.",
    ]


def test_groups_are_a_column_where_they_have_a_heading() -> None:
    table = Table(TABLE.title, TABLE.headings, TABLE.lines, words=TABLE.words, groups="row of")
    assert table.to_markdown().splitlines() == [
        "| row of | model | \\|ΔCF\\| | kind |",
        "| --- | --- | ---: | --- |",
        "| none | *gray* | 30.5<sup>1</sup> |  |",
        "| models | a\\*b | **1,234.0** | GAN |",
        "|  | c | – | AE |",
    ]
    assert table.to_text().splitlines()[3:] == [
        "| models | a*b   |  1,234.0 | GAN  |",
        "|        | c     |        – | AE   |",
    ]


def test_columns_say_what_the_cells_of_a_row_are() -> None:
    columns = (
        Column("model", "name"),
        Column("size, M", "size", 1, 1e6, tip="Parameters.", missing="unknown", note="reason"),
        Column("share", "share", format_percent),
        Column("kind", lambda row: Cell("floor") if row["name"] == "c" else "model", words=True),
    )
    rows = [
        {"name": "a", "size": 2_340_000, "share": 0.5},
        {"name": "b", "size": None, "reason": "Not measured."},
        {"name": "c", "size": None, "reason": "Not measured."},
    ]
    shown = table_of("Title", columns, rows, ranked=lambda row: row["name"] != "c", bold=lambda row: "share" in row)
    unknown = Cell("unknown", note=1)
    assert shown == Table(
        "Title",
        [Cell("model"), Cell("size, M", tip="Parameters."), Cell("share"), Cell("kind")],
        [
            Line(Cell("a", True), [Cell("2.3", True), Cell("50 %", True), Cell("model", True)]),
            Line(Cell("b"), [unknown, Cell("–"), Cell("model")]),
            Line(Cell("c"), [unknown, Cell("–"), Cell("floor")], ranked=False),
        ],
        ["Not measured."],
        frozenset({"kind"}),
    )


def test_headings_say_which_values_are_better() -> None:
    columns = (Column("", "name"), Column("PSNR", "psnr", 1, better="higher"), Column("e", "e", 1, better="lower"))
    headings = [cell.text for cell in table_of("", columns, []).headings]
    assert headings == ["", "PSNR ↑", "e ↓"]
    assert [*map(without_arrow, headings)] == ["", "PSNR", "e"]


def test_columns_without_values_can_be_left_out_with_their_footnotes() -> None:
    headings = [Cell("name"), Cell("a"), Cell("b", note=1), Cell("c"), Cell("d")]
    lines = [
        Line(Cell("x"), [Cell("1"), Cell("–", note=1), Cell(""), Cell("–", note=2)]),
        Line(Cell("y"), [Cell("–"), Cell("–", note=1), Cell("–"), Cell("–")]),
    ]
    table = Table("", headings, lines, ["Nothing has b.", "x has no d."]).without_empty_columns()
    assert table.to_text().splitlines() == [
        "| name |   a |     d |",
        "| ---- | --: | ----: |",
        "| x    |   1 | – [1] |",
        "| y    |   – |     – |",
        "[1] x has no d.",
    ]
    assert Table("", headings, []).without_empty_columns().headings[1].text == "a"


def test_nothing_else_lays_out_tables() -> None:
    root = Path(__file__).parents[2]
    sources = [*root.glob("colornet/**/*.py"), *root.glob("benchmarks/**/*.py"), *root.glob("launch/*.py")]
    ruled = [path for path in sources if any(rule in path.read_text(encoding="utf-8") for rule in ("---:", "| ---"))]
    assert ruled == [root / "colornet" / "tables.py"]
