"""A pipeline in words: what stands where, how long a call can take and how many calls it can cause."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from seawall.events.words import seconds
from seawall.policies.bulkhead import Bulkhead
from seawall.policies.circuit_breaker import CircuitBreaker
from seawall.policies.fallback import Fallback
from seawall.policies.rate_limiter import RateLimiter
from seawall.policies.retry import Retry
from seawall.policies.stale_cache import StaleCache
from seawall.policies.timeout import Deadline, Timeout

if TYPE_CHECKING:
    from seawall.policies.base import PolicyBase


def explain(name: str, policies: Sequence[PolicyBase]) -> str:
    """Lines for people: the policies, outermost first, then the worst case."""
    lines = [f'Pipeline "{name}", outermost first:']
    lines += [f"  {number}. {_line(policy)}" for number, policy in enumerate(policies, 1)]
    longest, calls = worst_case(policies)
    time = f"at most {seconds(longest)}" if math.isfinite(longest) else "without limit: add a Timeout or a Deadline"
    lines.append(f"Worst case: {calls} call{'s' if calls != 1 else ''} of the dependency; time {time}.")
    if any(
        policy.kind == "deadline" or (type(policy) is Timeout and policy.mode == "cooperative") for policy in policies
    ):
        lines.append("Plain functions are not cut short: they can be late by what they do without asking for the time.")
    return "\n".join(lines)


def worst_case(policies: Sequence[PolicyBase]) -> tuple[float, int]:
    """(seconds, calls of the dependency) that one logical call can cause; infinite seconds when nothing bounds them."""
    time, calls = math.inf, 1
    for policy in reversed(policies):
        if isinstance(policy, Timeout):
            time = min(time, policy.limit)
        elif isinstance(policy, Bulkhead):
            time += math.inf if policy.options.max_wait is None else policy.options.max_wait
        elif isinstance(policy, RateLimiter):
            time += policy.max_wait
        elif isinstance(policy, Retry):
            options = policy.options
            pause = max(options.backoff.cap, options.retry_after_cap * 1.5)
            time = time * options.attempts + pause * (options.attempts - 1)
            calls *= options.attempts
            if options.max_time is not None:
                time = min(time, options.max_time + (time - pause * (options.attempts - 1)) / options.attempts)
    return time, calls


def _timeout(policy: Timeout) -> str:
    """A timeout in a few words."""
    limits = policy.stream_limits
    parts = [f"{seconds(policy.limit)}: per attempt"] if math.isfinite(policy.limit) else []
    if policy.share_floor is not None:
        parts.append("an equal share of what the deadline leaves")
    parts += [
        f"{name} {seconds(value)}"
        for name, value in (("first item", limits.first_item), ("silence", limits.idle))
        if value is not None
    ]
    if limits.min_rate is not None:
        parts.append(f"at least {limits.min_rate:g} items/s")
    mode = f", {policy.mode} for plain functions" if policy.mode else ""
    return f"Timeout {', '.join(parts)}{mode}"


def _retry(policy: Retry) -> str:
    """A retry in a few words."""
    budget = "without a budget" if policy.budget is None else f"within {policy.budget!r}"
    return f"Retry up to {policy.options.attempts} attempts, {budget}: {policy.options.backoff!r}"


def _breaker(policy: CircuitBreaker) -> str:
    """A circuit breaker in a few words."""
    each = ", one for each key" if policy.key is not None else ""
    return f"CircuitBreaker{each}, now {policy.state}: opens on {', or '.join(policy.rules)}"


def _bulkhead(policy: Bulkhead) -> str:
    """A bulkhead in a few words."""
    options = policy.options
    wait = "the deadline" if options.max_wait is None else seconds(options.max_wait)
    return f"Bulkhead {options.limit} at once, {options.queue} waiting up to {wait}"


def _cache(policy: StaleCache) -> str:
    """A stale cache in a few words."""
    fresh, stale = seconds(policy.options.fresh), seconds(policy.options.stale)
    return f"StaleCache: fresh for {fresh}, in place of a failure up to {stale} old"


_LINES: dict[type, Callable[[Any], str]] = {
    Fallback: lambda policy: f"Fallback ({', '.join(policy.sources)}): answers in place of a failed or refused call",
    StaleCache: _cache,
    Deadline: lambda policy: f"Deadline {seconds(policy.limit)}: for all attempts, waits and queues together",
    Retry: _retry,
    CircuitBreaker: _breaker,
    RateLimiter: lambda policy: (
        f"RateLimiter {policy.rate}, burst {policy.burst:g}, waiting up to {seconds(policy.max_wait)}"
    ),
    Bulkhead: _bulkhead,
    Timeout: _timeout,
}


def slow_limit(policies: Sequence[PolicyBase]) -> tuple[float, str] | None:
    """Seconds above which an attempt that succeeds is slow all the same, and why; None if nothing says.

    The lowest threshold of the circuits' `SlowRate` rules, or half of the timeout per attempt, whichever is less.
    """
    found = [
        (rule.slower_than, "slow_rate")
        for policy in policies
        if isinstance(policy, CircuitBreaker)
        for rule in policy.options.trip
        if hasattr(rule, "slower_than")  # not its class, which only those load who use it
    ]
    timeouts = [policy.limit for policy in policies if type(policy) is Timeout and math.isfinite(policy.limit)]
    if timeouts:
        found.append((timeouts[-1] / 2, "timeout"))
    return min(found, default=None)


def _line(policy: PolicyBase) -> str:
    """One policy in a few words."""
    for kind in type(policy).__mro__:
        if kind in _LINES:
            return _LINES[kind](policy)
    return repr(policy)
