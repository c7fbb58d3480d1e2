"""The chain of causes behind a refusal or a transition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seawall.events.types import (
    TRANSITIONS,
    CallFailed,
    CallRejected,
    CallSlow,
    CallTimedOut,
    CheckChanged,
    CircuitClosed,
    CircuitForced,
    CircuitHalfOpened,
    CircuitOpened,
    CircuitReleased,
    FallbackUsed,
    OverrideEnded,
    OverrideSet,
    ProcessExited,
    ProcessStarted,
    ProgramLost,
)
from seawall.events.words import causes, describe, seconds
from seawall.pipeline.why_known import Known, Step, gap, step_of, time_of

if TYPE_CHECKING:
    from seawall.events.journal import Entry

_CHANGES = (
    ProcessExited, ProcessStarted, CheckChanged, OverrideSet, OverrideEnded, CircuitForced, CircuitReleased,
    CircuitOpened, ProgramLost,
)  # fmt: skip
_MOST = 6  # steps of one sort: more would bury the rest
_SAME = 0.005  # seconds between two events of one attempt at most
_BACK = 300.0  # seconds of failures before a circuit opened whose rule names no window


def names_behind(name: str, kind: str, known: Known) -> set[str]:
    """The policy's own name and those of the pipelines it stands in: failures and fallbacks are told under these."""
    found = {name}
    for policy in known.snapshot.policies:
        if policy.kind == kind and (policy.name == name or name.startswith(f"{policy.name}[")):
            found.update(policy.pipelines)
    return found


def of_refusal(focus: Entry, known: Known, around: float) -> Iterator[Step]:
    """Why a call was refused, and what came of it."""
    event = focus.event
    if event.policy == "circuit_breaker":
        yield from _of_circuit(focus, known, around)
        return
    evidence = ", ".join(f"{key} {value}" for key, value in event.evidence.items())
    yield Step("because", focus.wall, _policy_words(event, evidence), dict(event.evidence), focus.source)
    names = names_behind(event.name, event.policy, known)
    alike = [one for one in known.of(focus, CallRejected, names={event.name}) if abs(one.wall - focus.wall) <= around]
    if len(alike) > 1:
        text = f'It is one of {len(alike)} refusals of "{event.name}" within {seconds(around)} before and after.'
        yield Step("because", alike[0].wall, text, {"refusals": len(alike)}, focus.source)
    start = focus.wall - around
    trouble = [
        one
        for one in known.of(focus, CallFailed, CallSlow, CallTimedOut, names=names)
        if start <= one.wall <= focus.wall
    ]
    yield from _listed(trouble)
    yield from _changes_before(trouble[0].wall if trouble else focus.wall, focus.wall, focus, known, around)
    yield from _fallbacks(focus, names, focus.wall, focus.wall + around, known)


def _policy_words(event: Any, evidence: str) -> str:
    """What the policy found when it refused."""
    kind = event.policy.replace("_", " ")
    return f'The {kind} "{event.name}" decided so by itself{f" ({evidence})" if evidence else ""}.'


def of_spell(focus: Entry, known: Known, around: float) -> Iterator[Step]:
    """Why a circuit moved: what made it open, and what came of it."""
    yield from _of_circuit(focus, known, around)


def _of_circuit(focus: Entry, known: Known, around: float) -> Iterator[Step]:
    """The spell that an event of a circuit falls into."""
    name = focus.event.name
    moves = known.of(focus, *TRANSITIONS, names={name})
    spell, after = _spell(focus, moves)
    if not spell:
        yield gap(_why_no_spell(name, known))
    else:
        yield from _opening(focus, spell, known, around)
    names = names_behind(name, "circuit_breaker", known)
    end = next((one for one in after if ends(one)), None)
    began = spell[0].wall if spell else focus.wall
    yield from _fallbacks(focus, names, began, end.wall if end else known.now, known)
    yield from _ending(focus, after, end, known)


def ends(move: Entry) -> bool:
    """Whether a move ends a spell: the circuit closed, or a pin came off one that is closed beneath."""
    event = move.event
    return isinstance(event, CircuitClosed) or (isinstance(event, CircuitReleased) and event.state == "closed")


