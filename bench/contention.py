"""Do eight threads on one set of policies lose throughput when they get a second CPU?

A lock on the call path shows here: on one CPU its holder is hardly ever interrupted, on two the others run into it and
hand the interpreter's own lock to and fro. The bare call loses something, too, which no library can change: the figure
is what the protected call keeps of its throughput, divided by what the bare call keeps in the same turn. The bare call
measured so against itself shows how far chance goes.

NB: another program on the second CPU hides the loss, as the threads then hardly ever run at once: seen, 0.97 in place
of 0.4. Turns in which others took more than a quarter of a CPU are measured again, and what cannot be had is said.

    python -m bench.contention
"""

from __future__ import annotations

import gc
import os
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import loops, subjects
from bench.figures import Figure, missing
from bench.harness import QUICK, Effort, say
from bench.question import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

THREADS = 8
ENOUGH = 9  # quiet turns, for a median
OTHERS = 0.25  # of a CPU, taken by other programs
SECONDS = 0.25  # per round; several hundred of the interpreter's switch intervals, so that threads do meet


def throughput(function: Callable[[int], Any], calls: int) -> float:
    """Calls per second of all threads together, `calls` each."""
    ready = threading.Barrier(THREADS + 1)
    ends: list[int] = []

    def work() -> None:
        ready.wait()
        for _ in repeat(None, calls):
            function(1)
        ends.append(time.perf_counter_ns())

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter_ns()
    for thread in threads:
        thread.join()
    return THREADS * calls * 1e9 / (max(ends) - began)


def busy(cpus: Sequence[int]) -> float:
    """Seconds that these CPUs have been busy so far, for whomever; 0 where the system does not say."""
    try:
        lines = Path("/proc/stat").read_text("ascii").splitlines()
    except OSError:
        return 0.0
    fields = {line.split()[0]: [int(each) for each in line.split()[1:]] for line in lines if line.startswith("cpu")}
    ticks = sum(sum(fields[f"cpu{cpu}"]) - sum(fields[f"cpu{cpu}"][3:5]) for cpu in cpus)  # less idle and iowait
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Turn:
    """One round on each number of CPUs.

    Args:
        rate: calls per second on two CPUs.
        kept: the share of the throughput on one CPU that this is.
        others: CPUs that other programs took meanwhile, from 0.
    """

    rate: float
    kept: float
    others: float


def turn(function: Callable[[int], Any], calls: int, cpus: Sequence[int], first: int) -> Turn:
    """Measure on `first` CPUs, then on the other number of them."""
    rates = {}
    gc.collect()
    gc.disable()
    began, busy_before, own_before = time.perf_counter(), busy(cpus), time.process_time()
    for count in (first, 3 - first):
        os.sched_setaffinity(0, cpus[-count:])  # threads started from here on inherit it
        rates[count] = throughput(function, calls)
    others = (busy(cpus) - busy_before - (time.process_time() - own_before)) / (time.perf_counter() - began)
    gc.enable()
    return Turn(rates[2], rates[2] / rates[1], max(others, 0.0))


def beside(turn: Turn, bare: Turn) -> Turn:
    """A turn as a share of what the bare call kept just before."""
    return Turn(turn.rate, turn.kept / bare.kept, max(turn.others, bare.others))


def calls_in(function: Callable[[int], Any], seconds: float, cpus: Sequence[int]) -> int:
    """How many calls each thread makes in that time."""
    os.sched_setaffinity(0, cpus[-1:])
    calls = 50
    for _ in range(3):  # what starting threads takes makes the first guesses far too low
        calls = max(50, round(throughput(function, calls) * seconds / THREADS))
    return calls


def quiet(turns: Sequence[Turn], wanted: int) -> tuple[list[Turn], str]:
    """The turns that others left alone, and what to say if there are fewer than wanted: then all of them."""
    alone = [each for each in turns if each.others <= OTHERS]
    if len(alone) >= wanted:
        return alone, ""
    return [*turns], "other programs were using the CPUs: run it again when they are idle"


def subjects_of() -> dict[str, tuple[str, Callable[[int], Any]]]:
    """What the threads call, by name."""
    made: dict[str, tuple[str, Callable[[int], Any]]] = {"bare": ("bare call", loops.op)}
    made["breaker"] = ("breaker, window of 100", subjects.pipeline(subjects.windowed())(loops.op))
    made["stack.measured"] = ("full stack, measured", subjects.pipeline(*subjects.stack())(loops.op))
    if subjects.can_be_bare():
        made["stack.bare"] = ("full stack, bare", subjects.pipeline(*subjects.stack(), measure=False)(loops.op))
    return made


def figure(name: str, words: str, turns: Sequence[Turn], note: str) -> Figure:
    """The medians of the turns."""
    rate = statistics.median(each.rate for each in turns)
    words = f"8 threads, {words}, on two CPUs"
    if note:  # a ratio that looks better than it is would pass
        return Figure(f"contention.{name}", words, "calls/s", rate, note=note)
    low, middle, high = statistics.quantiles([each.kept for each in turns], n=4)
    return Figure(f"contention.{name}", words, "calls/s", rate, middle, "what the bare call keeps", low, high, note)


def figures(effort: Effort) -> list[Figure]:
    """What is kept of the throughput on two CPUs, against the bare call."""
    cpus = sorted(os.sched_getaffinity(0))[-2:] if hasattr(os, "sched_setaffinity") else []
    if len(cpus) < 2:
        return [missing("contention.stack.measured", "8 threads, full stack", "needs two CPUs and a system that pins")]
    seconds = SECONDS / 5 if effort is QUICK else SECONDS
    bare_calls = calls_in(loops.op, seconds, cpus)
    found = []
    for name, (words, function) in subjects_of().items():
        calls = calls_in(function, seconds, cpus)
        turns: list[Turn] = []
        while len(turns) < 2 * effort.rounds and sum(each.others <= OTHERS for each in turns) < effort.rounds:
            say(f"{words}, turn {len(turns) + 1}", end="\r")
            first = 1 + len(turns) % 2
            bare = turn(loops.op, bare_calls, cpus, first)
            turns.append(beside(turn(function, calls, cpus, first), bare))
        found.append(figure(name, words, *quiet(turns, ENOUGH)))
    os.sched_setaffinity(0, cpus)
    return found


if __name__ == "__main__":
    sys.exit(answer(__doc__, figures))
