"""Writes docs/reference/state-diagrams.md by driving the machines through their transitions.

`tools/state_diagrams.py` prints the page, `--write` writes it; a test compares it with the file. Nothing is drawn by
hand: each arrow is what a machine did when it was in that state and that happened to it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from seawall.core.permit import ASK, Permit
from seawall.core.verdict import Verdict
from seawall.machines.breaker import Breaker
from seawall.machines.breaker_options import BreakerOptions, Forced, ForcedState
from seawall.machines.trip import ConsecutiveFailures
from seawall.machines.trip_windows import SlowRate

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "state-diagrams.md"

HEAD = """\
# State diagrams

Here you see what moves a machine from one state to another. The arrows are drawn by driving the machine itself
(`tools/state_diagrams.py`), so they cannot differ from what it does.

"""

_OPTIONS = BreakerOptions(
    (ConsecutiveFailures(1), SlowRate(1.0, slower_than=5.0, calls=100, min_calls=100)),
    recovery_timeout=30.0,
    half_open_max_calls=1,
    success_threshold=1,
    lease=60.0,
    max_half_open=90.0,
)


class Driven:
    """A breaker with its own time, and calls that are under way."""

    def __init__(self) -> None:
        self.now = 0.0
        self.breaker = Breaker("b", _OPTIONS)
        self.late = self._asked()  # admitted by the first era: its end is stale as soon as there is another
        self.trial: Permit | None = None

    def word(self) -> str:
        """The state as people see it."""
        return self.breaker.word(self.now)

    def _asked(self) -> Permit | None:
        """A permit, if the circuit gives one."""
        granted = self.breaker.acquire(ASK, self.now)
        return granted if isinstance(granted, Permit) else None

    def call(self, verdict: Verdict, took: float = 0.0) -> None:
        """A call that ends so, unless it is refused."""
        permit = self._asked()
        if permit is not None:
            self.breaker.record(permit, verdict, took, self.now)

    def end_late(self, verdict: Verdict) -> None:
        """The end of the call that was admitted first."""
        assert self.late is not None
        self.breaker.record(self.late, verdict, 0.0, self.now)

    def begin(self) -> None:
        """A call that does not come back."""
        self.trial = self._asked()

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        self.breaker.tick(self.now)

    def pin(self, state: ForcedState, lasting: float | None = None) -> None:
        """Somebody holds it."""
        until = None if lasting is None else self.now + lasting
        self.breaker.force(Forced(state, "somebody", "a reason", until), self.now)


def _try(one: Driven) -> None:
    """An outage, its open period, and a trial that says nothing."""
    one.call(Verdict.FAILURE)
    one.wait(30.0)
    one.call(Verdict.IGNORED)


def _hang(one: Driven) -> None:
    """A trial that does not come back within its lease."""
    one.begin()
    one.wait(60.0)


def _unsettled(one: Driven) -> None:
    """A half-open period in which every trial is cancelled."""
    one.wait(90.0)


def _expire(one: Driven) -> None:
    """A pin of one second, laid on and over again."""
    one.pin("open", 1.0)
    one.wait(1.0)


Act = Callable[[Driven], object]

#: How to get a fresh breaker into each state.
_REACH: dict[str, Act] = {
    "closed": lambda one: None,
    "open": lambda one: one.call(Verdict.FAILURE),
    "half-open": _try,
}

#: What may happen to it.
_HAPPENS: dict[str, Act] = {
    "a call succeeds": lambda one: one.call(Verdict.SUCCESS),
    "a call fails": lambda one: one.call(Verdict.FAILURE),
    "a call is slow": lambda one: one.call(Verdict.SUCCESS, 6.0),
    "a call is cancelled or ignored": lambda one: one.call(Verdict.IGNORED),
    "a call does not return within its lease": _hang,
    "a late call succeeds": lambda one: one.end_late(Verdict.SUCCESS),
    "a late call fails": lambda one: one.end_late(Verdict.FAILURE),
    "recovery_timeout is over": lambda one: one.wait(30.0),
    "max_half_open is over": _unsettled,
    "trip()": lambda one: one.breaker.trip(one.now),
    "half_open()": lambda one: one.breaker.half_open(one.now),
    "reset()": lambda one: one.breaker.reset(one.now),
    "a pin expires": _expire,
}

#: Where that cannot be: nothing is late in the first era, an open circuit has no calls, and only half-open has an end.
_NOT_IN = {
    "a late call succeeds": ("closed",),
    "a late call fails": ("closed",),
    "a call does not return within its lease": ("open",),
    "max_half_open is over": ("closed", "open"),
}

_PINS: dict[str, ForcedState] = {
    "forced-open": "open",
    "forced-closed": "closed",
    "disabled": "disabled",
    "observe": "observe",
}


class Arrow(NamedTuple):
    """One transition."""

    was: str
    what: str
    now: str


def _driven(state: str) -> Driven:
    """A breaker in that state."""
    one = Driven()
    _REACH[state](one)
    assert one.word() == state, (one.word(), state)
    return one


def arrows() -> Iterator[Arrow]:
    """What each thing that may happen does in each state."""
    for state in _REACH:
        for what, act in _HAPPENS.items():
            if state not in _NOT_IN.get(what, ()):
                one = _driven(state)
                act(one)
                yield Arrow(state, what, one.word())


def pins() -> Iterator[Arrow]:
    """What a pin makes of each state, and what is there after its release."""
    for state in _REACH:
        for word, pin in _PINS.items():
            one = _driven(state)
            one.pin(pin)
            assert one.word() == word
            one.breaker.release("somebody", one.now)
            yield Arrow(state, word, one.word())


def _diagram(found: list[Arrow]) -> Iterator[str]:
    """The arrows that lead somewhere, grouped by their ends."""
    groups: dict[tuple[str, str], list[str]] = {}
    for was, what, now in found:
        if was != now:
            groups.setdefault((was, now), []).append(what)
    for (was, now), causes in groups.items():
        first, *others = causes
        yield f"{was:>9} ── {first:<40} ──▶ {now}"
        yield from (f"{'':>12} {what}" for what in others)
        yield ""


def page() -> str:
    """The whole page."""
    found = list(arrows())
    rows = "\n".join(
        f"| {what} | " + " | ".join(_cell(found, state, what) for state in _REACH) + " |" for what in _HAPPENS
    )
    held = "\n".join(f"| {was} | {word} | {now} |" for was, word, now in pins())
    picture = "\n".join(_diagram(found)).rstrip()
    return (
        f"{HEAD}## Circuit breaker\n\nIts trip rule here is one failure, one successful trial closes it, and one "
        "trial may be out at once.\n\n"
        f"```text\n{picture}\n```\n\nEverything that may happen, in each state; — changes nothing:\n\n"
        f"| what happens | {' | '.join(_REACH)} |\n| --- | {' | '.join('---' for _ in _REACH)} |\n{rows}\n\n"
        "A pin lies over the state. What the circuit is in after its release:\n\n"
        f"| before | pinned | after |\n| --- | --- | --- |\n{held}\n"
    )


def _cell(found: list[Arrow], state: str, what: str) -> str:
    """Where that leads from that state."""
    now = next((arrow.now for arrow in found if arrow.was == state and arrow.what == what), state)
    return "—" if now == state else now


def main() -> int:
    """Print or write the page."""
    if "--write" in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
