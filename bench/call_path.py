"""What does protection cost a call that succeeds? As ratios to the bare call, sync and async.

Rows are "bare" where the pipeline neither times nor counts (`measure=False`), and "measured" where it does, as by
default. Generated code is compared with the plain drivers, the reference, in a child with SEAWALL_COMPILE=0.

    python -m bench.call_path --quick
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from bench import loops, subjects
from bench.figures import Figure, Report, missing
from bench.harness import QUICK, Candidate, Effort, measure, say
from bench.question import answer, child
from seawall import CircuitBreaker, ConsecutiveFailures, FailureRate

if TYPE_CHECKING:
    from collections.abc import Callable

    from seawall.policies.base import PolicyBase

PLAIN = "SEAWALL_COMPILE"  # "0": no generated code


def stacks() -> dict[str, tuple[str, Callable[[], tuple[PolicyBase, ...]], tuple[str, ...]]]:
    """Every set of policies by name: words, how it is made, and the colours it is measured in."""
    both = ("sync", "async")
    made: dict[str, tuple[str, Callable[[], tuple[PolicyBase, ...]], tuple[str, ...]]] = {
        name: (words, lambda make=make: (make(),), both)  # type: ignore[misc]  # a default binds it now
        for name, (words, make) in subjects.SINGLE.items()
    }
    made["stack"] = ("full stack", subjects.stack, both)
    made["timed"] = ("full stack with timeout and deadline", subjects.timed_stack, ("async",))
    return made


def candidates() -> list[Candidate]:
    """Every stack in its colours, bare where that can be had, and measured."""
    found = []
    for name, (words, make, colours) in stacks().items():
        for colour in colours:
            for bare in (True, False) if subjects.can_be_bare() else (False,):
                protected = subjects.pipeline(*make(), measure=not bare)
                kind = "bare" if bare else "measured"
                found.append(
                    Candidate(
                        id=f"call_path.{colour}.{name}.{kind}",
                        words=f"{words}, {kind}, {colour}",
                        function=protected(loops.op if colour == "sync" else loops.aop),
                        bare=loops.op if colour == "sync" else loops.aop,
                        loop=loops.calls if colour == "sync" else loops.awaits,
                        per="bare call" if colour == "sync" else "bare await",
                    )
                )
    return found


def rates() -> list[Candidate]:
    """The failure rate over time against consecutive failures, under the same traffic."""
    kinds: list[tuple[str, str, Callable[[], Callable[[int], int]]]] = [
        ("successes", "all succeed", lambda: loops.op),
        ("failures", "1 % fail", lambda: loops.now_and_then(100)),
    ]
    return [
        Candidate(
            id=f"call_path.rate.{name}",
            words=f"breaker, failure rate over time, {words}",
            function=subjects.pipeline(CircuitBreaker(trip=[FailureRate()]))(traffic()),
            bare=subjects.pipeline(CircuitBreaker(trip=[ConsecutiveFailures(5)]))(traffic()),
            loop=loops.failing,
            per="consecutive failures, same traffic",
        )
        for name, words, traffic in kinds
    ]


def absent() -> list[Figure]:
    """Rows for what this seawall cannot do yet."""
    if subjects.can_be_bare():
        return []
    return [
        missing(f"call_path.{colour}.{name}.bare", f"{words}, bare, {colour}", subjects.NOT_YET)
        for name, (words, _, colours) in stacks().items()
        for colour in colours
    ]


def figures(effort: Effort) -> list[Figure]:
    """All of it; with the plain drivers too, unless this is the child that measures them."""
    found = measure(lambda: [*candidates(), *rates()], effort) + absent()
    if os.environ.get(PLAIN) == "0":
        return found
    say("the same without generated code")
    options = ("--quick",) if effort is QUICK else ()
    plain = Report.from_json(child("-m", "bench.call_path", "--json", *options, **{PLAIN: "0"})).figures
    return found + [
        replace(one, id=one.id.replace("call_path.", "plain."), words=f"{one.words}, plain drivers")
        for one in plain
        if one.value is not None
    ]


if __name__ == "__main__":
    sys.exit(answer(__doc__, figures))
