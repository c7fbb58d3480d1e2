"""What explanations are made from, as it is kept in a file for the time when nobody is there to ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seawall.core.snapshot import Snapshot
from seawall.events.journal import Entry, entry_from_json
from seawall.events.types import (
    TRANSITIONS,
    CallFailed,
    CallRejected,
    CallShadowed,
    CallSlow,
    FallbackUsed,
    RetryGaveUp,
    RetryScheduled,
)
from seawall.pipeline.why_known import Known

VERSION = 1

_SORTS: tuple[tuple[type, ...], ...] = (
    (CallFailed, CallSlow, RetryGaveUp),
    (CallRejected, CallShadowed, FallbackUsed, RetryScheduled),
    TRANSITIONS,
)


def saved_form(known: Known, each: int) -> dict[str, Any]:
    """What is known as plain data, with the last `each` entries of every sort."""
    counts = [0] * (len(_SORTS) + 1)
    kept: list[Entry] = []
    for entry in reversed(known.entries):
        sort = next((place for place, kinds in enumerate(_SORTS) if isinstance(entry.event, kinds)), len(_SORTS))
        counts[sort] += 1
        if counts[sort] <= each:
            kept.append(entry)
    left_out = len(known.entries) - len(kept)
    return {
        "version": VERSION,
        "saved_at": known.now,
        "entries": [entry.as_json() for entry in reversed(kept)],
        "snapshot": known.snapshot.as_json(),
        "fallen": {**known.fallen, **({"not saved": left_out} if left_out else {})},
        "fallen_until": known.fallen_until,
        "suppressed": dict(known.suppressed),
        "dropped": known.dropped,
        "started": known.started,
    }


def from_saved(data: Mapping[str, Any]) -> Known:
    """The inverse of `saved_form`; the moment of asking is the one of saving.

    Raises:
        ValueError: if it is of another version or form.
    """
    if data.get("version") != VERSION:
        raise ValueError(f"it is of version {data.get('version')!r} and not {VERSION}")
    try:
        entries = [entry_from_json(one) for one in data["entries"]]
        return Known(
            entries,
            Snapshot.from_json(data["snapshot"]),
            float(data["saved_at"]),
            {str(key): int(value) for key, value in data["fallen"].items()},
            float(data["fallen_until"]),
            {str(key): int(value) for key, value in data["suppressed"].items()},
            int(data["dropped"]),
            float(data["started"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is damaged ({type(error).__name__}: {error})") from None
