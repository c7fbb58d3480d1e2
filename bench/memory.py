"""What does each policy object weigh? In bytes that Python allocated (tracemalloc); what keys weigh, `keys` says.

Every kind in a process of its own, as what one kind has loaded or cached must not make the next look light. Objects are
made as a user makes them; a first one is made before counting starts.

    python -m bench.memory
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, missing
from bench.harness import QUICK, Effort, say
from bench.question import answer, child_json

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = {
    "breaker": "CircuitBreaker(), each",
    "breaker.windowed": "CircuitBreaker with a window of 100, each, before its first call",
    "bulkhead": "Bulkhead(1), each, less 16 B for its slot",
    "bulkhead.slot": "each further slot of a bulkhead",
    "retry": "Retry(), each",
    "limiter": "RateLimiter(), each",
    "timeout": "Timeout(), each",
    "check": "a check that is watched, before its first run",
}
SLOT = 16  # bytes a slot may take, in the target
SLOTS = 1001  # of the large bulkhead that the price of one slot is taken from; and checks of a large monitor


def each(make: Callable[[int], Any], count: int) -> float:
    """Bytes of one object, with all it holds; the list it is kept in is made before."""
    kept: list[Any] = [make(0)] + [None] * count
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(1, count + 1):
        kept[number] = make(number)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) / count


def weigh(kind: str, count: int) -> float | None:
    """The figure of one kind, inside the child; None where it needs packages that are not there."""
    import seawall
    from bench import subjects

    if kind == "bulkhead":
        return each(lambda _: seawall.Bulkhead(1), count) - SLOT
    if kind == "bulkhead.slot":
        many, few = count // 20, 1
        large = each(lambda _: used(seawall.Bulkhead(SLOTS)), many)
        return (large - each(lambda _: used(seawall.Bulkhead(few)), many)) / (SLOTS - few)
    if kind == "check":
        many = count // 20
        try:
            return (each(lambda _: watched(SLOTS), many) - each(lambda _: watched(1), many)) / (SLOTS - 1)
        except ModuleNotFoundError:
            return None
    makers: dict[str, Callable[[int], Any]] = {
        "breaker": lambda _: seawall.CircuitBreaker(),
        "breaker.windowed": lambda _: subjects.windowed(),
        "retry": lambda _: seawall.Retry(),
        "limiter": lambda _: seawall.RateLimiter("10/second"),
        "timeout": lambda _: seawall.Timeout(1.0),
    }
    return each(makers[kind], count)


def watched(count: int) -> Any:
    """A monitor with so many checks, which have not run yet."""
    from seawall.events.bus import default_bus
    from seawall.health.base import BaseCheck
    from seawall.health.monitor import Monitor

    return Monitor([BaseCheck(name=f"check-{n}") for n in range(count)], bus=default_bus)


def used(bulkhead: Any) -> Any:
    """A bulkhead whose first call is over: slots may be made no sooner."""
    from bench import loops, subjects

    subjects.pipeline(bulkhead)(loops.op)(1)
    return bulkhead


def figures(effort: Effort) -> list[Figure]:
    """One child for each kind."""
    count = 1_000 if effort is QUICK else 10_000
    found = []
    for kind, words in WORDS.items():
        say(f"memory: {words}")
        value: float | None = child_json("-m", "bench.memory", "--child", kind, str(count))
        if value is None:
            found.append(missing(f"memory.{kind}", words, "the daemon's packages are not there for this Python"))
        else:
            found.append(Figure(f"memory.{kind}", words, "B", value))
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(weigh(sys.argv[2], int(sys.argv[3]))), flush=True)
        os._exit(0)  # freeing them one by one would take longer than making them
    sys.exit(answer(__doc__, figures))
