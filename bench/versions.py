"""Is a call slower on a newer Python? The full stack in absolute time, against the oldest one.

The bare call is faster on newer Pythons, so a ratio to it would punish progress; time in nanoseconds is compared
instead. Children of both interpreters take turns, and the ratio is taken within a turn, as the machine's clock is not
the same for long.

    make bench ARGS="versions" BENCH_PYTHONS="python3.12 python3.13"
"""

from __future__ import annotations

import os
import statistics
import sys
from typing import TYPE_CHECKING

from bench import loops, subjects
from bench.figures import Figure, Report, missing
from bench.harness import QUICK, Candidate, Effort, measure, say
from bench.question import answer, child

if TYPE_CHECKING:
    from collections.abc import Sequence

OLDEST = "BENCH_OLDEST"  # the interpreter that is compared with, set by `python -m bench`
TURNS = 9
WORDS = {"sync": "full stack, measured, sync", "async": "full stack, measured, async"}


def candidates() -> list[Candidate]:
    """The full stack as it is by default."""
    return [
        Candidate("sync", "", subjects.pipeline(*subjects.stack())(loops.op), loops.op, loops.calls),
        Candidate("async", "", subjects.pipeline(*subjects.stack())(loops.aop), loops.aop, loops.awaits),
    ]


def taken(python: str, options: Sequence[str]) -> dict[str, float]:
    """Nanoseconds by colour, from a child of that interpreter."""
    found = Report.from_json(child("-m", "bench.versions", "--child", *options, "--json", python=python)).figures
    return {one.id: one.value for one in found if one.value is not None}


def figures(effort: Effort) -> list[Figure]:
    """This interpreter's time as a ratio to the oldest one's."""
    oldest = os.environ.get(OLDEST, "")
    if not oldest or oldest == sys.executable:
        return [
            missing(f"versions.{colour}", words, "nothing older to compare with") for colour, words in WORDS.items()
        ]
    options = ("--quick",) if effort is QUICK else ()
    name = child("-c", "import platform; print(platform.python_version())", python=oldest).strip()
    pairs: dict[str, list[tuple[float, float]]] = {colour: [] for colour in WORDS}
    for number in range(TURNS):
        say(f"versions, turn {number + 1} of {TURNS}", end="\r")
        before, now = taken(oldest, options), taken(sys.executable, options)
        for colour, each in pairs.items():
            each.append((now[colour], now[colour] / before[colour]))
    found = []
    for colour, each in pairs.items():
        low, middle, high = statistics.quantiles([ratio for _, ratio in each], n=4)
        value = statistics.median(ns for ns, _ in each)
        words = f"{WORDS[colour]}, time against {name}"
        found.append(Figure(f"versions.{colour}", words, "ns", value, middle, f"CPython {name}", low, high))
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        sys.exit(answer(__doc__, lambda effort: measure(candidates, effort), arguments=sys.argv[2:]))
    sys.exit(answer(__doc__, figures))
