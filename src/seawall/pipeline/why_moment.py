"""What was open, held, down or failing at a moment, and what happened around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from seawall.events.types import (
    TRANSITIONS,
    CallFailed,
    CallRejected,
    CallShadowed,
    CallSlow,
    CallTimedOut,
    CheckChanged,
    FallbackUsed,
    OverrideEnded,
    OverrideSet,
    ProcessExited,
    ProcessStarted,
    RetryGaveUp,
    RetryScheduled,
)
from seawall.events.words import describe, seconds
from seawall.pipeline.why_chain import ends
from seawall.pipeline.why_known import Explanation, Known, Step, gap, step_of, time_of

if TYPE_CHECKING:
    from seawall.events.journal import Entry

_FOLDED = (CallFailed, CallRejected, CallShadowed, CallSlow, CallTimedOut, FallbackUsed, RetryGaveUp, RetryScheduled)
_MOST = 60  # events around the moment


def at_moment(moment: float, known: Known, around: float) -> Explanation:
    """The state of things at `moment` (wall seconds), and the events from `around` seconds before it to after it."""
    when = time_of(moment, known.now)
    steps: list[Step] = []
    if moment > known.now:
        steps.append(gap(f"{when} is still to come: this is what is known now."))
    if not known.entries or moment < known.oldest or moment <= known.fallen_until:
        lost = sum(known.fallen.values())
        why = f", and {lost} older entries have given way" if lost else ""
        steps.append(
            gap(f"The journal goes back to {time_of(known.oldest, known.now)}{why}: what it shows is not all.")
        )
    left_out = sum(known.suppressed.values())
    if left_out:
        steps.append(gap(f"{left_out} events of all times were counted and not reported one by one."))
    then = list(_standing(moment, known))
    steps += then
    near = [one for one in known.entries if abs(one.wall - moment) <= around]
    steps += _told(near)
    broken = (
        "; ".join(step.text.rstrip(".") for step in then)
        or "nothing was open, held, down or failing, as far as is known"
    )
    return Explanation(
        str(moment), "moment", found=bool(known.entries), headline=f"At {when}: {broken}.", steps=tuple(steps),
        remedy="" if known.entries else "The journal is empty: nothing has been reported yet.",
    )  # fmt: skip


def _standing(moment: float, known: Known) -> Iterator[Step]:
    """What was not as it should be at that moment, from the last change of each thing before it."""
    last: dict[tuple[str, ...], Entry] = {}
    for entry in known.entries:
        if entry.wall > moment:
            break
        event = entry.event
        if type(event) in TRANSITIONS:
            last["circuit", event.name, entry.worker, entry.source] = entry
        elif isinstance(event, CheckChanged):
            last["check", event.name] = entry
        elif isinstance(event, ProcessExited | ProcessStarted):
            last["process", event.name] = entry
        elif isinstance(event, OverrideSet | OverrideEnded):
            last["override", event.name, entry.worker, entry.source] = entry
    for entry in sorted(last.values(), key=_wall):
        event = entry.event
        well = (
            ends(entry)
            or isinstance(event, ProcessStarted | OverrideEnded)
            or (isinstance(event, CheckChanged) and event.now == "healthy")
            or _expired(entry, moment)
        )
        if not well:
            yield step_of("now", entry)


def _expired(entry: Entry, moment: float) -> bool:
    """Whether an override had run out by itself."""
    left = getattr(entry.event, "expires_in", None)
    return isinstance(left, int | float) and entry.wall + left < moment


def _told(near: list[Entry]) -> list[Step]:
    """Events in their order; single calls of one kind, name and cause as one line with a count."""
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for place, entry in enumerate(near):
        event = entry.event
        key: tuple[str, ...] = (str(place),)
        if type(event) in _FOLDED:
            what = getattr(event, "cause", "") or getattr(event, "reason", "")
            key = (type(event).__name__, event.name, entry.source, what)
        groups.setdefault(key, []).append(entry)
    steps = []
    for group in groups.values():
        first = step_of("then", group[0])
        if len(group) > 1:
            span = seconds(group[-1].wall - group[0].wall)
            text = f"{describe(group[0].event)} This and {len(group) - 1} more like it in {span}."
            first = first._replace(text=text, evidence={**first.evidence, "count": len(group)})
        steps.append(first)
    if len(steps) > _MOST:
        left_out = len(steps) - _MOST
        steps = [*steps[:_MOST], gap(f"{left_out} more kinds of events followed; ask for a shorter time around it.")]
    return steps


def _wall(entry: Entry) -> float:
    """When it happened."""
    return entry.wall
