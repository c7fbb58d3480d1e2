"""Figures against targets: pass, falls short, or not measured."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from bench.table import columns, markdown, number, spread_of, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.figures import Figure
    from bench.targets import Target


class Verdict(Enum):
    """How a figure stands to its target."""

    MET = "pass"
    SHORT = "falls short"
    NONE = "not measured"


@dataclass(frozen=True)
class Row:
    """One target with its figure and the verdict.

    Args:
        target: what was asked.
        figure: what was measured; None if the question was not run.
        verdict: how they compare.
        by: how it was decided where that is not plain, or why it was not.
    """

    target: Target
    figure: Figure | None
    verdict: Verdict
    by: str = ""


def within(measured: float, target: Target) -> bool:
    """Whether a number keeps the limit; exactly the limit does."""
    return measured <= target.limit if target.bound == "at most" else measured >= target.limit


def number_of(figure: Figure, target: Target) -> float | None:
    """The number that the target speaks of."""
    return figure.ratio if target.field == "ratio" else figure.value


def straddles(figure: Figure, target: Target) -> bool:
    """Whether the quartiles lie on both sides of the limit; those of a ratio say nothing of a value."""
    if figure.low is None or figure.high is None or (figure.ratio is not None) != (target.field == "ratio"):
        return False
    return within(figure.low, target) != within(figure.high, target)


def compare(target: Target, figures: dict[str, Figure]) -> Row:
    """One target against the figures of one interpreter.

    Where the quartiles of a time lie on both sides of the limit, chance would decide; the count of instructions does,
    if there is one. Otherwise the median does, and the row says how wide the quartiles are.
    """
    figure = figures.get(target.figure)
    measured = None if figure is None else number_of(figure, target)
    if figure is None or measured is None:
        return Row(target, figure, Verdict.NONE, figure.note if figure else "")
    good = within(measured, target)
    if not straddles(figure, target):
        return Row(target, figure, _word(good), figure.note)
    instead = figures.get(target.instead or "")
    if instead is not None and instead.ratio is not None:
        by = f"time is too noisy: {number(instead.ratio)} × by instructions"
        return Row(target, figure, _word(within(instead.ratio, target)), by)
    return Row(target, figure, _word(good), f"noisy: quartiles {spread_of(figure)}")


def compare_all(targets: Iterable[Target], figures: Iterable[Figure]) -> list[Row]:
    """Every target whose question was run, in their order."""
    by_id = {figure.id: figure for figure in figures}
    asked = {id.partition(".")[0] for id in by_id}
    return [compare(target, by_id) for target in targets if target.figure.partition(".")[0] in asked]


def exit_code(rows: Iterable[Row]) -> int:
    """1 if anything falls short, otherwise 0: what could not be measured is said and fails nothing."""
    return int(any(row.verdict is Verdict.SHORT for row in rows))


def table(rows: Sequence[Row], *, as_markdown: bool = False) -> str:
    """What, figure, target, verdict."""
    cells = [("what", "figure", "target", "verdict", "")]
    cells += [(_words(row), _figure(row), _target(row.target), row.verdict.value, row.by) for row in rows]
    return markdown(cells, right={1, 2}) if as_markdown else columns(cells, right={1, 2})


def _word(good: bool) -> Verdict:  # noqa: FBT001  -- a verdict is a boolean with a name
    return Verdict.MET if good else Verdict.SHORT


def _words(row: Row) -> str:
    return row.figure.words if row.figure else row.target.figure


def _figure(row: Row) -> str:
    if row.figure is None:
        return "–"
    measured = number_of(row.figure, row.target)
    if measured is None:
        return "–"
    beside = f" ({value_of(row.figure)})" if row.target.field == "ratio" and row.figure.unit == "ns" else ""
    return f"{number(measured)} {row.target.unit}".strip() + beside


def _target(target: Target) -> str:
    sign = "≤" if target.bound == "at most" else "≥"
    return f"{sign} {number(target.limit)} {target.unit}".strip()