def _spell(focus: Entry, moves: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """The moves since the circuit was last closed, up to `focus`, and those after it."""
    spell: list[Entry] = []
    ended = False
    for place, move in enumerate(moves):
        if move.wall > focus.wall and move is not focus:
            return spell, moves[place:]
        if ended:
            spell, ended = [], False
        if ends(move):
            ended = True
            if move is not focus:
                continue
        else:
            spell.append(move)
        if move is focus:
            return spell, moves[place + 1 :]
    return ([] if ended else spell), []


def _opening(focus: Entry, spell: list[Entry], known: Known, around: float) -> Iterator[Step]:
    """What opened or pinned the circuit, the trials since, and what lay behind it."""
    first = spell[0]
    if first is not focus:
        yield step_of("because", first, f"{describe(first.event)}{_how_long(focus, first, spell, known)}")
    again = [one for one in spell[1:] if isinstance(one.event, CircuitOpened) and one is not focus]
    if again:
        last = again[-1]
        times = "once" if len(again) == 1 else f"{len(again)} times"
        yield step_of("because", last, f"It was tried again {times} since and opened again each time. The last time: "
                      f"{describe(last.event)}")  # fmt: skip
    pin = next((one for one in reversed(spell) if isinstance(one.event, CircuitForced)), None)
    if pin is not None and pin is not first and pin is not focus:
        yield step_of("because", pin)
    if isinstance(first.event, CircuitOpened) and first.event.reason == "tripped":
        yield from _failures(first, known, around)
    elif isinstance(first.event, CircuitOpened):
        if first.event.reason != "manual":
            yield gap(f"Why it was open before that is not known: {_horizon(known)}")
    elif isinstance(first.event, CircuitHalfOpened):
        yield gap(f"Why it had opened is not known: {_horizon(known)}")


def _how_long(focus: Entry, first: Entry, spell: list[Entry], known: Known) -> str:
    """How long it had been so when `focus` happened, and when the next trial was due."""
    if not isinstance(focus.event, CallRejected):
        return ""
    text = f" That was {seconds(focus.wall - first.wall)} before this call"
    opened = next((one for one in reversed(spell) if isinstance(one.event, CircuitOpened)), None)
    if opened is None or opened is not spell[-1]:
        return text + "."
    return f"{text}; the next trial was due at {time_of(opened.wall + opened.event.retry_after, known.now)}."


def _failures(opened: Entry, known: Known, around: float) -> Iterator[Step]:
    """The failures that tripped a circuit, and what had changed before them."""
    evidence = opened.event.evidence
    names = names_behind(opened.event.name, "circuit_breaker", known)
    kinds: tuple[type, ...] = (CallFailed, CallTimedOut)
    if evidence.get("rule") == "slow_rate":
        kinds = (*kinds, CallSlow)
    window = evidence.get("window") or _BACK
    closed = [one.wall for one in known.of(opened, CircuitClosed, names={opened.event.name}) if one.wall < opened.wall]
    start = max([opened.wall - window, *closed])
    found = [
        one
        for one in known.of(opened, *kinds, names=names)
        if start <= one.wall <= opened.wall and getattr(one.event, "verdict", "") != "throttled"
    ]
    found = _once(found)
    counted = evidence.get("slow") if evidence.get("rule") == "slow_rate" else evidence.get("failures")
    wanted = counted if isinstance(counted, int) else len(found)
    found = found[max(0, len(found) - wanted) :]
    yield from _listed(found)
    if len(found) < wanted:
        yield gap(f"Of the {wanted} calls that it counted, {wanted - len(found)} are not in the journal: "
                  f"{_horizon(known, 'CallFailed')}")  # fmt: skip
    yield from _changes_before(found[0].wall if found else opened.wall, opened.wall, opened, known, around)


def _once(found: list[Entry]) -> list[Entry]:
    """Without the timeouts that are told as failures too: plain code fails first and is found to be late then."""
    failed = [one.wall for one in found if isinstance(one.event, CallFailed)]
    return [
        one
        for one in found
        if not (isinstance(one.event, CallTimedOut) and any(abs(one.wall - wall) < _SAME for wall in failed))
    ]


def _listed(found: list[Entry]) -> Iterator[Step]:
    """Entries one by one; the middle of many as a count."""
    if len(found) <= _MOST:
        yield from (step_of("because", one) for one in found)
        return
    left_out = found[2 : 3 - _MOST]
    yield from (step_of("because", one) for one in found[:2])
    counted: dict[str, int] = {}
    for one in left_out:
        word = getattr(one.event, "cause", "") or getattr(one.event, "policy", "slow")
        counted[word] = counted.get(word, 0) + 1
    yield Step("because", left_out[0].wall, f"and {len(left_out)} more like these ({causes(counted)})", counted)
    yield from (step_of("because", one) for one in found[3 - _MOST :])


def _changes_before(first: float, until: float, focus: Entry, known: Known, around: float) -> Iterator[Step]:
    """What changed between `around` seconds before the first failure and `until`, latest last."""
    found = [
        one
        for one in known.entries
        if first - around <= one.wall <= until
        and isinstance(one.event, _CHANGES)
        and not (one.event.name == focus.event.name and isinstance(one.event, TRANSITIONS))
        and not (isinstance(one.event, CheckChanged) and one.event.was == "unknown" and one.event.now == "healthy")
    ]
    yield from (step_of("before", one) for one in found[-_MOST:])
    if not found:
        yield gap(f"Nothing else that is watched changed in the {seconds(around)} before: the cause is not in here.")


def _fallbacks(focus: Entry, names: set[str], start: float, end: float, known: Known) -> Iterator[Step]:
    """What callers got meanwhile: refusals and substitutes, counted."""
    refused = [one for one in known.of(focus, CallRejected, names=names) if start <= one.wall <= end]
    used = [one for one in known.of(focus, FallbackUsed, names=names) if start <= one.wall <= end]
    extra = known.suppressed.get("CallRejected", 0) + known.suppressed.get("FallbackUsed", 0)
    more = (
        f" ({extra} more refusals and fallbacks of all names were counted and not reported one by one.)"
        if extra
        else ""
    )
    if refused:
        last = time_of(refused[-1].wall, known.now)
        text = f"{len(refused)} call{'s' if len(refused) != 1 else ''} refused until {last}."
        yield Step("then", refused[0].wall, text + more, {"refused": len(refused)}, focus.source)
    if used:
        by = causes({one.event.source: sum(each.event.source == one.event.source for each in used) for one in used})
        text = f"{len(used)} call{'s' if len(used) != 1 else ''} answered by the fallback instead ({by})."
        yield Step("then", used[0].wall, text, {"fallbacks": len(used)}, focus.source)


def _ending(focus: Entry, after: list[Entry], end: Entry | None, known: Known) -> Iterator[Step]:
    """How it went on: the trials, and whether it closed."""
    until = after if end is None else after[: after.index(end) + 1]
    shown = [one for one in until if one is end or not isinstance(one.event, CircuitForced | CircuitReleased)]
    yield from (step_of("then", one) for one in (shown if len(shown) <= _MOST else [*shown[:2], *shown[2 - _MOST :]]))
    if end is None and not ends(focus):
        yield present(focus.event.name, known)


def present(name: str, known: Known) -> Step:
    """What a circuit is now."""
    found = next((p for p in known.snapshot.policies if p.kind == "circuit_breaker" and p.name == name), None)
    if found is None:
        return gap(f'What circuit "{name}" is now is not known: no snapshot has it.')
    left = found.gauges.get("retry_after", 0.0)
    due = f"; next trial in {seconds(left)}" if left and found.state == "open" else ""
    at = known.snapshot.taken_at or known.now
    return Step("now", at, f'Circuit "{name}" is {found.state}{due}.', {"state": found.state, **found.gauges})


def _why_no_spell(name: str, known: Known) -> str:
    """That the opening is not known, and why."""
    return f'When and why circuit "{name}" left the closed state is not known: {_horizon(known)}'


def _horizon(known: Known, kind: str = "") -> str:
    """How far the journal goes back, and what it has lost."""
    parts = [f"the journal goes back to {time_of(known.oldest, known.now)}"]
    fallen = sum(known.fallen.values()) if not kind else known.fallen.get(kind, 0)
    if fallen:
        parts.append(f"{fallen} older entries have given way")
    left_out = known.suppressed.get(kind, 0) if kind else sum(known.suppressed.values())
    if left_out:
        parts.append(f"{left_out} were counted and not reported one by one")
    if known.dropped:
        parts.append(f"{known.dropped} were lost on their way")
    return ", ".join(parts) + "."
