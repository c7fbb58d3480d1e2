"""The four questions: what is broken, what still works, since when and what changed, what is done about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from seawall.server.history import Reading
from seawall.server.view.pieces import BROKEN, FINE, NOTICE, Piece
from seawall.server.view.rows import Row, Sources

_MOST = 6  # lines per answer; more is no longer read
_NOW = 15.0  # seconds of calls that tell what works: short, because the answer is wanted as of now


class Event(NamedTuple):
    """One thing of the timeline that was a change, in words; `kind` is the event's class, `name` what it befell."""

    wall: float
    kind: str
    name: str
    text: str


#: The trouble itself, which the headline tells.
_SIGNS = frozenset({"CircuitOpened", "CheckChanged"})
#: Steps on the way that nobody took and that explain nothing.
_STEPS = frozenset({"CircuitHalfOpened", "ProgramLinked"})


class Cause(NamedTuple):
    """A broken dependency and what it breaks."""

    row: Row
    effects: list[Row]


def tell(rows: Sequence[Row], sources: Sources, changes: Iterable[Event], well_since: float | None) -> dict[str, Any]:
    """The answers. `changes` are the changes of the last while, oldest first."""
    broken = [row for row in rows if row.level >= BROKEN]
    noticed = [row for row in rows if row.level == NOTICE]
    causes = fold(broken or noticed, needs_of(sources))
    since = min((one.row.since for one in causes if one.row.since), default=None)
    works = _works(rows, sources)
    return {
        "level": max((row.level for row in rows), default=FINE),
        "headline": _headline(rows, sources, bool(broken), causes),
        "broken": [_cause_json(cause) for cause in causes[:_MOST]],
        "more_broken": max(0, len(causes) - _MOST),
        "works": works,
        "since": since,
        "well_since": well_since if not causes else None,
        "changed": _changed(changes, since, causes),
        "doing": _doing(rows),
    }


def needs_of(sources: Sources) -> dict[str, set[str]]:
    """Which dependencies each program calls, as its own circuits and pipelines say."""
    needs: dict[str, set[str]] = defaultdict(set)
    for program in sources.programs:
        if program.live and program.snapshot is not None:
            for policy in program.snapshot.policies:
                if policy.kind == "circuit_breaker":
                    needs[program.name].add(policy.name)
    return needs


def fold(troubled: Sequence[Row], needs: dict[str, set[str]]) -> list[Cause]:
    """Troubled dependencies as causes, the earliest first, each with what it breaks.

    One that is itself a program and calls another troubled one, which was troubled no later than 5 s after it, is an
    effect of that one. Where such a chain turns in a circle, the earliest is the cause.
    """
    by_name = {row.id: row for row in troubled}
    parent: dict[str, str] = {}
    for row in sorted(troubled, key=lambda one: -(one.since or 0)):
        below = [by_name[name] for name in needs.get(row.id, ()) if name in by_name and name != row.id]
        below = [one for one in below if (one.since or 0) <= (row.since or 0) + 5]
        below = [one for one in below if _root(one.id, parent) != row.id]
        if below:
            parent[row.id] = min(below, key=lambda one: one.since or 0).id
    effects: dict[str, list[Row]] = defaultdict(list)
    for name in parent:
        effects[_root(name, parent)].append(by_name[name])
    roots = [row for row in troubled if row.id not in parent]
    return [Cause(row, effects[row.id]) for row in sorted(roots, key=lambda one: (-one.level, one.since or 0, one.id))]


def _root(name: str, parent: dict[str, str]) -> str:
    """Follow a chain of effects to its cause."""
    while name in parent:
        name = parent[name]
    return name


def _headline(rows: Sequence[Row], sources: Sources, broken: bool, causes: Sequence[Cause]) -> str:  # noqa: FBT001
    """One line that says how it is."""
    if not rows:
        return "Nothing is watched yet: no check, no process, and no program has linked."
    if not causes:
        counts = [
            _plural(len(rows), "dependency", "dependencies"),
            _plural(len(sources.checks), "check", "checks"),
            _plural(len(sources.processes), "process", "processes"),
        ]
        return f"All is well: {', '.join(text for text in counts if not text.startswith('0'))}."
    first = sentence(causes[0].row)
    more = len(causes) - 1
    if not broken:
        return f"Worth a look: {first}" + (f" And {_plural(more, 'other thing', 'other things')}." if more else "")
    return first + (f" {_plural(more, 'other thing is', 'other things are')} broken as well." if more else "")


def _plural(count: int, one: str, many: str) -> str:
    """A counted noun."""
    return f"{count:,} {one if count == 1 else many}"


def sentence(row: Row) -> str:
    """What is the matter with a dependency, in one sentence."""
    lead = row.lead
    if lead.level == FINE:
        return f"{row.id}: {row.failing}."
    why = f": {lead.text.rstrip('.')}" if lead.text else ""
    if lead.kind == "process":
        return {
            "down": f"{row.id} is down{why}.",
            "gave up": f"{row.id} keeps ending{why}.",
            "starting": f"{row.id} is starting{why and f' again, after it ended{why}'}.",
            "stopped": f"{row.id} is stopped{why}.",
        }.get(lead.word, f"{row.id} is {lead.word}{why}.")
    if lead.kind == "circuit":
        by = f" {lead.text.rstrip('.')}" if lead.text.startswith("by ") else f" by hand{why}"
        return {
            "open": f"Calls to {row.id} are stopped{why}.",
            "half-open": f"{row.id} is being tried again after an outage{why}.",
            "forced open": f"Calls to {row.id} are stopped{by}.",
            "forced closed": f"The circuit of {row.id} is forced closed{by}.",
            "disabled": f"The circuit of {row.id} is switched off{by}.",
            "observed": f"The circuit of {row.id} only watches and refuses nothing{by}.",
        }.get(lead.word, f"{row.id} is {lead.word}{why}.")
    if lead.kind == "check":
        return f"{row.id} is {lead.word}{why}." if lead.word != "unknown" else f"Nobody knows how {row.id} is{why}."
    return f"{row.id}{why}."


