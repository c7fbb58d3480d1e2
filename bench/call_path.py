"""What protection costs a call that succeeds, as a ratio to the bare call.

One process, garbage collection off, candidates interleaved, median of 9 rounds. Only the ratios of one run mean
anything: the machine is shared, and so is its clock.

    python bench/call_path.py            # a table
    python bench/call_path.py --json     # for machines
"""

from __future__ import annotations

import asyncio
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from seawall import Bulkhead, CircuitBreaker, Pipeline, RateLimiter, Retry

if TYPE_CHECKING:
    from seawall.policies.base import PolicyBase

ROUNDS = 9
CALLS = 2_000


def op(x: int) -> int:
    """The protected function."""
    return x


async def aop(x: int) -> int:
    """The protected coroutine function."""
    return x


def pipelines() -> dict[str, Pipeline]:
    """The candidates, each with policies of its own and none registered."""
    made: dict[str, list[PolicyBase]] = {
        "circuit breaker": [CircuitBreaker(5)],
        "rate limiter": [RateLimiter("100000000/second")],
        "bulkhead": [Bulkhead(100)],
        "retry": [Retry(3)],
        "full stack": [Retry(3), CircuitBreaker(5), RateLimiter("100000000/second"), Bulkhead(100)],
    }
    return {name: Pipeline(f"bench {name}", *policies, registry=None) for name, policies in made.items()}


def timed_sync(function: Callable[[int], Any]) -> float:
    """Nanoseconds per call, the empty loop included."""
    began = time.perf_counter_ns()
    for _ in range(CALLS):
        function(1)
    return (time.perf_counter_ns() - began) / CALLS


async def timed_async(function: Callable[[int], Any]) -> float:
    """Nanoseconds per awaited call, the empty loop included."""
    began = time.perf_counter_ns()
    for _ in range(CALLS):
        await function(1)
    return (time.perf_counter_ns() - began) / CALLS


def empty() -> float:
    """Nanoseconds per turn of the loop itself."""
    began = time.perf_counter_ns()
    for _ in range(CALLS):
        pass
    return (time.perf_counter_ns() - began) / CALLS


async def measure() -> dict[str, dict[str, float]]:
    """Median nanoseconds per call: {"sync" | "async": {candidate: ns}}."""
    sync: dict[str, Callable[[int], Any]] = {"bare call": op}
    coroutine: dict[str, Callable[[int], Any]] = {"bare call": aop}
    for name, pipeline in pipelines().items():
        sync[name] = pipeline(op)
        coroutine[name] = pipeline(aop)
    found: dict[str, dict[str, list[float]]] = {"sync": {}, "async": {}}
    gc.disable()
    for _ in range(ROUNDS):
        loop = empty()
        for name, function in sync.items():
            found["sync"].setdefault(name, []).append(timed_sync(function) - loop)
        for name, function in coroutine.items():
            found["async"].setdefault(name, []).append(await timed_async(function) - loop)
    gc.enable()
    return {colour: {name: statistics.median(times) for name, times in rows.items()} for colour, rows in found.items()}


def main() -> None:
    """Measure and print."""
    result = asyncio.run(measure())
    if "--json" in sys.argv[1:]:
        print(json.dumps({"python": platform.python_version(), "nanoseconds": result}))
        return
    print(f"CPython {platform.python_version()}, median of {ROUNDS} rounds of {CALLS} calls; times the bare call")
    print(f"{'':18}{'sync':>10}{'':>10}{'async':>10}")
    for name in result["sync"]:
        ratios = [(result[colour][name], result[colour]["bare call"]) for colour in ("sync", "async")]
        print(f"{name:18}" + "".join(f"{ns:8.0f} ns {ns / bare:6.1f} ×" for ns, bare in ratios))


if __name__ == "__main__":
    main()
