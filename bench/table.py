"""Figures as tables: for a terminal, and in Markdown for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.figures import Figure


def number(value: float) -> str:
    """A number with three digits that matter, thousands set apart; whole ones whole."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def value_of(figure: Figure) -> str:
    """The value with its unit, or what there is instead."""
    if figure.value is None:
        return "–"
    return f"{number(figure.value)} {figure.unit}".strip()


def ratio_of(figure: Figure) -> str:
    """The ratio with its quartiles."""
    if figure.ratio is None:
        return ""
    return f"{number(figure.ratio)} ×"


def spread_of(figure: Figure) -> str:
    """The quartiles of what decides."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{number(figure.low)}–{number(figure.high)}"


def plain_table(figures: Iterable[Figure]) -> str:
    """For a terminal: what, value, ratio, quartiles, to what."""
    rows = [("what", "median", "ratio", "quartiles", "to")]
    rows += [(one.words, value_of(one), ratio_of(one), spread_of(one), one.note or one.per) for one in figures]
    return columns(rows, right={1, 2, 3})


def columns(rows: Sequence[Sequence[str]], right: set[int]) -> str:
    """Rows in columns as wide as their widest cell; the first row is the heading."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    first, *rest = rows
    return "\n".join([line(first), "  ".join("-" * width for width in widths), *map(line, rest)])


def markdown(rows: Sequence[Sequence[str]], right: set[int]) -> str:
    """The same as a Markdown table."""
    first, *rest = rows
    rule = ["---:" if at in right else "---" for at in range(len(first))]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in (first, rule, *rest))
