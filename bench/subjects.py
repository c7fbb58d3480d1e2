"""What of seawall is measured: the same few policies and stacks for every question."""

from __future__ import annotations

import inspect
from itertools import count
from typing import TYPE_CHECKING, Any

from seawall import (
    Bulkhead,
    CircuitBreaker,
    Deadline,
    FailureRate,
    Fallback,
    Pipeline,
    RateLimiter,
    Retry,
    SlowRate,
    Timeout,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.policies.base import PolicyBase

# So high that no loop reaches it: what is measured is leave to go, not refusals.
RATE = "1000000000/second"
NOT_YET = "not there yet"
_number = count(1)


def can_be_bare() -> bool:
    """Whether this seawall has pipelines that count nothing."""
    return "measure" in inspect.signature(Pipeline.__init__).parameters


def can_be_asked() -> bool:
    """Whether this seawall's circuits answer the boolean question."""
    return hasattr(CircuitBreaker, "allows")


def pipeline(*policies: PolicyBase, measure: bool = True) -> Pipeline:
    """A pipeline of its own, in no registry; with `measure=False` one that neither times nor counts successes."""
    options: dict[str, Any] = {} if measure else {"measure": False}
    return Pipeline(f"bench-{next(_number)}", *policies, registry=None, **options)


def windowed() -> CircuitBreaker:
    """The breaker of the targets: a window of 100 calls, failures and slow calls judged."""
    return CircuitBreaker(trip=[FailureRate(calls=100), SlowRate(calls=100, slower_than=1.0)])


def stack() -> tuple[PolicyBase, ...]:
    """The full stack of the targets."""
    return Retry(3), windowed(), RateLimiter(RATE), Bulkhead(100)


def timed_stack() -> tuple[PolicyBase, ...]:
    """The full stack with a deadline over all and a timeout for each attempt."""
    return (Deadline(60.0), *stack(), Timeout(30.0))


SINGLE: dict[str, tuple[str, Callable[[], PolicyBase]]] = {
    "breaker": ("breaker, window of 100 with slow-call timing", windowed),
    "default": ("breaker, as it is by default", CircuitBreaker),
    "limiter": ("limiter", lambda: RateLimiter(RATE)),
    "bulkhead": ("bulkhead", lambda: Bulkhead(100)),
    "retry": ("retry, first try succeeds", lambda: Retry(3)),
    "fallback": ("fallback, not needed", lambda: Fallback(0)),
    "timeout": ("timeout (sync: cooperative)", lambda: Timeout(30.0, mode="cooperative")),
}
