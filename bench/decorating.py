"""What does protecting a function cost, when a program protects 10,000 different ones?

Time and bytes are taken in children of their own, as counting bytes slows everything down. What is put off until the
first call is counted too, on a line of its own: code may be generated only then.

    python -m bench.decorating
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import time
import tracemalloc
from types import FunctionType
from typing import Any

from bench.figures import Figure
from bench.harness import QUICK, Effort, pin, say
from bench.question import answer, child_json

COUNT = 10_000


def distinct(count: int) -> list[Any]:
    """Functions with names and code objects of their own."""
    from bench.loops import op

    return [
        FunctionType(op.__code__.replace(co_name=f"op_{number}"), op.__globals__, f"op_{number}")
        for number in range(count)
    ]


def decorate(count: int, *, traced: bool) -> dict[str, float]:
    """What one child finds: of each function, when it is decorated and when it is called for the first time."""
    from bench import subjects

    pin()
    pipeline = subjects.pipeline(*subjects.stack())
    functions = [*distinct(count)]
    kept: list[Any] = [None] * count
    pipeline(functions[0])(1)
    gc.collect()
    if traced:
        tracemalloc.start()

    def now() -> float:
        return float(tracemalloc.get_traced_memory()[0]) if traced else time.process_time_ns() / 1e3

    gc.disable()  # a collection would be blamed on whichever function came just then
    began = now()
    for number, function in enumerate(functions):
        kept[number] = pipeline(function)
    decorated = now()
    for protected in kept:
        protected(1)
    called = now()
    for protected in kept:
        protected(1)
    again = now()
    # what a call costs anyway is not the first call's doing
    first = called - decorated if traced else (called - decorated) - (again - called)
    return {"decorated": (decorated - began) / count, "first": first / count}


def figures(effort: Effort) -> list[Figure]:
    """Time and memory of each."""
    count = 1_000 if effort is QUICK else COUNT
    found: dict[str, list[float]] = {"decorated": [], "first": []}
    for number in range(9):
        say(f"decorating {count:,} functions, run {number + 1} of 9", end="\r")
        for what, value in child_json("-m", "bench.decorating", "--child", str(count), "time").items():
            found[what].append(value)
    weight = child_json("-m", "bench.decorating", "--child", str(count), "bytes")
    low, middle, high = statistics.quantiles(found["decorated"], n=4)
    return [
        Figure("decorating.time", f"decorating, each of {count:,} functions", "µs", middle, low=low, high=high),
        Figure("decorating.first", "its first call, over the second", "µs", statistics.median(found["first"])),
        Figure("decorating.bytes", "memory of each decorated function", "B", weight["decorated"]),
        Figure("decorating.called", "memory each takes more by its first call", "B", weight["first"]),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(decorate(int(sys.argv[2]), traced=sys.argv[3] == "bytes")), flush=True)
        os._exit(0)  # nobody waits for 10,000 functions to be freed
    sys.exit(answer(__doc__, figures))
