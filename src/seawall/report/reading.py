"""What a program sent, turned into values that are safe to keep and to show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from seawall.core.snapshot import PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.errors.text import safe_text
from seawall.events.journal import Entry, entry_from_json
from seawall.events.types import (
    TRANSITIONS,
    CallFailed,
    CallRejected,
    CallSlow,
    CallTimedOut,
    FallbackUsed,
    OverrideEnded,
    OverrideSet,
    RetryGaveUp,
    RetryScheduled,
)
from seawall.events.words import describe
from seawall.report.protocol import VERSION, Message, ProtocolError, number, text

#: The events a program may report: those of its calls. What happens to processes and links, the daemon sees itself.
REPORTED = frozenset({
    *TRANSITIONS, CallRejected, RetryScheduled, RetryGaveUp, CallTimedOut, CallFailed, CallSlow, FallbackUsed,
    OverrideSet, OverrideEnded,
})  # fmt: skip

_LONGEST_NAME = 200
_LONGEST_TEXT = 500
_MOST_ITEMS = 200
_DEEPEST = 6
_MOST = 2**63


class Hello(NamedTuple):
    """Who a program says it is."""

    program: str
    pid: int
    worker: str


def read_hello(message: Message) -> Hello:
    """The first message of a program.

    Raises:
        ProtocolError: if it is none, or of another version.
    """
    if message["type"] != "hello":
        raise ProtocolError(f"{message['type']!r} came before the hello")
    if message.get("v") != VERSION:
        raise ProtocolError(
            f"it speaks version {safe_text(message.get('v'), 20)} of the link and this daemon version {VERSION}: "
            f"let both run the same seawall"
        )
    program = safe_text(text(message, "program"), 100)
    return Hello(program, int(number(message, "pid")), safe_text(text(message, "worker"), 64))


def read_snapshot(message: Message) -> Snapshot:
    """The policies and pipelines of a snapshot message.

    Raises:
        ProtocolError: if it is not of that form.
    """
    try:
        for one in message["policies"]:
            # what is not finite came as null: it says nothing
            one["gauges"] = {key: value for key, value in one["gauges"].items() if value is not None}
            one["details"] = _clean(one["details"])
        found = Snapshot.from_json(message)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ProtocolError(f"a snapshot of another form ({type(error).__name__})") from None
    if not math.isfinite(found.taken_at):
        raise ProtocolError("a snapshot of no time")
    for policy in found.policies:
        _check(policy)
    for pipeline in found.pipelines:
        _check(pipeline)
    return found


def read_entries(message: Message, source: str, wall: float, worker: str = "") -> list[Entry]:
    """The journal entries of an events message, as coming from `source` and `worker` and not later than `wall`.

    Raises:
        ProtocolError: if one is not of a known form, or of a kind that programs do not report.
    """
    entries = message.get("entries")
    if not isinstance(entries, list):
        raise ProtocolError("events without a list of entries")
    return [_read_entry(one, source, wall)._replace(worker=worker) for one in entries]


def read_suppressed(message: Message) -> tuple[dict[str, int], int]:
    """Counts of events by kind that a program left out, and of those it lost.

    Raises:
        ProtocolError: if the message is not of that form.
    """
    suppressed = message.get("suppressed")
    if not isinstance(suppressed, dict) or len(suppressed) > len(REPORTED):
        raise ProtocolError("an aggregate without counts")
    known = {kind.__name__ for kind in REPORTED}
    counts = {kind: int(number(suppressed, kind)) for kind in suppressed if kind in known}
    return counts, int(number(message, "dropped"))


def _read_entry(data: Any, source: str, wall: float) -> Entry:
    """One journal entry."""
    if not isinstance(data, dict):
        raise ProtocolError("an entry that is no object")
    number(data, "wall")
    try:
        entry = entry_from_json(_clean(data), source)
        if type(entry.event) not in REPORTED:
            raise ProtocolError(f"{type(entry.event).__name__} is nothing a program reports")
        _check_event(entry.event)
        # NB: whoever shows the journal puts every entry into words; one that has none must not get there
        describe(entry.event)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ProtocolError(f"an entry of another form ({type(error).__name__})") from None
    return entry._replace(wall=min(entry.wall, wall))


def _check_event(event: Any) -> None:
    """Refuse an event whose fields are not of their declared sort."""
    for field, declared in type(event).__annotations__.items():
        value = getattr(event, field)
        wanted = str(getattr(declared, "__forward_arg__", declared))  # typing.NamedTuple wraps postponed annotations
        if value is None and "None" in wanted:
            continue
        if wanted.startswith("str"):
            fits = isinstance(value, str)
        elif wanted.startswith("Mapping"):
            fits = isinstance(value, dict)
        else:
            fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST
        if not fits:
            raise ProtocolError(f"{type(event).__name__}.{field} is no {wanted}")


def _check(item: PolicySnapshot | PipelineSnapshot) -> None:
    """Refuse names that are no names, counts that cannot be, and distributions that do not add up."""
    names = [item.name, *item.counters, *item.histograms]
    if isinstance(item, PolicySnapshot):
        names += [item.kind, *item.pipelines, *item.gauges]
        if not all(map(math.isfinite, item.gauges.values())) or len(item.state) > 50:
            raise ProtocolError(f"impossible gauges or state of {item.name!r:.100}")
    else:
        names += [part for pair in item.policies for part in pair]
    if not all(_is_name(name) for name in names) or len(names) > 10 * _MOST_ITEMS:
        raise ProtocolError("names that are no names")
    if not all(0 <= count < _MOST for count in item.counters.values()):
        raise ProtocolError(f"an impossible count of {item.name!r}")
    for data in item.histograms.values():
        ordered = all(a < b for a, b in zip(data.bounds, data.bounds[1:], strict=False))
        counted = len(data.counts) == len(data.bounds) + 1 and 0 <= min(data.counts) <= max(data.counts) < _MOST
        if not (counted and ordered and math.isfinite(data.total)):
            raise ProtocolError(f"a broken distribution of {item.name!r}")


def _is_name(name: str) -> bool:
    """Whether a text may stand where a name is shown."""
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def _clean(value: Any, depth: int = 0) -> Any:
    """A copy of foreign data that is bounded in depth, width and length, with safe texts only."""
    if isinstance(value, str):
        return _safe(value)
    if isinstance(value, Mapping):
        if depth >= _DEEPEST:
            return {}
        return {_safe(str(key)): _clean(item, depth + 1) for key, item in _some(value.items())}
    if isinstance(value, list):
        return [] if depth >= _DEEPEST else [_clean(item, depth + 1) for item in _some(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


@lru_cache(maxsize=4096)
def _safe(value: str) -> str:
    """`safe_text`, remembered: the same words come every second."""
    return safe_text(value, _LONGEST_TEXT)


def _some(items: Iterable[Any]) -> Iterable[Any]:
    """At most `_MOST_ITEMS` of them."""
    return (item for item, _ in zip(items, range(_MOST_ITEMS), strict=False))
