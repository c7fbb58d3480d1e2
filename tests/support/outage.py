"""A program whose dependencies all fail at once, and which tells what modules that made it load.

python tests/support/outage.py [async]

Prints a line for each step during which a module was looked for, with the names.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, NoReturn

from seawall import (
    Bulkhead,
    CircuitBreaker,
    Deadline,
    Fallback,
    Pipeline,
    RateLimiter,
    Retry,
    StaleCache,
    Timeout,
    default_registry,
)
from seawall.backoff import Exponential

ASYNC = "async" in sys.argv[1:]


class Watch:
    """Stands before all finders and notes what they are asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> None:
        """Note a module that is not loaded yet."""
        self.asked.append(name)

    def step(self, step: str, *actions: Callable[[], object]) -> None:
        """Do what fails, and say what it has loaded."""
        for action in actions:
            try:
                action()
            except Exception as error:
                str(error), repr(error)  # as a log would
        if self.asked:
            sys.stdout.write(f"{step}: {' '.join(self.asked)}\n")
            self.asked.clear()


quick = Exponential(base=0.001, cap=0.002)
full = Pipeline(
    "full", Fallback(lambda error: 0), Deadline(5.0), Retry(3, backoff=quick, idempotent="key"), CircuitBreaker(6),
    RateLimiter("1000/s"), Bulkhead(4), Timeout(0.05, mode="thread"),
)  # fmt: skip
short = Pipeline("short", Retry(2, backoff=quick), CircuitBreaker(2))
keyed = Pipeline("keyed", CircuitBreaker(2, key="who"), RateLimiter("1/h", key="who"))
slots = Pipeline("slots", Bulkhead(1), shadow=[CircuitBreaker(1)])
cached = Pipeline("cached", StaleCache(fresh=0.001, stale=10.0))
limited = Pipeline("limited", Timeout(0.01, mode="thread"))
alone = CircuitBreaker(1, name="alone")
never = RateLimiter("1/h", name="never")


def fail(who: str = "a") -> NoReturn:
    """What calls do during the outage."""
    raise OSError(24, "Too many open files")


def items() -> Iterator[int]:
    """A stream that breaks off."""
    yield 1
    fail()


async def afail() -> NoReturn:
    """`fail` for coroutines."""
    fail()


async def aitems() -> AsyncIterator[int]:
    """`items` for coroutines."""
    yield 1
    fail()


async def aempty() -> None:
    """Nothing."""


def run(fn: Callable[[], Any]) -> None:
    """A coroutine function on a loop of its own."""
    import asyncio  # late: it must not be there in the run without

    asyncio.run(fn())


@slots
def occupied() -> int:
    """Asks for a second slot."""
    return occupied()


def permit() -> None:
    """A block that fails."""
    with short.permit():
        fail()


def attempts() -> None:
    """Blocks that fail."""
    for attempt in short.attempts():
        with attempt:
            fail()


def by_hand() -> None:
    """A breaker and a limit that stand in no pipeline."""
    alone.record_failure(alone.allow(), OSError())
    alone.allow()


async def all_of(fn: Callable[[], Any]) -> list[Any]:
    """All items of a stream."""
    return [item async for item in fn()]


def main() -> None:
    """Fail in every way there is."""
    plain = [one(fail) for one in (full, short, keyed, slots, cached)] + [alone(fail), never(fail)]
    slow = limited(functools.partial(time.sleep, 0.05))
    stream = short(items)
    coroutines: list[Any] = []
    streams: list[Any] = []
    if ASYNC:
        coroutines = [one(afail) for one in (full, short, slots, cached)]
        streams = [short(aitems)]
        run(aempty)  # what a loop itself needs is the program's matter
    watch = Watch()
    sys.meta_path.insert(0, watch)
    watch.step("calls", *(functools.partial(each, "b") for each in plain * 8))
    watch.step("timeout", slow)
    watch.step("slots", occupied)
    watch.step("outcome", *(functools.partial(one.call_outcome, fail) for one in (full, short, keyed)))
    watch.step("partial", functools.partial(short.call, functools.partial(fail, "c")))
    watch.step("blocks", permit, attempts)
    watch.step("stream", lambda: list(stream()))
    watch.step("by hand", by_hand, by_hand)
    if ASYNC:
        watch.step("coroutines", *(functools.partial(run, each) for each in coroutines * 8))
        watch.step("async streams", *(functools.partial(run, functools.partial(all_of, each)) for each in streams))
    watch.step("snapshot", lambda: default_registry.snapshot().as_json())
    watch.step("journal", lambda: [(str(entry), entry.as_json()) for entry in default_registry.bus.journal])
    watch.step("explain", *(one.explain for one in (full, short, keyed, slots, cached)))
    change = functools.partial(full.override, owner="somebody", reason="outage")
    watch.step("override", lambda: change(disable=["retry"], timeout=3.0, rate="5/s", max_concurrent=2), plain[0])
    watch.step("pin", lambda: alone.force("open", owner="somebody", reason="outage"), alone.reset)
    watch.step("limit", lambda: never.update("2/h"))


if __name__ == "__main__":
    main()
