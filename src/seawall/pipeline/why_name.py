"""How something is now, since when, why, and what comes next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from seawall.events.types import (
    TRANSITIONS,
    CheckChanged,
    CircuitForced,
    CircuitOpened,
    ProcessExited,
    ProcessStarted,
    ProgramLinked,
    ProgramLost,
)
from seawall.events.words import describe, seconds
from seawall.pipeline.why_chain import ends, of_spell, present
from seawall.pipeline.why_known import Explanation, Known, Step, gap, step_of, time_of

if TYPE_CHECKING:
    from seawall.core.snapshot import PolicySnapshot
    from seawall.events.journal import Entry

_WATCHED = (CheckChanged, ProcessStarted, ProcessExited, ProgramLinked, ProgramLost)
_LAST = 5  # events told of something that has no chain


def names_of(known: Known) -> set[str]:
    """Everything that may be asked for by name."""
    return {
        *(one.name for one in known.snapshot.policies),
        *(one.name for one in known.snapshot.pipelines),
        *(entry.event.name for entry in known.entries),
    }


def of_name(name: str, known: Known, around: float) -> Explanation:
    """What is to say of everything that has this name: circuits first, then what stands beside and beneath them."""
    policies = [one for one in known.snapshot.policies if one.name == name or name in one.pipelines]
    circuits = [one for one in policies if one.kind == "circuit_breaker"]
    steps: list[Step] = []
    headlines: list[str] = []
    for circuit in circuits:
        headline, chain = _of_circuit(circuit, known, around)
        headlines.append(headline)
        steps += chain
    watched = [one for one in known.entries if type(one.event) in _WATCHED and one.event.name == name]
    if watched:
        headlines.append(f"Last of it: {time_of(watched[-1].wall, known.now)} {describe(watched[-1].event)}")
    steps += [step_of("before", one) for one in watched[-_LAST:]]
    steps += [step for one in policies if one not in circuits for step in _of_policy(one, known)]
    steps += _overrides(name, known)
    if not circuits:
        rest = [one for one in known.entries if one.event.name == name and type(one.event) not in _WATCHED]
        if rest:
            steps.append(Step("then", rest[-1].wall, f"Last: {describe(rest[-1].event)}", {}, rest[-1].source))
    if not headlines:
        kinds = ", ".join(sorted({one.kind.replace("_", " ") for one in policies})) or "something no longer there"
        headlines.append(f'"{name}" is {kinds}; no circuit of that name can be open.')
    return Explanation(name, "name", found=True, headline=" ".join(headlines), steps=tuple(steps))


def _of_circuit(circuit: PolicySnapshot, known: Known, around: float) -> tuple[str, list[Step]]:
    """The state of a circuit, and the chain behind it or behind the last time it was not closed."""
    moves = [one for one in known.entries if type(one.event) in TRANSITIONS and _is(one.event.name, circuit.name)]
    starts = [one for one in moves if isinstance(one.event, CircuitOpened | CircuitForced)]
    closed = circuit.state == "closed"
    headline = f'Circuit "{circuit.name}" is {circuit.state}{_since(circuit, known)}{_reason(circuit)}.'
    steps: list[Step] = []
    if not starts:
        said = f"Since {time_of(known.oldest, known.now)}, as far as the journal goes back, it is not known to have"
        steps.append(gap(f"{said} opened{'' if closed else ': why it is so now is not in here'}."))
        steps += [] if closed else [present(circuit.name, known)]
        return headline, steps
    focus = _first_of_spell(starts[-1], moves)
    steps.append(step_of("then" if closed else "because", focus))
    steps += of_spell(focus, known, around)
    if closed:
        ended = [one for one in moves if ends(one)]
        last = f" It was last open from {time_of(focus.wall, known.now)}"
        headline += f"{last} to {time_of(ended[-1].wall, known.now)}." if ended else f"{last}."
    return headline, steps


def _first_of_spell(last: Entry, moves: list[Entry]) -> Entry:
    """The move that began the spell in which `last` happened, in the same process."""
    first: Entry | None = None
    for one in moves:
        if (one.worker, one.source) != (last.worker, last.source):
            continue
        if ends(one):
            first = None
        elif first is None:
            first = one
        if one is last:
            break
    return first or last


def _is(event_name: str, name: str) -> bool:
    """Whether an event is about a circuit, or about one of its keys."""
    return event_name == name or event_name.startswith(f"{name}[")


def _since(circuit: PolicySnapshot, known: Known) -> str:
    """Since when it has been as it is."""
    since = circuit.details.get("since")
    if not isinstance(since, int | float):
        return ""
    return f" since {time_of(since, known.now)} ({seconds(max(0.0, known.now - since))})"


def _reason(circuit: PolicySnapshot) -> str:
    """Its own words for why."""
    reason = circuit.details.get("reason")
    return f": {reason}" if reason else ""


def _of_policy(policy: PolicySnapshot, known: Known) -> Iterator[Step]:
    """What a policy that is no circuit has counted."""
    refused = policy.counters.get("requests.rejected", 0)
    shown: dict[str, Any] = {key: value for key, value in {**policy.gauges, "refused": refused}.items() if value}
    if not shown or policy.kind in {"retry", "fallback"}:
        return
    words = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in shown.items())
    kind = policy.kind.replace("_", " ")
    at = known.snapshot.taken_at or known.now
    yield Step("now", at, f'Its {kind} "{policy.name}"{f" is {policy.state}" if policy.state else ""}: {words}.', shown)


def _overrides(name: str, known: Known) -> list[Step]:
    """The overrides of a pipeline that hold."""
    found = [one for pipeline in known.snapshot.pipelines if pipeline.name == name for one in pipeline.overrides]
    return [
        Step(
            "now", known.snapshot.taken_at or known.now,
            f'It is overridden by {one.get("owner")}: {one.get("reason")} ({one.get("changes")}), '
            + (f"until {time_of(one['expires_at'], known.now)}." if one.get("expires_at") else "until lifted."),
            dict(one),
        )
        for one in found
    ]  # fmt: skip
