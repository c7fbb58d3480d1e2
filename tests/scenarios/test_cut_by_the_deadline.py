"""What a deadline that cuts calls short tells the circuit breaker."""

import asyncio

from seawall import CircuitBreaker, Deadline, Pipeline, Timeout
from seawall.testing import run_async, virtual_time


def drive(policies, before):
    """One call of a function that hangs, after `before` seconds of the deadline have passed in the caller."""

    async def hang():
        await asyncio.sleep(100)

    async def scenario():
        outer = Pipeline("outer", Deadline(1.0), registry=None)
        inner = Pipeline("inner", *policies, registry=None)

        async def late():
            await asyncio.sleep(before)
            await inner.acall(hang)

        return await outer.acall_outcome(late)

    return run_async(scenario())


def test_a_call_that_hangs_until_the_deadline_counts_although_it_was_cancelled_from_outside():
    with virtual_time():
        breaker = CircuitBreaker(1)
        outcome = drive([breaker], before=0.0)
        assert type(outcome.error).__name__ == "TimedOutError"
        assert breaker.state == "open"
        assert breaker.snapshot().details["evidence"]["causes"] == {"deadline": 1}


def test_a_call_that_began_with_less_than_half_its_timeout_left_is_neutral():
    with virtual_time():
        breaker = CircuitBreaker(1)
        drive([breaker, Timeout(0.5)], before=0.8)
        assert breaker.state == "closed"
        assert breaker.snapshot().counters["failures"] == 0


def test_a_call_that_had_half_its_timeout_counts():
    with virtual_time():
        breaker = CircuitBreaker(1)
        drive([breaker, Timeout(0.5)], before=0.7)
        assert breaker.state == "open"


def test_a_timeout_longer_than_the_deadline_does_not_blind_the_breaker():
    with virtual_time():
        breaker = CircuitBreaker(1)
        drive([breaker, Timeout(60.0)], before=0.1)
        assert breaker.state == "open"
