"""Leave to make one call: asked for, given or refused, and ended exactly once."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

PermitKind = Literal["normal", "trial", "quiet"]


class Ask(NamedTuple):
    """What a caller wants of a guard or a queue."""

    cost: float = 1.0  #: tokens, > 0
    key: Hashable = None
    criticality: str | None = None
    tenant: str | None = None
    deadline: float | None = None  #: moment on the policy's clock; None means there is none
    held: bool = False  #: True when the lease is to start with `begin` and not with `acquire`


ASK = Ask()


class Permit:
    """Leave to make one call.

    Args:
        id: unique within one policy, from 1.
        era: generation of the policy's state that admitted it; a permit of an older era settles nothing.
        kind: "normal", "trial" for a call let through by a half-open circuit, "quiet" for one whose slot generated code
            has taken and given back.
        admitted_at: moment of admission, seconds.
        expires_at: moment its lease ends, or None for no lease (or one that has not begun).
        cost: tokens it took.

    `resting` is True while the lease is nobody's fault: the consumer of a stream is busy with an item. A trial whose
    lease ends meanwhile gives its place back, and has neither failed nor succeeded.

    `driven` is True for one that a driver holds, who ends it whatever happens; one that nobody holds is lost then.

    `home` is the machine that gave it, where a policy has one for each key; it ends there, whatever became of the key.
    """

    __slots__ = ("admitted_at", "cost", "driven", "era", "expires_at", "home", "id", "kind", "resting", "settled")

    def __init__(
        self,
        id: int,
        era: int,
        kind: PermitKind = "normal",
        admitted_at: float = 0.0,
        expires_at: float | None = None,
        cost: float = 1.0,
    ) -> None:
        self.id = id
        self.era = era
        self.kind: PermitKind = kind
        self.admitted_at = admitted_at
        self.expires_at = expires_at
        self.cost = cost
        self.driven = False
        self.home: Any = None
        self.resting = False
        self.settled = False

    def __repr__(self) -> str:
        return f"<Permit {self.id} era={self.era} {self.kind}{' settled' if self.settled else ''}>"


def _references() -> int:
    """How many references a permit has that stands in a dictionary and nowhere else, as `unheld` sees it."""
    return max(sys.getrefcount(one) for one in {1: Permit(1, 1)}.values())


def unheld(permits: Iterable[Permit]) -> list[Permit]:
    """Those of a dictionary's values that nobody else has, so that nobody can ever end them.

    A signal handler that raises between a decision and the block that was to hold the permit leaves such. Where counts
    of references say nothing (other interpreters, free-threaded builds) none are found, and leases and the ages shown
    have to do.
    """
    if not _COUNTED:
        return []
    return [one for one in permits if sys.getrefcount(one) <= _HELD_BY_NOBODY]


class Rejection(NamedTuple):
    """A refusal, as data.

    `reason` is one word of the policy ("open", "trials_busy", "forced_open", "empty", "full", "waited", "deadline");
    `retry_after` says in how many seconds asking again may succeed, None when nobody can know. `number` and `name` are
    those of the event that reports it, and lead `explain` back to it.
    """

    reason: str
    retry_after: float | None = None
    evidence: Mapping[str, object] | None = None
    number: int = 0
    name: str = ""


_COUNTED = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()
_HELD_BY_NOBODY = _references() if _COUNTED else 0


class Parked:
    """A place in a queue.

    `wake_at` is when to look again without being woken; `until` when the place is given up. Both may change while the
    caller waits, and `permit` is filled in by the machine when its turn has come. `home` is as in `Permit`.
    """

    __slots__ = ("ask", "entered_at", "gone", "home", "id", "permit", "until", "waiter", "wake_at")

    def __init__(self, id: int, ask: Ask, entered_at: float, wake_at: float | None, until: float | None) -> None:
        self.id = id
        self.ask = ask
        self.entered_at = entered_at
        self.wake_at = wake_at
        self.until = until
        self.permit: Permit | None = None
        self.gone = False
        self.home: Any = None
        self.waiter: Waiter | None = None


class Waiter:
    """How somebody who stands in a queue is woken; drivers give it a body."""

    __slots__ = ()

    def wake(self) -> bool:
        """Wake the one who waits; False if nobody can be there any more (a closed loop)."""
        raise NotImplementedError
