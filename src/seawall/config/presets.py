"""The numbers a preset starts from, and what a section of the file makes of them."""

from __future__ import annotations

from typing import Any

from seawall.pipeline.presets import PRESETS
from seawall.policies.base import PolicyBase
from seawall.policies.bulkhead import Bulkhead
from seawall.policies.circuit_breaker import CircuitBreaker
from seawall.policies.rate_limiter import RateLimiter
from seawall.policies.retry import Retry
from seawall.policies.timeout import Timeout

Numbers = dict[str, dict[str, Any]]


def starting_from(preset: str | None) -> Numbers:
    """The keys of each policy of a preset with their values, by the kind of the policy; nothing without a preset."""
    return {} if preset is None else {policy.kind: _keys(policy) for policy in PRESETS[preset]()}


def _keys(policy: PolicyBase) -> dict[str, Any]:
    """What the file would have to say to get this policy."""
    if isinstance(policy, Retry):
        options = policy.options
        return {
            "attempts": options.attempts,
            "backoff": type(options.backoff).__name__.lower(),
            **options.backoff.fields(),
            "max_time": options.max_time,
            "retry_after_cap": options.retry_after_cap,
        }
    if isinstance(policy, CircuitBreaker):
        numbers = policy.options
        return {
            "trip": list(numbers.trip),
            "recovery_timeout": numbers.recovery_timeout,
            "half_open_max_calls": numbers.half_open_max_calls,
            "success_threshold": numbers.success_threshold,
        }
    if isinstance(policy, RateLimiter):
        return {"rate": policy.rate, "burst": policy.burst, "max_wait": policy.max_wait}
    if isinstance(policy, Bulkhead):
        room = policy.options
        return {"max_concurrent": room.limit, "queue": room.queue, "max_wait": room.max_wait}
    if isinstance(policy, Timeout):
        return {"limit": policy.limit, "mode": policy.mode}
    raise TypeError(f"no section of the file describes a {policy.kind}")
