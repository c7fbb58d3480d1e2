"""What does a limit for each key cost: how fast is one limiter for many keys, and how much does each key weigh?

Throughput is that of one thread and of eight, each with keys of its own, on all CPUs there are. "One lock" is the same
limiter with its stripes' locks made one: what they gain is the ratio of the two, taken in turns. As in `contention`,
other programs on the CPUs hide the gain.

    python -m bench.keys
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import threading
import time
from itertools import repeat
from typing import TYPE_CHECKING, Any

from bench import subjects
from bench.figures import Figure
from bench.harness import QUICK, Effort, say
from bench.memory import each
from bench.question import answer, child_json
from seawall import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable

ALGORITHMS = ("token_bucket", "gcra", "fixed_window", "sliding_counter", "sliding_log")
THREADS = 8
KEYS = 64  # of each thread
TURNS = 100  # through its keys
BOUND = 10_000  # keys that are kept, as by default
MANY = 1_000_000


def limiter(*, striped: bool = True) -> RateLimiter:
    """One that refuses nothing here."""
    made = RateLimiter(subjects.RATE, key="customer", max_keys=BOUND)
    if not striped:
        lock: Any = made._lock
        lock.each = (lock.each[0],) * len(lock.each)
    return made


def throughput(limit: RateLimiter, threads: int, turns: int) -> float:
    """Decisions per second of all threads together."""
    ready = threading.Barrier(threads + 1)
    ends: list[int] = []

    def work(number: int) -> None:
        keys = [f"customer {number} {each}" for each in range(KEYS)]
        ask = limit.try_acquire
        ready.wait()
        for _ in repeat(None, turns):
            for key in keys:
                ask(1.0, key)
        ends.append(time.perf_counter_ns())

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    began = time.perf_counter_ns()
    for worker in workers:
        worker.join()
    return threads * turns * KEYS * 1e9 / (max(ends) - began)


def rates(effort: Effort) -> list[Figure]:
    """Decisions per second, and what the stripes gain."""
    turns = TURNS // 5 if effort is QUICK else TURNS
    alone: list[float] = []
    striped: list[float] = []
    shared: list[float] = []
    gc.collect()
    gc.disable()
    for number in range(effort.rounds):
        say(f"one limiter, many keys, turn {number + 1}", end="\r")
        alone.append(throughput(limiter(), 1, THREADS * turns))
        pair = [(striped, True), (shared, False)]
        for found, kind in pair if number % 2 else reversed(pair):
            found.append(throughput(limiter(striped=kind), THREADS, turns))
    gc.enable()
    gains = [one / other for one, other in zip(striped, shared, strict=True)]
    low, gain, high = statistics.quantiles(gains, n=4)
    words = f"one limiter, {THREADS} threads, each with keys of its own"
    return [
        Figure("keys.alone", "one limiter, one thread", "calls/s", statistics.median(alone)),
        Figure("keys.shared", f"{words}, one lock", "calls/s", statistics.median(shared)),
        Figure("keys.striped", words, "calls/s", statistics.median(striped), gain, "one lock", low, high),
    ]


def called(algorithm: str, most: int) -> Callable[[str], str]:
    """A function with a limit for each value of its argument."""

    def call(customer: str) -> str:
        return customer

    options: dict[str, Any] = {"algorithm": algorithm}
    return subjects.pipeline(RateLimiter("10/second", key="customer", max_keys=most, **options))(call)


def weigh(algorithm: str, count: int) -> float:
    """Bytes of each key that was used once, its text not counted; inside the child."""
    call = called(algorithm, count * 2)
    keys = [f"customer {number}" for number in range(count + 1)]
    return each(lambda number: call(keys[number]) and None, count)


def kept_of(count: int) -> int:
    """How many of `count` keys are left when the limit is far below."""

    def call(customer: int) -> int:
        return customer

    limit = RateLimiter("10/second", key="customer", max_keys=BOUND)
    protected = subjects.pipeline(limit)(call)
    for number in range(count):
        protected(number)
    return int(limit.snapshot().gauges["keys"])


def figures(effort: Effort) -> list[Figure]:
    """Throughput here, memory in children."""
    count = 1_000 if effort is QUICK else 10_000
    found = rates(effort)
    for algorithm in ALGORITHMS:
        say(f"keys: bytes of each, {algorithm}")
        value: float = child_json("-m", "bench.keys", "--child", algorithm, str(count))
        found.append(Figure(f"keys.bytes.{algorithm}", f"each key, {algorithm}, its text not counted", "B", value))
    many = MANY // 20 if effort is QUICK else MANY
    words = f"keys kept after {many:,}, with max_keys={BOUND:,}"
    say(words)
    kept: float = child_json("-m", "bench.keys", "--child", "kept", str(many))
    found.append(Figure("keys.kept", words, "", kept))
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        kind, count = sys.argv[2], int(sys.argv[3])
        print(json.dumps(float(kept_of(count)) if kind == "kept" else weigh(kind, count)), flush=True)
        os._exit(0)  # freeing them one by one would take longer than making them
    sys.exit(answer(__doc__, figures))
