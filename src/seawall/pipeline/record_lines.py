"""The lines of a recording: what is kept of a call, and what is not.

Kept are names, moments, durations, verdicts and causes (classes of errors and statuses). Never kept are arguments,
results, texts of errors, or keys: of a key there is a hash that can be compared within one recording and nowhere else.

| line | fields |
| --- | --- |
| first | `seawall_recording` (1), `version`, `program`, `pid`, `wall` and `monotonic` of one moment, `pipelines` |
| call | `n`, `pipeline`, `at` (monotonic), `wall`, `wait` before the first attempt, `took`, `attempts`, `outcome`, `cause`, `refused`, `cost`, `key` |
| attempt | `at` (after the call's), `took`, `verdict`, `cause`, `retry_after`, `cut` if it was not waited for to its end |
| transition | `n`, `circuit`, `to`, `at`, `wall`, `why` |
| last | `end` ("stopped" or "full"), `lines`, `dropped` |

`n` counts calls and transitions from 1 without gaps; what had to be dropped has its number all the same.
"""  # noqa: E501 - a table

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING, Any, NamedTuple

from seawall.core.errors import RejectedError
from seawall.errors.classify import label
from seawall.events.types import CircuitOpened
from seawall.events.words import why

if TYPE_CHECKING:
    from collections.abc import Hashable

    from seawall.drive.call import Call

VERSION = 1


class Ended(NamedTuple):
    """What is taken over from a call that has ended, in its own thread; the line is made elsewhere."""

    pipeline: str
    at: float
    took: float
    started: int
    attempts: list[list[Any]]
    outcome: str
    cause: str
    refused: bool
    cost: float
    key: Hashable


def ended_of(name: str, call: Call, outcome: str, error: BaseException | None, now: float) -> Ended:
    """Take over a call."""
    behind = call.cause if call.degraded else error
    refused = isinstance(behind, RejectedError) and (outcome == "rejected" or call.degraded)
    if isinstance(behind, RejectedError):
        cause = f"{behind.policy}:{behind.evidence.get('reason', 'refused')}"
    elif behind is not None:
        cause = label(behind)
    else:
        cause = "" if outcome == "success" else call.label(None, call.value)
    asked = call.asked
    cost, key = (1.0, None) if asked is None else (asked.cost, asked.key)
    at = call.entered_at
    return Ended(name, at, now - at, call.started, list(call.log or ()), outcome, cause, refused, cost, key)


def line_of(ended: Ended, secret: bytes) -> dict[str, Any]:
    """A call as plain data, without number and wall time."""
    attempts = attempts_of(ended)
    line: dict[str, Any] = {
        "pipeline": ended.pipeline,
        "at": round(ended.at, 6),
        "wait": round(attempts[0]["at"] if attempts else ended.took, 6),
        "took": round(ended.took, 6),
        "attempts": attempts,
        "outcome": ended.outcome,
    }
    if ended.cause:
        line["cause"] = ended.cause
    if ended.refused:
        line["refused"] = True
    if ended.cost != 1.0:
        line["cost"] = ended.cost
    if ended.key is not None:
        line["key"] = _hashed(ended.key, secret)
    return line


def _hashed(key: Hashable, secret: bytes) -> str:
    """A hash of a key; "?" for one that cannot be written down."""
    try:
        text = repr(key).encode("utf-8", "replace")
    except Exception:  # noqa: BLE001 - a key is an object of somebody else's
        return "?"
    return blake2s(text, key=secret, digest_size=6).hexdigest()


def attempts_of(ended: Ended) -> list[dict[str, Any]]:
    """The attempts of a call.

    One that has not ended was left behind in its thread; a plain function that turned out to give an awaitable is begun
    twice, and its first beginning, which sent nothing, is left out.
    """
    spare = len(ended.attempts) - ended.started
    found: list[dict[str, Any]] = []
    for mark in ended.attempts:
        if len(mark) == 1 and spare > 0:
            spare -= 1
            continue
        began = mark[0]
        left = [ended.at + ended.took - began, "dropped", "left behind", None, True]
        took, verdict, cause, hint, cut = mark[1:] if len(mark) > 1 else left
        one: dict[str, Any] = {"at": round(began - ended.at, 6), "took": round(took, 6), "verdict": verdict}
        if cause:
            one["cause"] = cause
        if hint is not None:
            one["retry_after"] = round(hint, 3)
        if cut:
            one["cut"] = True
        found.append(one)
    return found


def transition_of(event: Any) -> dict[str, Any]:
    """A move of a circuit as plain data; what a person wrote as a reason stays out."""
    line: dict[str, Any] = {"circuit": event.name, "to": type(event).__name__, "at": round(event.at, 6)}
    if isinstance(event, CircuitOpened):
        line["why"] = why(event.evidence) or event.reason
    return line
