"""Events in words: one sentence per kind, the same in the log, the terminal, the page and the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def seconds(value: float | None) -> str:
    """A duration as people write it: "0.25 s", "28 s", "4 min", "1.5 h"."""
    if value is None:
        return "an unknown time"
    if value < 0.0995:
        return f"{value * 1000:.0f} ms"
    if value < 9.95:
        return f"{value:.2g} s"
    if value < 120:
        return f"{value:.0f} s"
    if value < 7200:
        return f"{value / 60:.3g} min"
    return f"{value / 3600:.3g} h"


def causes(counts: Mapping[str, int]) -> str:
    """Counted causes, most frequent first: "5 × ConnectError, 1 × 503"."""
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} × {cause}" for cause, count in ordered)


def why(evidence: Mapping[str, Any]) -> str:
    """The evidence of a trip as a clause."""
    rule = evidence.get("rule")
    found = evidence.get("causes")
    tail = f" ({causes(found)})" if found else ""
    if rule == "consecutive_failures":
        count = evidence["failures"]
        return f"{count} calls in a row failed{tail}" if count > 1 else f"a call failed{tail}"
    if rule == "failure_count":
        return f"{evidence['failures']} calls failed within {seconds(evidence['window'])}{tail}"
    if rule in {"failure_rate", "slow_rate"}:
        over = f" in {seconds(evidence['window'])}" if evidence.get("window") else ""
        word, count = ("failed", evidence["failures"]) if rule == "failure_rate" else ("were slow", evidence["slow"])
        return f"{count} of {evidence['calls']} calls {word}{over}{tail}"
    return ""


def _opened(e: Any) -> str:
    """The sentence for CircuitOpened."""
    reasons = {
        "tripped": why(e.evidence) or "its trip rule was met",
        "trial_failed": f"{_trials(e.evidence)} failed{_because(e.evidence)}",
        "lease_ended": "a trial call did not return within its lease",
        "half_open_ended": "its trial calls did not settle it in time",
        "manual": "opened by hand",
    }
    return f'Circuit "{e.name}" opened: {reasons.get(e.reason, e.reason)}. Next trial in {seconds(e.retry_after)}.'


def _trials(evidence: Mapping[str, Any]) -> str:
    """The trial calls that opened a circuit again: one, or so many of those judged together."""
    calls = evidence.get("calls")
    if not calls:
        return "a trial call"
    return f"{evidence.get('failures', 0) + evidence.get('slow', 0)} of {calls} trial calls"


def _because(evidence: Mapping[str, Any]) -> str:
    """The causes of a failed trial in brackets."""
    return f" ({causes(evidence['causes'])})" if evidence.get("causes") else ""


def _refusal(e: Any) -> str:
    """The reason of a refusal as a clause."""
    hint = "" if e.retry_after is None else f" for another {seconds(e.retry_after)}"
    reasons = {
        "open": f"circuit open{hint}",
        "trials_busy": "circuit half-open and all trial calls are out",
        "ramp": f"circuit closed again and still letting calls through by degrees{hint}",
        "forced_open": f"circuit forced open{hint}",
        "empty": f"rate limit reached{hint}",
        "throttled": f"the dependency asked for a pause{hint}",
        "full": "all slots are in use and nobody may wait",
        "queue_full": "all slots and all waiting places are taken",
        "waited": "no slot became free within the maximum wait",
        "deadline": "the deadline had passed",
        "shutting_down": "the program is shutting down",
        "workers": "all worker threads for timeouts are taken",
        "unreachable": "the wait would be longer than allowed",
        "reentered": "a signal handler asked in the middle of a decision",
    }
    return str(reasons.get(e.reason, e.reason))


def _forced(e: Any) -> str:
    """The sentence for CircuitForced."""
    until = "until released" if e.expires_in is None else f"for {seconds(e.expires_in)}"
    state = {"disabled": "disabled", "observe": "observed only"}.get(e.state, f"forced {e.state}")
    return f'Circuit "{e.name}" {state} {until} by {e.owner}: {e.reason}.'


def _limit(e: Any) -> str:
    """What a slow call was slower than."""
    return "half of its timeout, a limit" if e.rule == "timeout" else "the slow-rate threshold"


_SENTENCES: dict[str, Any] = {
    "CircuitOpened": _opened,
    "CircuitHalfOpened": lambda e: (
        f'Circuit "{e.name}" half-open: '
        f"{'forced by hand' if e.reason == 'manual' else 'the open period is over'}; "
        f"up to {e.max_calls} trial call{'s' if e.max_calls != 1 else ''} at once."
    ),
    "CircuitClosed": lambda e: (
        f'Circuit "{e.name}" closed: '
        f"{'reset by hand' if e.reason == 'manual' else 'trial calls succeeded'}, after {seconds(e.open_for)}."
    ),
    "CircuitForced": _forced,
    "CircuitReleased": lambda e: f'Circuit "{e.name}" released ({e.reason}); it is {e.state} now. Pinned by {e.owner}.',
    "CallRejected": lambda e: f'Call to "{e.name}" rejected: {_refusal(e)}; nothing was sent.',
    "CallShadowed": lambda e: f'Call to "{e.name}" would have been rejected: {_refusal(e)}; in shadow mode it went on.',
    "RetryScheduled": lambda e: (
        f'Attempt {e.attempt} of "{e.name}" failed ({e.cause}); the next one starts in {seconds(e.delay)}.'
    ),
    "RetryGaveUp": lambda e: (
        f'"{e.name}" gave up after {e.attempts} attempt{"s" if e.attempts != 1 else ""} '
        f"({e.reason.replace('_', ' ')}): {e.cause}."
    ),
    "CallTimedOut": lambda e: f'Call to "{e.name}" cut short by its {e.policy} of {seconds(e.limit)}.',
    "CallFailed": lambda e: f'Call to "{e.name}" failed after {seconds(e.duration)}: {e.cause}.',
    "CallSlow": lambda e: (
        f'Call to "{e.name}" succeeded and was slow: {seconds(e.duration)}, over {_limit(e)} of {seconds(e.limit)}.'
    ),
    "FallbackUsed": lambda e: f'"{e.name}" answered by its fallback ({e.source}) because of {e.cause}.',
    "OverrideSet": lambda e: (
        f'"{e.name}" overridden {"until lifted" if e.expires_in is None else "for " + seconds(e.expires_in)} '
        f"by {e.owner}: {e.reason} ({e.changes})."
    ),
    "OverrideEnded": lambda e: f'Override of "{e.name}" by {e.owner} ended ({e.reason}).',
    "CheckChanged": lambda e: f'Check "{e.name}" went from {e.was} to {e.now}{": " + e.reason if e.reason else ""}.',
    "ProcessStarted": lambda e: (
        f'Process "{e.name}" started with pid {e.pid}{f", attempt {e.attempt}" if e.attempt > 1 else ""}.'
    ),
    "ProcessExited": lambda e: (
        (
            f'Process "{e.name}" (pid {e.pid}) ended after {seconds(e.ran_for)}: {e.how}. '
            if e.pid
            else f'Process "{e.name}" did not start: {e.how}. '
        )
        + ("It is not restarted." if e.restart_in is None else f"Restart in {seconds(e.restart_in)}.")
    ),
    "ProgramLinked": lambda e: f'Program "{e.name}" (pid {e.pid}) linked to the daemon.',
    "ProgramLost": lambda e: f'Program "{e.name}" (pid {e.pid}) lost its link to the daemon: {e.reason}.',
}


def describe(event: Any) -> str:
    """One event as a sentence or two for people."""
    return str(_SENTENCES[type(event).__name__](event))
