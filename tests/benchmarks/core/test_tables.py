"""Tables as a terminal and as Markdown show them: the same cells, escaped, aligned, grouped."""

from __future__ import annotations

from benchmarks.core.tables import Cell, Line, Table, headings

TABLE = Table(
    "Title",
    headings(["model", "|ΔCF|", "kind"]),
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