def _cause_json(cause: Cause) -> dict[str, Any]:
    """A cause for the page: its sentence, its other signs, what it breaks."""
    lead = cause.row.lead
    signs = [piece for piece in cause.row.pieces if piece is not lead and piece.level >= NOTICE]
    return {
        "id": cause.row.id,
        "level": cause.row.level,
        "shape": lead.shape,
        "text": sentence(cause.row),
        "since": cause.row.since,
        "signs": [f"{piece.kind.replace('_', ' ')} {_named(piece, cause.row)}{piece.word}" for piece in signs],
        "effects": [{"id": row.id, "text": sentence(row)} for row in cause.effects],
    }


def _named(piece: Piece, row: Row) -> str:
    """The name of a part, where it differs from its dependency's."""
    return "" if piece.name == row.id else f"{piece.name} "


def _works(rows: Sequence[Row], sources: Sources) -> dict[str, Any]:
    """What still works: every pipeline as full, degraded or off; and the rows that are fine."""
    found: list[tuple[int, str, str, str]] = []  # how bad, its word, the figures, the name
    users: dict[str, set[str]] = defaultdict(set)
    for program in sources.programs:
        if program.live and program.snapshot is not None:
            for pipeline in program.snapshot.pipelines:
                users[pipeline.name].add(program.name)
    for pipeline in sources.snapshot.pipelines:
        track = sources.tracks.pipelines.get(pipeline.name)
        who = ", ".join(sorted(users[pipeline.name]))
        label = f"{who}: {pipeline.name}" if who and who != pipeline.name else pipeline.name
        if track is None:
            continue
        found.append((*_capability(track.recent(sources.wall, _NOW)[0]), label))
    found.sort(key=lambda one: (one[0], one[3]))
    fine = [row.id for row in rows if row.level == FINE]
    return {
        "capabilities": [{"level": level, "name": name, "text": text} for _, level, text, name in found[:_MOST]],
        "more": max(0, len(found) - _MOST),
        "fine": fine[:12],
        "fine_count": len(fine),
        "all_count": len(rows),
    }


def _capability(came: Reading) -> tuple[int, str, str]:
    """What the callers of a pipeline get, as seen in its latest calls."""
    if not came.calls:
        return 3, "full", "no calls lately"
    lost, fallback = (came.bad + came.refused) / came.calls, came.degraded / came.calls
    if lost >= 0.9:
        return 0, "off", f"{lost:.0%} of its calls fail or are refused"
    said = []
    if fallback >= 0.01:
        said.append(f"{fallback:.0%} of its calls are answered by a fallback")
    if lost >= 0.01:
        said.append(f"{lost:.0%} fail or are refused" if said else f"{lost:.0%} of its calls fail or are refused")
    if said:
        return 1, "degraded", ", ".join(said)
    return 2, "full", "all calls answered" if not lost else "over 99% of its calls answered"


def _changed(changes: Iterable[Event], since: float | None, causes: Sequence[Cause]) -> list[dict[str, Any]]:
    """What changed in the two minutes before the trouble began, less the signs of the trouble itself."""
    if since is None:
        return []
    told = {piece.name for cause in causes for piece in cause.row.pieces}
    near = [event for event in changes if since - 120 <= event.wall <= since + 2]
    near = [event for event in near if event.kind not in _STEPS]
    near = [event for event in near if event.wall < since - 1 or event.name not in told or event.kind not in _SIGNS]
    near.sort(key=lambda event: event.wall)
    return [{"wall": event.wall, "text": event.text} for event in near[-3:]]


def _doing(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """What seawall does about it, and when it tries next. The page writes "in 12 s" where `at` is."""
    lines: list[dict[str, Any]] = []
    for row in rows:
        if row.level == FINE:
            break
        before = len(lines)
        lines.extend({"id": row.id, "text": text, "at": at} for text, at in _steps(row))
        watch = next((check for check in row.checks if not check.status.serves), None)
        if len(lines) == before and watch is not None:
            lines.append({"id": row.id, "text": f"Looks at {row.id} again every {watch.interval:g} s", "at": None})
    return lines[:_MOST]


def _steps(row: Row) -> Iterable[tuple[str, float | None]]:
    """The steps under way for one dependency."""
    for piece in row.pieces:
        if piece.kind == "process" and piece.word == "down":
            yield f"Restarts {piece.name}", piece.next_at
        elif piece.kind == "process" and piece.word == "gave up":
            yield f"{piece.name} ended too often to restart it at once; next start", piece.next_at
        elif piece.kind == "process" and piece.word == "starting":
            yield f"Waits for {piece.name} to stay up", None
        elif piece.word == "open" and piece.kind == "circuit":
            yield f"Refuses calls to {piece.name} at once, so nobody waits for it; next trial call", piece.next_at
        elif piece.word == "half-open" and piece.kind == "circuit":
            yield f"Lets single trial calls through to {piece.name}; closes when they succeed", None
        if piece.override is not None:
            held = str(piece.override["state"])
            state = {"disabled": "switched off", "observe": "observed only"}.get(held, f"forced {held}")
            yield f"{piece.name} is {state} by {piece.override['owner']}; ends", piece.override["expires_at"]
