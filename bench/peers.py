"""How much faster is seawall than today's libraries? Measured in one process, so that the ratios are of one run.

The libraries live in an environment of their own (`tools/bench_env.py`, locked in `bench/peers.txt`); without it this
file measures those that are installed and says which are not. A full stack is retry, breaker, limiter and bulkhead, for
async with a timeout; the ratio says how many times longer a library takes than seawall's, which is the bare one where
there is one. A peer without a limiter is shown and does not count as the best.

    make bench ARGS="peers"
"""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bench import loops, peers_made, subjects
from bench.figures import Figure, missing, versions_of
from bench.harness import Candidate, Effort, measure
from bench.question import answer
from seawall import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.policies.base import PolicyBase

PACKAGES = (
    "aiolimiter",
    "circuitbreaker",
    "crashbytes-resilience",
    "limits",
    "nopanic",
    "purgatory",
    "pybreaker",
    "pyresilience",
    "resilix",
    "stamina",
    "tenacity",
)
POPULAR = "tenacity + pybreaker + limits + Semaphore"
STACKS: dict[str, dict[str, Callable[..., Any]]] = {
    "sync": {
        POPULAR: peers_made.stack_popular,
        "nopanic": peers_made.stack_nopanic,
        "pyresilience": peers_made.stack_pyresilience,
        "crashbytes": peers_made.stack_crashbytes,
        "resilix": peers_made.stack_resilix,
    },
    "async": {
        "stamina + purgatory + aiolimiter + asyncio.timeout": peers_made.stack_async,
        "nopanic": peers_made.stack_nopanic,
        "pyresilience": peers_made.stack_pyresilience,
        "crashbytes": peers_made.stack_crashbytes,
        "resilix": peers_made.stack_resilix,
    },
}
NO_LIMITER = ("resilix",)
SINGLE: dict[str, tuple[str, ...]] = {
    "breaker": ("pybreaker", "circuitbreaker", "resilix", "crashbytes", "nopanic", "pyresilience"),
    "retry": ("tenacity", "stamina", "resilix", "crashbytes", "nopanic", "pyresilience"),
    "limiter": ("limits", "crashbytes", "nopanic", "pyresilience"),
}


def ours(colour: str) -> tuple[PolicyBase, ...]:
    """Seawall's stack in that colour."""
    if colour == "sync":
        return subjects.stack()
    return (*subjects.stack(), Timeout(30.0))


def attempted(make: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, str]:
    """What is made, or why it cannot be."""
    try:
        return make(*arguments, **options), ""
    except ImportError as error:
        return None, f"not installed: {error.name}"
    except Exception as error:  # noqa: BLE001  -- any library may fail in its own way, and the others go on
        return None, f"does not work here: {type(error).__name__}: {error}"


class Gathered:
    """What can be measured, and rows for the rest."""

    def __init__(self) -> None:
        self.candidates: list[Candidate] = []
        self.missing: list[Figure] = []

    def add(self, id: str, words: str, made: tuple[Any, str], bare: Any, colour: str) -> None:
        """One peer, if it could be made."""
        function, why = made
        if function is None:
            self.missing.append(missing(id, words, why))
            return
        loop = loops.calls if colour == "sync" else loops.awaits
        self.candidates.append(Candidate(id, words, function, bare, loop, per="seawall's"))

    def stacks(self, colour: str) -> None:
        """The full stacks of one colour, seawall's own with its counters on among them."""
        fn: Any = loops.op if colour == "sync" else loops.aop
        where = "full stack, sync" if colour == "sync" else "full stack with timeout, async"
        own = subjects.pipeline(*ours(colour), measure=not subjects.can_be_bare())(fn)
        measured = subjects.pipeline(*ours(colour))(fn)
        self.add(f"peers.{colour}.seawall", f"{where}: seawall, measured", (measured, ""), own, colour)
        for name, make in STACKS[colour].items():
            words = f"{where}: {name}{' (no limiter)' if name in NO_LIMITER else ''}"
            self.add(row(colour, name), words, attempted(make, fn, timeout=colour == "async"), own, colour)

    def single(self, pattern: str) -> None:
        """The libraries that have one pattern."""
        own = subjects.pipeline(subjects.SINGLE[pattern][1](), measure=not subjects.can_be_bare())(loops.op)
        for name in SINGLE[pattern]:
            made = attempted(getattr(peers_made, f"{pattern}_{name}"), loops.op)
            self.add(f"peers.{pattern}.{name}", f"{pattern}, sync: {name}", made, own, "sync")


def row(colour: str, name: str) -> str:
    """The id of a full stack."""
    return f"peers.{colour}.{'popular' if name == POPULAR else name}"


def best(found: list[Figure], colour: str) -> Figure:
    """The fastest combined peer with a limiter."""
    rows = [row(colour, name) for name in STACKS[colour] if name not in NO_LIMITER]
    there = [one for one in found if one.id in rows and one.ratio is not None]
    words = f"full stack, {colour}: the best peer that has a limiter"
    if not there:
        return missing(f"peers.{colour}.best", words, "no peer could be measured")
    first = min(there, key=lambda one: one.ratio or 0.0)
    return replace(first, id=f"peers.{colour}.best", words=words, note=first.words.rpartition(": ")[2])


def figures(effort: Effort) -> list[Figure]:
    """All of it."""
    logging.disable(logging.CRITICAL)  # nobody is to pay for log output
    gathered = Gathered()

    def make() -> list[Candidate]:
        for colour in STACKS:
            gathered.stacks(colour)
        for pattern in SINGLE:
            gathered.single(pattern)
        return gathered.candidates

    found = measure(make, effort)
    return [*found, *gathered.missing, best(found, "sync"), best(found, "async")]


if __name__ == "__main__":
    sys.exit(answer(__doc__, figures, lambda: versions_of(*PACKAGES)))
