"""How time is taken: one process on one CPU, garbage collection off, each sample beside its own reference.

A sample of a candidate is three loops right after one another: the empty loop, the reference (nearly always the bare
call), the candidate. The ratio is taken inside the sample, so a machine that slows down for a while slows both sides
of it; candidates take turns, so no one of them has the bad minute. The figure is the median over the rounds. What is
taken is processor time (`bench.loops`): with the wall clock, two busy neighbours tripled the ratios of slow candidates.

Every loop has a code object of its own. CPython 3.11 and later specialise a call site for what it calls; candidates
that shared one would be measured as calls of something unknown, the bare call most of all.
"""

from __future__ import annotations

import asyncio
import gc
import os
import statistics
import sys
from dataclasses import dataclass
from itertools import repeat
from types import FunctionType
from typing import TYPE_CHECKING, Any

from bench import loops
from bench.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # runs the loop so many times and gives nanoseconds in all; made for each candidate anew
    Loop = Callable[[Callable[..., Any], repeat[None]], Any]


@dataclass(frozen=True)
class Effort:
    """How long is measured.

    Args:
        rounds: samples of each candidate; at least 9, so that the median stands above chance.
        seconds: that a candidate's loop takes in one sample; the reference's takes a quarter, the empty one a tenth.
    """

    rounds: int = 15
    seconds: float = 0.02


LEAST = 50  # turns of a sample
FULL = Effort()
QUICK = Effort(rounds=9, seconds=0.002)


@dataclass(frozen=True)
class Candidate:
    """One thing to measure.

    Args:
        id: of the figure it becomes.
        words: what it is, for people.
        function: what the loop calls.
        bare: what it is compared with.
        loop: how it is called, a function of `bench.loops`.
        bare_loop: how the reference is called; as the candidate by default.
        per: what the ratio is a ratio to, for people.
    """

    id: str
    words: str
    function: Callable[..., Any]
    bare: Callable[..., Any]
    loop: Loop = loops.calls
    bare_loop: Loop | None = None
    per: str = "bare call"


def pin(count: int = 1) -> list[int]:
    """Keep this thread, and those it starts, on the last `count` CPUs it may use; which ones, or [] where it cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    chosen = sorted(os.sched_getaffinity(0))[-count:]
    os.sched_setaffinity(0, chosen)
    return chosen


def fresh(loop: Loop) -> Loop:
    """The same loop with a code object of its own, not yet specialised for any callee."""
    assert isinstance(loop, FunctionType)
    return FunctionType(loop.__code__.replace(), loop.__globals__, loop.__name__, None, loop.__closure__)


class Timer:
    """One loop around one function, and how often it turns in a sample."""

    def __init__(self, loop: Loop, function: Callable[..., Any]) -> None:
        self.loop = fresh(loop)
        self.function = function
        self.turns = 1

    async def total(self, turns: int) -> int:
        """Nanoseconds of so many turns."""
        taken = self.loop(self.function, repeat(None, turns))
        spent: int = await taken if asyncio.iscoroutine(taken) else taken
        return spent

    async def calibrate(self, seconds: float) -> None:
        """Find how many turns take about that long; warms up on the way."""
        wanted, turns = seconds * 1e9, 64
        while (taken := await self.total(turns)) < wanted / 2:
            turns = turns_for(wanted, turns, taken)
        self.turns = turns_for(wanted, turns, taken)

    async def sample(self) -> float:
        """Nanoseconds per turn, the loop itself included, after some that are not counted.

        What ran before has filled the caches with its own: without them seawall measured against itself came out at
        0.7, the shorter of the two loops paying for more of that.
        """
        await asyncio.sleep(0)  # the loop sweeps out cancelled timers, which a real program's loop does all the time
        await self.total(max(LEAST // 5, self.turns // 20))
        return await self.total(self.turns) / self.turns


def turns_for(wanted: float, turns: int, taken: int) -> int:
    """How many turns take `wanted` ns if `turns` took `taken`; at most ten times as many, as the first are slow."""
    return max(LEAST, min(turns * 10, round(turns * wanted / max(taken, 1))))


@dataclass
class _Measured:
    """A candidate with its timers and what they have found: (nanoseconds, those of its reference), loop subtracted."""

    candidate: Candidate
    own: Timer
    bare: Timer
    found: list[tuple[float, float]]

    def figure(self) -> Figure:
        """The medians, with the quartiles of the ratio."""
        each = self.candidate
        ratios = [own / bare for own, bare in self.found]
        low, middle, high = statistics.quantiles(ratios, n=4)
        return Figure(
            id=each.id,
            words=each.words,
            unit="ns",
            value=statistics.median(own for own, _ in self.found),
            ratio=middle,
            per=each.per,
            low=low,
            high=high,
        )


async def measure_inside(candidates: Sequence[Candidate], effort: Effort) -> list[Figure]:
    """Measure in the event loop that runs; see `measure`."""
    empty = Timer(loops.empty, loops.op)
    await empty.calibrate(effort.seconds / 10)
    running: list[_Measured] = []
    for each in candidates:
        own, bare = Timer(each.loop, each.function), Timer(each.bare_loop or each.loop, each.bare)
        await own.calibrate(effort.seconds)
        await bare.calibrate(effort.seconds / 4)
        running.append(_Measured(each, own, bare, []))
    gc.collect()
    gc.disable()
    try:
        for number in range(effort.rounds):
            say(f"round {number + 1} of {effort.rounds}", end="\r")
            for one in running:
                turn = await empty.sample()
                bare_ns = max(await one.bare.sample() - turn, 0.1)
                one.found.append((await one.own.sample() - turn, bare_ns))
            gc.collect()  # between the rounds: what a candidate leaves behind burdens nobody's sample
    finally:
        gc.enable()
    return [one.figure() for one in running]


def measure(make: Callable[[], Sequence[Candidate]], effort: Effort) -> list[Figure]:
    """Measure candidates side by side, sync ones too inside an event loop, pinned to one CPU.

    Args:
        make: makes them, called inside the event loop, as some libraries ask for one at once.
        effort: how long.
    """
    pin()

    async def run() -> list[Figure]:
        return await measure_inside(make(), effort)

    return asyncio.run(run())


def say(text: str, end: str = "\n") -> None:
    """Tells a person on stderr how far it is; nothing that overwrites itself unless it is a terminal."""
    if end == "\n" or sys.stderr.isatty():
        print(f"bench: {text}", end=end, file=sys.stderr, flush=True)
