"""A pipeline in words: what stands where, how long a call can take and how many calls it can cause."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seawall.events.words import seconds
from seawall.machines.trip import SlowRate
from seawall.policies.bulkhead import Bulkhead
from seawall.policies.circuit_breaker import CircuitBreaker
from seawall.policies.fallback import Fallback
from seawall.policies.rate_limiter import RateLimiter
from seawall.policies.retry import Retry
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


def slow_limit(policies: Sequence[PolicyBase]) -> tuple[float, str] | None:
    """Seconds above which an attempt that succeeds is slow all the same, and why; None if nothing says.

    The lowest threshold of the circuits' `SlowRate` rules, or half of the timeout per attempt, whichever is less.
    """
    found = [
        (rule.slower_than, "slow_rate")
        for policy in policies
        if isinstance(policy, CircuitBreaker)
        for rule in policy.options.trip
        if isinstance(rule, SlowRate)
    ]
    timeouts = [policy.limit for policy in policies if type(policy) is Timeout and math.isfinite(policy.limit)]
    if timeouts:
        found.append((timeouts[-1] / 2, "timeout"))
    return min(found, default=None)


def _line(policy: PolicyBase) -> str:
    """One policy in a few words."""
    if isinstance(policy, Fallback):
        return f"Fallback ({', '.join(policy.sources)}): answers in place of a failed or refused call"
    if isinstance(policy, Deadline):
        return f"Deadline {seconds(policy.limit)}: for all attempts, waits and queues together"
    if isinstance(policy, Timeout):
        mode = f", {policy.mode} for plain functions" if policy.mode else ""
        return f"Timeout {seconds(policy.limit)}: per attempt{mode}"
    if isinstance(policy, Retry):
        return f"Retry up to {policy.options.attempts} attempts: {policy.options.backoff!r}"
    if isinstance(policy, CircuitBreaker):
        each = ", one for each key" if policy.key is not None else ""
        return f"CircuitBreaker{each}, now {policy.state}: opens on {', or '.join(policy.rules)}"
    if isinstance(policy, RateLimiter):
        return f"RateLimiter {policy.rate}, burst {policy.burst:g}, waiting up to {seconds(policy.max_wait)}"
    if isinstance(policy, Bulkhead):
        options = policy.options
        wait = "the deadline" if options.max_wait is None else seconds(options.max_wait)
        return f"Bulkhead {options.limit} at once, {options.queue} waiting up to {wait}"
    return repr(policy)
