"""`seawall status`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seawall.cli.client import NoAnswerError, ask, folder_of
from seawall.cli.codes import DEGRADED, FINE, UNKNOWN, WRONG
from seawall.cli.terminal import clock_time, paint, wants_colour
from seawall.core.clock import current_clock
from seawall.daemon.folder import read_json
from seawall.errors.text import safe_text
from seawall.events.words import seconds

_CODES = {"healthy": FINE, "degraded": DEGRADED, "unhealthy": WRONG, "critical": WRONG}
_SHAPES = {"disc": "●", "half": "◐", "ring": "○", "diamond": "◇", "slash": "⊘", "cross": "✕", "dots": "…"}
_LEVELS = ("green", "yellow", "red", "red")


def run(file: Path, as_json: bool) -> int:  # noqa: FBT001  # handed on from the command line
    """Print how everything is; the exit code says it as well."""
    folder = folder_of(file)
    try:
        answer = ask(folder, "/api/v1/state")
    except NoAnswerError as error:
        return _last_known(str(error), read_json(folder.snapshot), as_json=as_json)
    state = answer.body
    if answer.code != 200 or "rows" not in state:
        reason = f"the daemon answered {answer.code}: {state.get('error', 'nothing of use')}"
        return _last_known(reason, None, as_json=as_json)
    code = _CODES.get(str(state.get("status")), UNKNOWN)
    if as_json:
        print(json.dumps({"answered": True, "exit_code": code, "state": state}))
        return code
    now = current_clock().wall()
    record = read_json(folder.record) or {}
    print("\n".join(_lines(state, now)))
    print(f"\npage http://{record.get('address', '?')}/   daemon pid {record.get('pid', '?')}, {_since(record, now)}")
    return code


def _since(record: dict[str, Any], now: float) -> str:
    """How long a daemon has run."""
    began = record.get("started_at")
    return f"up for {seconds(now - began)}" if isinstance(began, float) else "up"


def _last_known(reason: str, saved: dict[str, Any] | None, *, as_json: bool) -> int:
    """What was known last; always the code for "unknown"."""
    if as_json:
        print(json.dumps({"answered": False, "exit_code": UNKNOWN, "reason": reason, "last": saved}))
        return UNKNOWN
    if not saved or not isinstance(saved.get("state"), dict):
        print(f"Unknown: {reason}. There is no earlier state to show; seawall up starts the daemon.", file=sys.stderr)
        return UNKNOWN
    now, at = current_clock().wall(), float(saved.get("saved_at", 0.0))
    if saved.get("stopped"):
        reason = f"the daemon was stopped at {clock_time(at)}"
    print(f"Unknown: {reason}. This is its last state, {seconds(max(0.0, now - at))} old ({clock_time(at)}):\n")
    print("\n".join(_lines(saved["state"], at)))
    return UNKNOWN


def _lines(state: dict[str, Any], now: float) -> Iterator[str]:
    """The state in lines: the sentence that says most, then a line for each dependency, worst first."""
    colour = wants_colour(sys.stdout)
    story = state.get("story") or {}
    head = f"{state.get('name', 'seawall')}: {state.get('status')}. {story.get('headline', '')}"
    yield paint(head.strip(), "bold", colour=colour)
    rows = state.get("rows") or []
    if not rows:
        return
    yield ""
    names, words = (max(len(safe_text(row[key], 40)) for row in rows) for key in ("id", "word"))
    for row in sorted(rows, key=lambda one: (-one["level"], one["id"])):
        style = _LEVELS[min(int(row["level"]), 3)]
        shape = paint(_SHAPES.get(row["shape"], "·"), style, colour=colour)
        text = "; ".join(part for part in _parts(row, now) if part)
        yield f"  {shape} {safe_text(row['id'], 40):<{names}}  {safe_text(row['word'], 40):<{words}}  {text}".rstrip()
    for override in state.get("overrides") or []:
        until = override.get("expires_at")
        left = f"for another {seconds(until - now)}" if until else "until released"
        yield ""
        held = "only observed" if override["state"] == "observe" else f"held {override['state']}"
        yield f"  ◇ {override['id']} is {held} by {override['owner']} {left}: {override['reason']}"


def _parts(row: dict[str, Any], now: float) -> Iterator[str]:
    """What there is to say of a dependency."""
    yield safe_text(row.get("reason") or "", 160).rstrip(".")
    if row["level"] and row.get("since"):
        yield f"since {clock_time(row['since'])}, {seconds(max(0.0, now - row['since']))} ago"
    upcoming = row.get("next")
    if upcoming:
        yield f"{upcoming['text']} in {seconds(max(0.0, upcoming['at'] - now))}"
    if row.get("error_rate"):
        yield f"{row['error_rate']:.0%} of calls fail"
    if row.get("p99") is not None:
        yield f"p99 {seconds(row['p99'])}"
