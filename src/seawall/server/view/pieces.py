"""One check, process or policy as people see it: a shape, a word, a level, a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from seawall.core.snapshot import PolicySnapshot
from seawall.events.words import seconds
from seawall.health.monitor import CheckState
from seawall.machines.health import Status
from seawall.server.parts import Process

# NB: a circuit that somebody holds open is no defect: it is what somebody wants, so it never hides one.

#: Levels: fine, worth a look, broken, broken beyond what repairs itself.
FINE, NOTICE, BROKEN, WORST = range(4)

#: What lies below what: the lower one is the likelier cause when both are broken at once.
HOST, PROCESS, CHECK, CIRCUIT, LIMIT = range(5)

_CIRCUIT = {
    "closed": ("disc", FINE),
    "half-open": ("half", NOTICE),
    "open": ("ring", BROKEN),
    "forced-open": ("diamond", NOTICE),
    "forced-closed": ("diamond", NOTICE),
    "disabled": ("slash", NOTICE),
    "observe": ("slash", FINE),
}
_CHECK = {
    Status.HEALTHY: ("disc", FINE),
    Status.DEGRADED: ("half", NOTICE),
    Status.UNHEALTHY: ("cross", BROKEN),
    Status.CRITICAL: ("cross", WORST),
    Status.UNKNOWN: ("dots", NOTICE),
}
_PROCESS = {
    "running": ("disc", FINE, "running"),
    "starting": ("half", NOTICE, "starting"),
    "backing-off": ("cross", BROKEN, "down"),
    "gave-up": ("cross", WORST, "gave up"),
    "stopped": ("slash", NOTICE, "stopped"),
}


@dataclass(slots=True)
class Piece:
    """One part of a dependency. `since` and `at` are wall seconds; `facts` are pairs of label and value for people."""

    kind: str
    name: str
    rank: int
    shape: str
    word: str
    level: int
    text: str = ""
    since: float | None = None
    next_text: str = ""
    next_at: float | None = None
    override: dict[str, Any] | None = None
    facts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ended_before(self) -> bool:
        """True for a process that is being started again."""
        return self.kind == "process" and self.word == "starting" and bool(self.text)

    def as_json(self) -> dict[str, Any]:
        """As the page gets it."""
        return {
            "kind": self.kind.replace("_", " "),
            "name": self.name,
            "shape": self.shape,
            "word": self.word,
            "level": self.level,
            "text": self.text,
            "since": self.since,
            "facts": self.facts,
        }


def of_check(check: CheckState) -> Piece:
    """A health check."""
    shape, level = _CHECK[check.status]
    if check.status is Status.UNHEALTHY and check.critical:
        level = WORST
    pending = check.last is None
    facts = [("looked at every", seconds(check.interval)), ("critical", "yes" if check.critical else "no")]
    if check.last is not None:
        facts.insert(0, ("took", seconds(check.last.response_time_ms / 1000)))
        facts.extend((key.replace("_", " "), _value(key, value)) for key, value in check.last.details.items())
    if check.success_rate is not None:
        facts.append(("good in the last hour", f"{check.success_rate:.1%}"))
    text = check.reason
    if check.status is Status.HEALTHY and check.failing and check.last is not None:
        text = f"last look: {check.last.error_message} ({check.failing} in a row so far)"
    return Piece(
        kind="check",
        name=check.name,
        rank=HOST if check.kind in {"disk", "memory"} else CHECK,
        shape=shape,
        word="not looked at yet" if pending else str(check.status),
        level=FINE if pending else level,
        text="" if pending else text,
        since=check.since,
        facts=facts,
    )


def of_process(process: Process, wall: float) -> Piece:
    """A supervised process."""
    shape, level, word = _PROCESS.get(process.state, ("dots", NOTICE, process.state))
    text = process.last_exit if level != FINE else ""
    facts = [("pid", "none" if process.pid is None else str(process.pid)), ("restarts", str(process.restarts))]
    if process.last_exit:
        facts.append(("last ended", process.last_exit))
    waits = process.restart_in is not None and level >= BROKEN
    return Piece(
        kind="process",
        name=process.name,
        rank=PROCESS,
        shape=shape,
        word=word,
        level=level,
        text=text,
        since=process.since,
        next_text="next start" if waits else "",
        next_at=wall + (process.restart_in or 0.0) if waits else None,
        facts=facts,
    )


def of_policy(policy: PolicySnapshot, taken_at: float) -> Piece:
    """A policy of any kind."""
    if policy.kind == "circuit_breaker":
        return _circuit(policy, taken_at)
    gauges = policy.gauges
    piece = Piece(policy.kind, policy.name, LIMIT, "disc", "in force", FINE, facts=_counts(policy))
    if policy.kind == "bulkhead":
        limit, used, queued = (int(gauges.get(key, 0)) for key in ("limit", "in_flight", "queued"))
        piece.word = f"{used} of {limit} slots in use" + (f", {queued} waiting" if queued else "")
        if limit and used >= limit:
            piece.level, piece.shape = NOTICE, "half"
            piece.text = f"all {limit} slots are in use, the oldest call for {seconds(gauges.get('oldest', 0))}"
    elif policy.kind == "rate_limiter":
        piece.word = f"{gauges.get('tokens', 0):.0f} tokens left"
    options = policy.details.get("options", policy.details)
    if isinstance(options, Mapping):
        piece.facts += [(str(key).replace("_", " "), _value(str(key), value)) for key, value in options.items()]
    return piece


def _circuit(policy: PolicySnapshot, taken_at: float) -> Piece:
    """A circuit breaker."""
    shape, level = _CIRCUIT.get(policy.state, ("dots", NOTICE))
    details = policy.details
    forced = details.get("forced")
    override = None
    if isinstance(forced, Mapping):
        override = {key: forced.get(key) for key in ("state", "owner", "reason", "expires_at")}
        level = max(level, NOTICE)  # built to only watch is as it should be; held to it by hand is worth a look
    retry_after = float(policy.gauges.get("retry_after", 0))
    waits = policy.state == "open" and retry_after > 0
    facts = _counts(policy)
    workers = details.get("workers")
    if isinstance(workers, Mapping) and sum(workers.values()) > 1:
        facts.append(("workers", ", ".join(f"{count} {state}" for state, count in workers.items() if count)))
    options = details.get("options")
    if isinstance(options, Mapping):
        facts += [(str(key).replace("_", " "), _value(str(key), value)) for key, value in options.items()]
    return Piece(
        kind="circuit",
        name=policy.name,
        rank=CIRCUIT,
        shape=shape,
        word="observed" if policy.state == "observe" else policy.state.replace("forced-", "forced "),
        level=level,
        text=str(details.get("reason") or ""),
        since=details.get("since"),
        next_text="next trial call" if waits else "",
        next_at=taken_at + retry_after if waits else None,
        override=override,
        facts=facts,
    )


def _counts(policy: PolicySnapshot) -> list[tuple[str, str]]:
    """The counters of a policy as one line of facts each; what never happened is left out."""
    return [
        (key.replace(".", " ").replace("_", " "), f"{count:,}")
        for key, count in policy.counters.items()
        if count and not key.startswith("state_changes")
    ]


def _value(key: str, value: object) -> str:
    """One detail in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    if isinstance(value, float) and ("ratio" in key):
        return f"{value:.1%}"
    if isinstance(value, int) and key.endswith("bytes"):
        return f"{value / 1e9:.3g} GB" if value >= 1e9 else f"{value / 1e6:.3g} MB"
    if isinstance(value, float) and key in {"recovery_timeout", "lease", "limit", "max_wait", "max_time", "window"}:
        return seconds(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
