"""The figures of many calls, counted alike whether they were recorded or simulated."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from seawall.pipeline.recording_file import Move, Recorded


class Opening(NamedTuple):
    """A circuit was open: from when (seconds after the first call), why, how long, and whether it closed again."""

    circuit: str
    at: float
    why: str
    lasted: float
    closed: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """What became of the calls of one pipeline.

    Args:
        calls: logical calls.
        answered: those the dependency answered well.
        failed: those whose attempts failed, by cause; one that a fallback answered counts by what lay behind it.
        rejected: those that were refused, by policy and reason; likewise.
        cancelled: those that were given up from outside.
        fallback: how many of the failed and the rejected were answered by a fallback.
        attempts: calls of the dependency.
        retries: attempts after a call's first.
        amplification: attempts for each call that had any.
        waited: seconds that calls spent in queues, pauses and backoff, all together.
        p50, p99: seconds that half, and 99 of 100, of the calls stayed below, waits included.
        openings: when circuits were open.
    """

    calls: int
    answered: int
    failed: dict[str, int]
    rejected: dict[str, int]
    cancelled: int
    fallback: int
    attempts: int
    retries: int
    amplification: float
    waited: float
    p50: float
    p99: float
    openings: tuple[Opening, ...]

    @property
    def bad(self) -> int:
        """Calls that failed or were rejected."""
        return sum(self.failed.values()) + sum(self.rejected.values())

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {**asdict(self), "openings": [one._asdict() for one in self.openings]}


def figures(calls: Sequence[Recorded], moves: Sequence[Move], began: float, ended: float) -> Figures:
    """Count calls, and what circuits did between `began` and `ended`."""
    failed: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    answered = cancelled = fallback = attempts = sent = 0
    waited = 0.0
    for call in calls:
        attempts += len(call.attempts)
        sent += bool(call.attempts)
        waited += max(0.0, call.took - sum(one.took for one in call.attempts))
        fallback += call.outcome == "degraded"
        if call.outcome == "success":
            answered += 1
        elif call.outcome == "cancelled":
            cancelled += 1
        elif call.refused:
            rejected[call.cause] += 1
        else:
            failed[call.cause] += 1
    took = sorted(call.took for call in calls)
    return Figures(
        calls=len(calls),
        answered=answered,
        failed=dict(sorted(failed.items())),
        rejected=dict(sorted(rejected.items())),
        cancelled=cancelled,
        fallback=fallback,
        attempts=attempts,
        retries=attempts - sent,
        amplification=round(attempts / sent, 4) if sent else 0.0,
        waited=round(waited, 6),
        p50=_quantile(took, 0.5),
        p99=_quantile(took, 0.99),
        openings=tuple(_openings(moves, began, ended)),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that `share` of them do not exceed; 0 of none."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 6) if ordered else 0.0


def _openings(moves: Sequence[Move], began: float, ended: float) -> list[Opening]:
    """The times circuits were open, trials and reopenings included, by when they opened."""
    since: dict[str, Move] = {}
    found = []
    for move in moves:
        if move.to == "CircuitOpened":
            since.setdefault(move.circuit, move)
        elif move.to == "CircuitClosed" and move.circuit in since:
            first = since.pop(move.circuit)
            found.append(_opening(first, began, move.at, closed=True))
    found += [_opening(first, began, ended, closed=False) for first in since.values()]
    return sorted(found, key=lambda one: one.at)


def _opening(first: Move, began: float, until: float, *, closed: bool) -> Opening:
    """One of them."""
    return Opening(first.circuit, round(first.at - began, 6), first.why, round(max(0.0, until - first.at), 6), closed)
