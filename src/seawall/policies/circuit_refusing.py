"""Refusals of an open circuit that cost next to nothing: generated code raises them, and tells of them later.

While a circuit stays open, or is forced open, nothing about it changes until a moment that is known. So generated code
may refuse by itself: it takes a number for the event, notes which and when, and raises. The machine counts what was
noted, and publishes it, before it decides or shows anything else.

The errors know only what is needed to work out the rest: message, id and evidence are made when somebody looks.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from seawall.core.errors import CircuitOpenError
from seawall.events.ids import hint, refusal_id
from seawall.events.types import CallRejected, RawEvent
from seawall.events.words import describe

if TYPE_CHECKING:
    from seawall.events.journal import Journal

KIND = "circuit_breaker"
_MADE_OF: Any = BaseException.__dict__["args"]  # what an error was made of, whatever its class says of `args`


class Shut:
    """Why and until when a circuit refuses every call.

    Args:
        name: the circuit's.
        reason: "open" or "forced_open".
        until: the moment it may end; infinite for a pin without an end.
        evidence: as in a rejection.
        journal: gives the name of the worker for ids.
        owner: which state of the policy it is of.
        numbers: of events, that generated code may take.
    """

    __slots__ = ("evidence", "journal", "name", "numbers", "owner", "reason", "until")

    def __init__(
        self,
        name: str,
        reason: str,
        until: float,
        evidence: Mapping[str, object],
        journal: Journal,
        owner: int,
        numbers: Iterator[int],
    ) -> None:
        self.name = name
        self.reason = reason
        self.until = until
        self.evidence = evidence
        self.journal = journal
        self.owner = owner
        self.numbers = numbers

    def left(self, at: float) -> float | None:
        """Seconds that a refusal at a moment names; None if nobody knows."""
        return None if math.isinf(self.until) else self.until - at

    def event(self, number: int, at: float) -> RawEvent:
        """The event of a refusal."""
        return CallRejected, number, at, self.name, KIND, self.reason, self.left(at), self.evidence


class QuickCircuitOpenError(CircuitOpenError):
    """A `CircuitOpenError` that works out what it says when it is asked; made of a `Refusal`."""

    __init__ = Exception.__init__  # written in C: a Python one would cost more than all the rest

    @property
    def _refusal(self) -> tuple[int, float, Shut]:
        refusal: tuple[int, float, Shut] = _MADE_OF.__get__(self)[0]
        return refusal

    @property
    def policy(self) -> str:  # type: ignore[override]
        """See `DecisionError`."""
        return KIND

    @property
    def name(self) -> str:  # type: ignore[override]
        """See `DecisionError`."""
        return self._refusal[2].name

    @property
    def retry_after(self) -> float | None:  # type: ignore[override]
        """See `DecisionError`."""
        _, at, shut = self._refusal
        return shut.left(at)

    @property
    def evidence(self) -> dict[str, object]:  # type: ignore[override]
        """See `DecisionError`."""
        shut = self._refusal[2]
        return {"reason": shut.reason, **shut.evidence}

    @property
    def id(self) -> str:  # type: ignore[override]
        """See `RejectedError`."""
        number, _, shut = self._refusal
        return refusal_id(KIND, shut.name, number, shut.journal.worker)

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override]
        """The message, as for any other error."""
        return (str(self),)

    def __str__(self) -> str:
        number, at, shut = self._refusal
        kind, *fields = shut.event(number, at)
        return describe(kind(*fields)) + hint(self.id)

    def __repr__(self) -> str:
        return f"CircuitOpenError({str(self)!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        state = {key: getattr(self, key) for key in ("policy", "name", "retry_after", "evidence", "id")}
        return CircuitOpenError, self.args, {**state, **vars(self)}


class RetriedCircuitOpenError(QuickCircuitOpenError):
    """The same out of a pipeline with a retry, which has given it up; see `drive/marks.py`."""

    __seawall_gave_up__ = sys.maxsize


for _one in (QuickCircuitOpenError, RetriedCircuitOpenError):  # nobody has to know that there are several
    _one.__name__ = _one.__qualname__ = CircuitOpenError.__name__
    _one.__module__ = CircuitOpenError.__module__
