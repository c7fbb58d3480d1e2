"""What a circuit breaker shows of itself: its snapshot, and the reason of its state in words."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

from seawall.events.words import causes, why

if TYPE_CHECKING:
    from seawall.machines.breaker import Breaker
    from seawall.machines.breaker_options import BreakerOptions, Tally

#: Worse states come later; those held by hand stand beside what they do.
_ORDER = ("closed", "observe", "forced-closed", "disabled", "half-open", "open", "forced-open")
_REASONS = {
    "trial_failed": "a trial call failed",
    "lease_ended": "a trial call did not return",
    "half_open_ended": "trial calls did not settle it in time",
    "manual": "by hand",
}
_WORST = 10  # keys shown


def badness(word: str) -> int:
    """How bad a state is."""
    return _ORDER.index(word) if word in _ORDER else 0


def reason_of(machine: Breaker, word: str) -> str:
    """Why the circuit is in its state, in words; empty when it is simply closed."""
    if machine.forced is not None and (word.startswith("forced") or word in {"disabled", "observe"}):
        return f"by {machine.forced.owner}: {machine.forced.reason}"
    if machine.state == "closed":
        return ""
    if machine.evidence.get("rule"):
        return why(machine.evidence)
    found = machine.evidence.get("causes")
    reason = _REASONS.get(machine.reason, "")
    return f"{reason} ({causes(found)})" if found and reason else reason


def counters(tally: Tally) -> dict[str, int]:
    """The counts of a policy by their dotted names."""
    return {
        **{f"requests.{what}": count for what, count in tally.counts.items()},
        "failures": tally.counts["failure"],
        "stale_results": tally.stale_results,
        **{f"state_changes.{a}.{b}": n for (a, b), n in tally.transitions.items()},
    }


def details(machine: Breaker, now: float, wall: float) -> dict[str, Any]:
    """What a person wants to read of one circuit."""
    forced, word = machine.forced, machine.word(now)
    return {
        "reason": reason_of(machine, word),
        "since": wall - (now - machine.opened_at) if machine.state != "closed" else None,
        "evidence": dict(machine.evidence),
        "below": machine.below(now),
        "forced": None
        if forced is None
        else {
            "state": forced.state,
            "owner": forced.owner,
            "reason": forced.reason,
            "expires_at": None if forced.until is None else wall + (forced.until - now),
        },
    }


def options(chosen: BreakerOptions, rules: Sequence[str]) -> dict[str, Any]:
    """The settings in force, as plain data; what is off is left out."""
    shown: dict[str, Any] = {
        "trip": list(rules),
        "recovery_timeout": chosen.recovery_timeout,
        "half_open_max_calls": chosen.half_open_max_calls,
        "success_threshold": chosen.success_threshold,
        "lease": chosen.lease,
        "max_open": chosen.max_open,
    }
    if chosen.growth > 1.0:
        shown |= {"growth": chosen.growth, "max_recovery_timeout": chosen.max_recovery_timeout}
    if chosen.half_open == "rate":
        del shown["success_threshold"]
        shown |= {
            "half_open": "rate",
            "half_open_trials": chosen.half_open_trials,
            "half_open_failure_rate": chosen.half_open_failure_rate,
        }
    for name in ("recovery_jitter", "max_half_open", "ramp", "shadow"):
        if getattr(chosen, name):
            shown[name] = getattr(chosen, name)
    return shown


def worst(machines: Sequence[tuple[Hashable, Breaker]], now: float) -> list[dict[str, Any]]:
    """The few keys in the worst states, as plain data; those that are closed are not among them."""
    bad = [(machine.word(now), machine) for _, machine in machines]
    bad = [(word, machine) for word, machine in bad if word != "closed"]
    bad.sort(key=lambda pair: (-badness(pair[0]), pair[1].name))
    return [
        {
            "name": machine.name,
            "state": word,
            "retry_after": machine.retry_after(now),
            "reason": reason_of(machine, word),
        }
        for word, machine in bad[:_WORST]
    ]
