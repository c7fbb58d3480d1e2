"""What an explanation is made from, and what it is made of."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from seawall.events.words import describe

if TYPE_CHECKING:
    from seawall.core.snapshot import Snapshot
    from seawall.events.journal import Entry, Journal

Relation = Literal["asked", "because", "before", "then", "now", "gap"]
_WORDS = {"asked": "", "because": "because", "before": "before", "then": "then", "now": "now", "gap": "not known"}


class Known(NamedTuple):
    """What there is to explain from.

    Args:
        entries: of the journal, in the order of their wall time.
        snapshot: everything protected, now or when it was saved.
        now: wall seconds of the question.
        fallen: how many entries gave way in the ring, by the name of their event.
        fallen_until: wall seconds of the newest of them; 0 if there are none.
        suppressed: how many events programs counted and did not report one by one, by name.
        dropped: events lost on their way from programs.
        started: wall seconds at which the journal began, 0 if that is not known.
    """

    entries: Sequence[Entry]
    snapshot: Snapshot
    now: float
    fallen: Mapping[str, int] = {}
    fallen_until: float = 0.0
    suppressed: Mapping[str, int] = {}
    dropped: int = 0
    started: float = 0.0

    @property
    def oldest(self) -> float:
        """Wall seconds that the journal goes back to."""
        return self.entries[0].wall if self.entries else self.started or self.now

    def of(self, focus: Entry, *kinds: type, names: Iterable[str] | None = None) -> list[Entry]:
        """Entries of some kinds from the process of `focus`, about some names if given."""
        wanted = None if names is None else set(names)
        return [
            entry
            for entry in self.entries
            if type(entry.event) in kinds
            and (entry.worker, entry.source) == (focus.worker, focus.source)
            and (wanted is None or entry.event.name in wanted)
        ]


def known_of(journal: Journal, snapshot: Snapshot, now: float, **more: Any) -> Known:
    """What a journal and a snapshot know; `more` as for `Known`."""
    entries = sorted(journal.entries(), key=_wall)  # stable: what happened at one moment stays in its order
    return Known(entries, snapshot, now, dict(journal.fallen), journal.fallen_until, **more)


def _wall(entry: Entry) -> float:
    """When it happened."""
    return entry.wall


class Step(NamedTuple):
    """One link of a chain.

    Args:
        relation: "asked" is what was asked for; "because" its causes, nearest first; "before" what changed before them;
            "then" what followed; "now" the present; "gap" something that is not known.
        wall: wall seconds; None for what has no moment.
        text: the sentence.
        evidence: what it rests on, as plain data.
        source: program and pid; "" for this program.
        id: of the transition or refusal, if it has one.
    """

    relation: Relation
    wall: float | None
    text: str
    evidence: Mapping[str, Any] = {}
    source: str = ""
    id: str = ""


def step_of(relation: Relation, entry: Entry, text: str = "") -> Step:
    """An entry as a step; its own sentence unless another is given."""
    event = entry.event
    evidence = {key: value for key, value in event._asdict().items() if key not in {"number", "at"}}
    evidence["event"] = type(event).__name__
    return Step(relation, entry.wall, text or describe(event), evidence, entry.source, entry.id)


def gap(text: str) -> Step:
    """Something that is not known."""
    return Step("gap", None, text)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer to "why?".

    Args:
        what: what was asked for.
        kind: "refusal", "transition", "name", "moment" or "unknown".
        found: False if nothing is known of it.
        headline: the answer in one sentence.
        steps: the chain, what was asked for first.
        others: further events that have the same short id, each with a longer one.
        remedy: what to do when nothing was found.
    """

    what: str
    kind: str
    found: bool
    headline: str
    steps: tuple[Step, ...] = ()
    others: tuple[str, ...] = field(default=())
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain data; moments as wall seconds and as UTC text."""
        return {
            "what": self.what,
            "kind": self.kind,
            "found": self.found,
            "headline": self.headline,
            "remedy": self.remedy,
            "others": list(self.others),
            "steps": [
                {
                    **step._asdict(),
                    "evidence": dict(step.evidence),
                    "utc": None if step.wall is None else utc(step.wall),
                }
                for step in self.steps
            ],
        }

    def __str__(self) -> str:
        """Lines for people, with local times."""
        return "\n".join(lines_of(self.as_json()))


def lines_of(data: Mapping[str, Any]) -> list[str]:
    """The lines of an explanation in its JSON form."""
    lines = [str(data["headline"])]
    for step in data["steps"]:
        if step["relation"] == "asked":
            continue
        moment = "        " if step["wall"] is None else clock_of(step["wall"])
        tail = f"  [{step['source']}]" if step["source"] else ""
        lines.append(f"  {_WORDS[step['relation']]:<9}  {moment}  {step['text']}{tail}")
    if data["others"]:
        lines += ["", "The same short id also belongs to these; ask by the longer one:"]
        lines += [f"  {one}" for one in data["others"]]
    if data["remedy"]:
        lines.append(str(data["remedy"]))
    return lines


def clock_of(wall: float) -> str:
    """Local time of day, "12:03:04"."""
    return time.strftime("%H:%M:%S", time.localtime(wall))


def time_of(wall: float, now: float) -> str:
    """Local time of day, with the date if it was not within a day of `now`."""
    return clock_of(wall) if abs(now - wall) < 86400 else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))


def utc(wall: float) -> str:
    """A moment as UTC text, "2026-01-31T12:03:04.250Z"."""
    return datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
