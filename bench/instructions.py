"""How many machine instructions does a call take? A count that no busy neighbour changes (valgrind's callgrind).

Each path runs N and then 2 N times in a child, and the difference divided by N is the figure: what starting Python and
importing take is the same in both and falls out. Hash seeds are fixed, so that dictionaries are laid out alike.

Counts do not replace time: an instruction that waits for memory costs more than one that does not. They decide only
where the quartiles of a time lie on both sides of its limit.

    python -m bench.instructions
"""

from __future__ import annotations

import asyncio
import gc
import os
import re
import shutil
import subprocess
import sys
from itertools import repeat
from typing import TYPE_CHECKING, Any

from bench import loops
from bench.figures import ROOT, Figure, missing
from bench.harness import QUICK, Effort, say
from bench.question import answer, child, environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.harness import Loop

CALLS = 2_000
COLLECTED = re.compile(r"Collected : (\d+)")
BARE = {"sync": "bare call", "async": "bare await"}
BARE_PATHS: dict[str, tuple[Callable[[int], Any], Loop]] = {
    "empty": (loops.op, loops.empty),
    "sync.nothing": (loops.op, loops.calls),
    "async.nothing": (loops.aop, loops.awaits),
}
WORDS = {
    "sync.breaker": "breaker, window of 100 with slow-call timing, {}, sync",
    "sync.stack": "full stack, {}, sync",
    "async.stack": "full stack, {}, async",
}


def paths() -> dict[str, str]:
    """The paths that are counted, by the ids that `call_path` gives them, with their words."""
    from bench import subjects

    kinds = ("bare", "measured") if subjects.can_be_bare() else ("measured",)
    return {f"{path}.{kind}": words.format(kind) for path, words in WORDS.items() for kind in kinds}


def chosen(path: str) -> tuple[Callable[[int], Any], Loop]:
    """What the child calls and how: the bare function, or the very candidate that `call_path` times."""
    from bench.call_path import candidates

    found = {each.id: each for each in candidates()}  # made in any case: all children import and make the same
    if path in BARE_PATHS:
        return BARE_PATHS[path]
    return found[f"call_path.{path}"].function, found[f"call_path.{path}"].loop


def run(path: str, calls: int) -> None:
    """Inside the child: so many calls of one path."""
    function, loop = chosen(path)

    async def measured() -> None:
        for turns in (500, calls):  # first what is done once: specialising, filling the window
            spent = loop(function, repeat(None, turns))
            if asyncio.iscoroutine(spent):
                await spent

    gc.disable()
    asyncio.run(measured())


def counted(path: str, calls: int) -> int:
    """Instructions of a child that makes so many calls."""
    done = subprocess.run(
        [
            "valgrind",
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            sys.executable,
            "-m",
            "bench.instructions",
            "--child",
            path,
            str(calls),
        ],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    found = COLLECTED.search(done.stderr)
    if done.returncode or not found:
        raise RuntimeError(f"valgrind: {(done.stderr.strip().splitlines() or ['it said nothing'])[-1]}")
    return int(found[1])


def per_call(path: str, calls: int) -> float:
    """Instructions of one call, the loop included."""
    say(f"counting instructions: {path}")
    return (counted(path, 2 * calls) - counted(path, calls)) / calls


def figures(effort: Effort) -> list[Figure]:
    """Instructions of the hot paths, and their ratio to those of the bare call."""
    if shutil.which("valgrind") is None:
        why = "valgrind is not here: install it to count instructions"
        return [missing("instructions.sync.stack.measured", "instructions of a call", why)]
    child("-m", "bench.instructions", "--child", "sync.nothing", "1")  # writes the byte code, which none is to pay for
    calls = CALLS // 4 if effort is QUICK else CALLS
    turn = per_call("empty", calls)
    bare = {colour: per_call(f"{colour}.nothing", calls) - turn for colour in BARE}
    found = [Figure(f"instructions.{colour}.bare", BARE[colour], "instructions", bare[colour]) for colour in BARE]
    for path, words in paths().items():
        colour = path.partition(".")[0]
        value = per_call(path, calls) - turn
        found.append(
            Figure(f"instructions.{path}", words, "instructions", value, value / bare[colour], per=BARE[colour])
        )
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        run(sys.argv[2], int(sys.argv[3]))
        sys.stdout.flush()
        os._exit(0)
    sys.exit(answer(__doc__, figures))
