"""Today's libraries around the protected function: one maker for each library and pattern.

A library is loaded when it is used, by name: type checkers run where none of them is installed.

Settings are those of the stack they are compared with, as near as each library comes: three attempts, a breaker, a rate
that is never reached, a hundred slots, and for the async stacks a timeout of 30 s.
"""

from __future__ import annotations

import asyncio
import threading
from importlib import import_module as load
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

RATE = 1_000_000_000
SLOTS = 100
Function = Any  # sync or async: the libraries find out


def breaker_pybreaker(fn: Function) -> Function:
    """pybreaker: consecutive failures."""
    pybreaker = load("pybreaker")
    return pybreaker.CircuitBreaker()(fn)


def breaker_circuitbreaker(fn: Function) -> Function:
    """circuitbreaker: consecutive failures."""
    circuitbreaker = load("circuitbreaker")
    return circuitbreaker.CircuitBreaker(name=f"bench-{id(fn)}")(fn)


def breaker_purgatory(fn: Function) -> Function:
    """purgatory: consecutive failures."""
    purgatory = load("purgatory")
    return purgatory.AsyncCircuitBreakerFactory()("bench")(fn)


def breaker_resilix(fn: Function) -> Function:
    """resilix: consecutive failures."""
    resilix = load("resilix")
    return resilix.CircuitBreaker()(fn)


def breaker_crashbytes(fn: Function) -> Function:
    """crashbytes-resilience: consecutive failures."""
    library = load("crashbytes_resilience")
    return library.circuit_breaker()(fn)


def breaker_nopanic(fn: Function) -> Function:
    """nopanic: a failure rate over time, and slow calls."""
    nopanic = load("nopanic")
    return nopanic.circuit_breaker(slow_call_duration=1.0)(fn)


def breaker_pyresilience(fn: Function) -> Function:
    """pyresilience: a window of 100, and slow calls."""
    library = load("pyresilience")
    config = library.CircuitBreakerConfig(sliding_window_size=100, slow_call_duration=1.0)
    return library.resilient(circuit_breaker=config)(fn)


def retry_tenacity(fn: Function) -> Function:
    """tenacity: three attempts, backoff with jitter."""
    tenacity = load("tenacity")
    return tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_exponential_jitter(), reraise=True)(
        fn
    )


def retry_stamina(fn: Function) -> Function:
    """stamina: three attempts."""
    stamina = load("stamina")
    return stamina.retry(on=Exception, attempts=3)(fn)


def retry_nopanic(fn: Function) -> Function:
    """nopanic: three attempts."""
    nopanic = load("nopanic")
    return nopanic.retry(attempts=3)(fn)


def retry_resilix(fn: Function) -> Function:
    """resilix: three attempts."""
    resilix = load("resilix")
    return resilix.protect.when(Exception, retry=3)(fn)


def retry_crashbytes(fn: Function) -> Function:
    """crashbytes-resilience: three attempts."""
    library = load("crashbytes_resilience")
    return library.retry(max_attempts=3)(fn)


def retry_pyresilience(fn: Function) -> Function:
    """pyresilience: three attempts."""
    library = load("pyresilience")
    return library.resilient(retry=library.RetryConfig(max_attempts=3))(fn)


def limiter_limits(fn: Callable[[int], int]) -> Callable[[int], int]:
    """limits: a fixed window in memory, and a function around it, as it has no decorator of its own."""
    limits = load("limits")
    hit = limits.strategies.FixedWindowRateLimiter(limits.storage.MemoryStorage()).hit
    item = limits.RateLimitItemPerSecond(RATE)

    def limited(x: int) -> int:
        if not hit(item, "key"):
            raise RuntimeError("limited")
        return fn(x)

    return limited


def limiter_aiolimiter(fn: Function) -> Function:
    """aiolimiter: a leaky bucket."""
    aiolimiter = load("aiolimiter")
    limiter = aiolimiter.AsyncLimiter(RATE, 1)

    async def limited(x: int) -> int:
        async with limiter:
            value: int = await fn(x)
            return value

    return limited


