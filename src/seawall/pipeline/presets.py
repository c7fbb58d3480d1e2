"""Four ready pipelines, named after what they stand in front of. The numbers are part of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from seawall.machines.backoff import Exponential
from seawall.machines.trip import ConsecutiveFailures
from seawall.machines.trip_windows import FailureCount
from seawall.policies.bulkhead import Bulkhead
from seawall.policies.circuit_breaker import CircuitBreaker
from seawall.policies.rate_limiter import RateLimiter
from seawall.policies.retry import Retry
from seawall.policies.timeout import Timeout

if TYPE_CHECKING:
    from seawall.policies.base import PolicyBase


def storage() -> tuple[PolicyBase, ...]:
    """For disks and databases: 3 attempts; opens at 5 failures in 60 s for 30 s; 2 trials close it."""
    return (
        Retry(3, backoff=Exponential(base=0.1, multiplier=2.0, cap=10.0, jitter=0.25)),
        CircuitBreaker(trip=[FailureCount(5, window=60.0)], recovery_timeout=30.0, success_threshold=2),
    )


def network() -> tuple[PolicyBase, ...]:
    """For peers and HTTP: 4 attempts; opens at 5 failures in a row for 60 s; 100 at once; 30 s per attempt."""
    return (
        Retry(4, backoff=Exponential(base=0.1, multiplier=2.0, cap=10.0, jitter=(1.0, 1.1))),
        CircuitBreaker(trip=[ConsecutiveFailures(5)], recovery_timeout=60.0, success_threshold=3),
        Bulkhead(100, queue=50, max_wait=5.0),
        Timeout(30.0, mode="cooperative"),
    )


def service() -> tuple[PolicyBase, ...]:
    """For services that recover slowly: 4 attempts from 1 s up; opens at 5 failures in a row for 60 s."""
    return (
        Retry(4, backoff=Exponential(base=1.0, multiplier=2.0, cap=10.0, jitter=(1.1, 2.0))),
        CircuitBreaker(trip=[ConsecutiveFailures(5)], recovery_timeout=60.0, success_threshold=1),
    )


def agent() -> tuple[PolicyBase, ...]:
    """For model endpoints: 3 attempts; opens at 5 failures in a row for 60 s; 60 calls a minute, bursts of 10."""
    return (
        Retry(3, backoff=Exponential(base=0.1, multiplier=2.0, cap=10.0, jitter=0.25)),
        CircuitBreaker(trip=[ConsecutiveFailures(5)], recovery_timeout=60.0, success_threshold=1),
        RateLimiter("60/minute", burst=10),
    )


PRESETS: dict[str, Callable[[], tuple[PolicyBase, ...]]] = {
    "storage": storage,
    "network": network,
    "service": service,
    "agent": agent,
}
