"""What a program has to tell: events, bounded in rate and number, and the parts of a snapshot that changed."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seawall.events.journal import Entry
from seawall.events.types import TRANSITIONS
from seawall.report.protocol import MAX_LINE_BYTES, Message, encode
from seawall.report.reading import REPORTED

if TYPE_CHECKING:
    from seawall.core.snapshot import PipelineSnapshot, PolicySnapshot, Snapshot

_MOST_QUEUED = 500  #: of transitions, and as many of all others
_MOST_PER_SECOND = 50  #: events other than transitions
_MOST_PER_NAME = 5  #: of one kind and name, so that one noisy dependency does not hide the others
#: Length at which a line of snapshots is ended, bytes: the daemon takes a few milliseconds for it, then others' turn
#: comes. One policy with long details may be longer.
_LINE_BYTES = 32 * 1024
_LONGEST_PART = MAX_LINE_BYTES // 4
_TRANSITIONS = frozenset(TRANSITIONS)


class Outbox:
    """Events on their way out.

    `add` runs in the threads of protected calls, so it takes no lock and does nothing that can wait; when two threads
    meet, a count may be off by one.
    """

    __slots__ = ("_calm", "_counts", "_second", "_urgent", "dropped", "suppressed")

    def __init__(self) -> None:
        self._urgent: deque[Entry] = deque(maxlen=_MOST_QUEUED)
        self._calm: deque[Entry] = deque(maxlen=_MOST_QUEUED)
        self._second = 0
        self._counts: Counter[tuple[type, str] | None] = Counter()
        self.suppressed: Counter[str] = Counter()
        self.dropped = 0

    def add(self, wall: float, event: Any) -> bool:
        """Take an event; True if it is a transition, which should not wait."""
        kind = type(event)
        if kind in _TRANSITIONS:
            self._put(self._urgent, Entry(wall, "", event))
            return True
        if kind in REPORTED:
            second = int(wall)
            if second != self._second:
                self._second = second
                self._counts = Counter()
            counts = self._counts
            key = (kind, event.name)
            if counts[None] >= _MOST_PER_SECOND or counts[key] >= _MOST_PER_NAME:
                self.suppressed[kind.__name__] += 1
            else:
                counts[None] += 1
                counts[key] += 1
                self._put(self._calm, Entry(wall, "", event))
        return False

    def take(self) -> list[Message]:
        """The messages for what has come in since the last time; it is no longer kept here then."""
        entries = sorted((*_drain(self._urgent), *_drain(self._calm)), key=_wall)
        messages: list[Message] = [
            {"type": "events", "entries": [one.as_json() for one in entries[start : start + 50]]}
            for start in range(0, len(entries), 50)
        ]
        suppressed, self.suppressed = self.suppressed, Counter()
        dropped, self.dropped = self.dropped, 0
        if suppressed or dropped:
            messages.append({"type": "aggregate", "suppressed": dict(suppressed), "dropped": dropped})
        return messages

    def _put(self, queue: deque[Entry], entry: Entry) -> None:
        """Queue an entry; the oldest gives way."""
        if len(queue) >= _MOST_QUEUED:
            self.dropped += 1
        queue.append(entry)


class Difference:
    """What of a snapshot the other end does not know yet."""

    def __init__(self) -> None:
        self._policies: dict[tuple[str, str], PolicySnapshot] = {}
        self._pipelines: dict[str, PipelineSnapshot] = {}

    def lines(self, snapshot: Snapshot) -> Iterator[bytes]:
        """Snapshot messages with all that changed since the last time, in lines of bounded length; at least one."""
        parts: dict[str, list[str]] = {"pipelines": [], "policies": []}
        size = 0
        for kind, one in self._changed(snapshot):
            if size and size + len(one) > _LINE_BYTES:
                yield _line(snapshot.taken_at, parts)
                parts, size = {"pipelines": [], "policies": []}, 0
            parts[kind].append(one)
            size += len(one)
        yield _line(snapshot.taken_at, parts)

    def _changed(self, snapshot: Snapshot) -> Iterator[tuple[str, str]]:
        """Kind and JSON of everything that is not as it was said last."""
        for pipeline in snapshot.pipelines:
            if self._pipelines.get(pipeline.name) != pipeline:
                self._pipelines[pipeline.name] = pipeline
                yield "pipelines", _text(pipeline)
        for policy in snapshot.policies:
            key = (policy.kind, policy.name)
            if self._policies.get(key) != policy:
                self._policies[key] = policy
                text = _text(policy)
                yield "policies", text if len(text) <= _LONGEST_PART else _text(replace(policy, details={}))


def _line(taken_at: float, parts: dict[str, list[str]]) -> bytes:
    """A snapshot message out of parts that are JSON already."""
    joined = ",".join(f'"{kind}":[{",".join(texts)}]' for kind, texts in parts.items())
    return f'{{"type":"snapshot","taken_at":{json.dumps(taken_at)},{joined}}}\n'.encode("ascii")


def _text(part: PolicySnapshot | PipelineSnapshot) -> str:
    """A part of a snapshot as JSON in ASCII."""
    # NB: not asdict, which copies deeply and takes ten times as long
    return encode({name: getattr(part, name) for name in part.__slots__}).decode("ascii").rstrip("\n")


def _drain(queue: deque[Entry]) -> Iterator[Entry]:
    """Everything in a queue that others may be filling."""
    for _ in range(len(queue)):
        try:
            yield queue.popleft()
        except IndexError:
            return


def _wall(entry: Entry) -> float:
    """When it happened."""
    return entry.wall
