"""What does an open circuit cost those it refuses? With an exception, and as the boolean question before it.

python -m bench.refusals
"""

from __future__ import annotations

import logging
import sys
from itertools import repeat

from bench import loops, subjects
from bench.figures import Figure, missing
from bench.harness import Candidate, Effort, measure
from bench.question import answer
from seawall import CircuitBreaker, CircuitOpenError, ConsecutiveFailures, Pipeline


def opened() -> tuple[CircuitBreaker, Pipeline]:
    """A circuit that has opened for longer than anyone measures, and its pipeline."""
    logging.getLogger("seawall").setLevel(logging.CRITICAL)  # it would tell that it has opened
    breaker = CircuitBreaker(trip=[ConsecutiveFailures(1)], recovery_timeout=3600.0)
    pipeline = subjects.pipeline(breaker)
    protected = pipeline(loops.broken)
    loops.failing(protected, repeat(None, 1))
    try:
        protected(1)
    except CircuitOpenError:
        return breaker, pipeline
    raise AssertionError("the circuit did not open")


def candidates() -> list[Candidate]:
    """Refused calls, sync and async, and the question."""
    breaker, pipeline = opened()
    found = [
        Candidate("refusals.sync", "open circuit, refused, sync", pipeline(loops.op), loops.op, loops.failing),
        Candidate(
            "refusals.async",
            "open circuit, refused, async",
            pipeline(loops.aop),
            loops.aop,
            loops.failing_awaits,
            per="bare await",
        ),
        # What any exception costs: no refusal that raises can be cheaper.
        Candidate("refusals.floor", "the bare function raises", loops.broken, loops.op, loops.failing),
    ]
    if subjects.can_be_asked():
        allows = breaker.allows  # type: ignore[attr-defined,unused-ignore]  # being added
        found.append(
            Candidate(
                "refusals.question", "open circuit, asked with allows()", allows, loops.op, loops.questions, loops.calls
            )
        )
    return found


def figures(effort: Effort) -> list[Figure]:
    """All of it."""
    found = measure(candidates, effort)
    if not subjects.can_be_asked():
        found.append(missing("refusals.question", "open circuit, asked with allows()", subjects.NOT_YET))
    return found


if __name__ == "__main__":
    sys.exit(answer(__doc__, figures))