def limiter_nopanic(fn: Function) -> Function:
    """nopanic: a token bucket."""
    nopanic = load("nopanic")
    return nopanic.rate_limit(RATE, 1.0)(fn)


def limiter_crashbytes(fn: Function) -> Function:
    """crashbytes-resilience: a token bucket."""
    library = load("crashbytes_resilience")
    return library.rate_limiter(RATE, 1.0)(fn)


def limiter_pyresilience(fn: Function) -> Function:
    """pyresilience: a token bucket."""
    library = load("pyresilience")
    return library.resilient(rate_limiter=library.RateLimiterConfig(max_calls=RATE, period=1.0))(fn)


def stack_nopanic(fn: Function, *, timeout: bool) -> Function:
    """nopanic, all of it."""
    nopanic = load("nopanic")
    parts = [
        nopanic.retry(attempts=3),
        nopanic.circuit_breaker(slow_call_duration=1.0),
        nopanic.rate_limit(RATE, 1.0),
        nopanic.bulkhead(SLOTS, max_wait=0),
    ]
    return nopanic.compose(*parts, *([nopanic.timeout(30.0)] if timeout else []))(fn)


def stack_pyresilience(fn: Function, *, timeout: bool) -> Function:
    """pyresilience, all of it, with a window of 100."""
    library = load("pyresilience")
    return library.resilient(
        retry=library.RetryConfig(max_attempts=3),
        circuit_breaker=library.CircuitBreakerConfig(sliding_window_size=100, slow_call_duration=1.0),
        rate_limiter=library.RateLimiterConfig(max_calls=RATE, period=1.0),
        bulkhead=library.BulkheadConfig(max_concurrent=SLOTS),
        timeout=library.TimeoutConfig(seconds=30) if timeout else None,
    )(fn)


def stack_crashbytes(fn: Function, *, timeout: bool) -> Function:
    """crashbytes-resilience, all of it."""
    library = load("crashbytes_resilience")
    parts = [library.bulkhead(SLOTS), library.rate_limiter(RATE, 1.0), library.circuit_breaker(), library.retry()]
    return library.pipeline(*([library.timeout(30)] if timeout else []), *parts)(fn)


def stack_resilix(fn: Function, *, timeout: bool) -> Function:
    """resilix, all of it: it has no rate limiter."""
    resilix = load("resilix")
    protected = resilix.protect.when(Exception, retry=3)(resilix.CircuitBreaker()(fn))
    protected = resilix.protect.bulkhead(SLOTS, wait=False)(protected)
    return resilix.protect.timeout(30)(protected) if timeout else protected


def stack_popular(fn: Callable[[int], int], *, timeout: bool) -> Callable[[int], int]:
    """tenacity, pybreaker, limits and a semaphore: what many programs put together themselves. No timeout."""
    assert not timeout
    slots = threading.BoundedSemaphore(SLOTS)

    def slotted(x: int) -> int:
        if not slots.acquire(blocking=False):
            raise RuntimeError("full")
        try:
            return fn(x)
        finally:
            slots.release()

    protected: Callable[[int], int] = retry_tenacity(breaker_pybreaker(limiter_limits(slotted)))
    return protected


def stack_async(fn: Function, *, timeout: bool) -> Function:
    """stamina, purgatory, aiolimiter, a semaphore and asyncio's timeout: the same for async programs."""
    assert timeout
    aiolimiter = load("aiolimiter")
    limiter, slots = aiolimiter.AsyncLimiter(RATE, 1), asyncio.Semaphore(SLOTS)

    async def inner(x: int) -> int:
        async with limiter, slots, asyncio.timeout(30):
            value: int = await fn(x)
            return value

    return retry_stamina(breaker_purgatory(inner))
