"""Block forms: the same guards and retries around a `with` block."""

import asyncio

import pytest

from seawall import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    Deadline,
    Fallback,
    Pipeline,
    RateLimitedError,
    RateLimiter,
    Registry,
    Retry,
    Timeout,
)
from seawall.backoff import Constant
from seawall.core.context import restore_deadline, shrink_deadline
from seawall.events.types import RetryGaveUp, RetryScheduled
from seawall.testing import Recorder, Scripted, run_async, virtual_time


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


def retry(attempts=3, base=1.0):
    return Retry(attempts, backoff=Constant(base=base, jitter="none"))


def pipeline_of(*policies):
    return Pipeline("p", *policies, registry=Registry())


class Block:
    """One way to run a block through a pipeline, so that a test need not know which colour it is."""

    def __init__(self, colour):
        self.colour = colour

    def permit(self, pipeline, body):
        if self.colour == "sync":
            with pipeline.permit():
                return body()

        async def run():
            async with pipeline.permit():
                return body()

        return run_async(run())

    def attempts(self, pipeline, body):
        """The numbers of the attempts, and what the last one gave."""
        numbers, value = [], None
        if self.colour == "sync":
            for attempt in pipeline.attempts():
                with attempt:
                    numbers.append(attempt.number)
                    value = body()
            return numbers, value

        async def run():
            found = None
            async for attempt in pipeline.attempts():
                async with attempt:
                    numbers.append(attempt.number)
                    found = body()
            return found

        value = run_async(run())
        return numbers, value


@pytest.fixture(params=["sync", "async"])
def block(request, clock):
    return Block(request.param)


def test_a_permit_holds_a_slot_for_the_length_of_the_block(block):
    """R-PL1, R-BH1"""
    bulkhead = Bulkhead(1)
    pipeline = pipeline_of(bulkhead)
    assert block.permit(pipeline, lambda: bulkhead.snapshot().gauges["in_flight"]) == 1
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    assert pipeline.snapshot().counters["calls.success"] == 1


def test_a_block_that_fails_counts_against_the_circuit_and_gives_its_slot_back(block):
    """R-PL1"""
    breaker, bulkhead = CircuitBreaker(1), Bulkhead(1)
    pipeline = pipeline_of(breaker, bulkhead)
    with pytest.raises(ConnectionError):
        block.permit(pipeline, Scripted([ConnectionError()]))
    assert breaker.state == "open"
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    ran = []
    with pytest.raises(CircuitOpenError):
        block.permit(pipeline, lambda: ran.append(1))
    assert ran == []
    counters = pipeline.snapshot().counters
    assert (counters["calls.failure"], counters["calls.rejected"]) == (1, 1)


def test_when_the_second_guard_refuses_the_first_gets_everything_back(block):
    """R-PL1"""
    limiter, bulkhead = RateLimiter("1/day", burst=5), Bulkhead(1)
    pipeline = pipeline_of(limiter, bulkhead)
    with Pipeline("h", bulkhead, registry=None).permit(), pytest.raises(BulkheadFullError):
        block.permit(pipeline, int)
    assert limiter.snapshot().gauges["tokens"] == 5.0


def test_a_permit_waits_in_line(block, clock):
    """R-PL1, R-RL1"""
    pipeline = pipeline_of(RateLimiter("1/second", max_wait=5.0))
    block.permit(pipeline, int)
    block.permit(pipeline, int)
    assert clock.now() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "policy, why",
    [
        (lambda: Fallback(0), "a block has no value that could be replaced"),
        (retry, "a block runs once; use `for attempt in pipeline.attempts()`"),
        (lambda: Timeout(1.0), "a block of plain code cannot be cut short"),
        (lambda: Deadline(1.0), "a block of plain code cannot be cut short"),
    ],
)
def test_a_policy_that_cannot_act_on_a_block_is_refused_with_the_reason(policy, why):
    """R-PL1"""
    with pytest.raises(ConfigurationError, match=r'Pipeline "p"\.permit\(\): \w+ cannot act here: ') as caught:
        pipeline_of(policy()).permit()
    assert why in str(caught.value)


def test_attempts_need_a_retry_and_nothing_that_cannot_act():
    """R-PL1"""
    with pytest.raises(ConfigurationError, match=r"there is no Retry in it; use permit\(\)"):
        pipeline_of(CircuitBreaker()).attempts()
    with pytest.raises(ConfigurationError, match=r"there is no Retry in it"):
        pipeline_of().attempts()
    for other in (Fallback(0), Deadline(1.0)):
        with pytest.raises(ConfigurationError, match=r'"p"\.attempts\(\): \w+ cannot act here'):
            pipeline_of(other, retry()).attempts()
    with pytest.raises(ConfigurationError, match=r"Timeout cannot act here"):
        pipeline_of(retry(), Timeout(1.0)).attempts()
    with pytest.raises(ConfigurationError, match=r"a block has no value that `retry_result` could look at"):
        pipeline_of(Retry(retry_result=lambda value: value is None)).attempts()


def test_attempts_run_the_block_again_until_it_succeeds(block, clock):
    """R-PL1"""
    pipeline = pipeline_of(retry(), CircuitBreaker(50))
    assert block.attempts(pipeline, Scripted([ConnectionError(), ConnectionError(), "there"])) == ([1, 2, 3], "there")
    assert clock.now() == pytest.approx(2.0)
    assert pipeline.snapshot().counters["calls.success"] == 1
    assert pipeline.policies[0].snapshot().counters["success"] == 1


def test_the_last_error_leaves_the_loop(block, clock):
    """R-PL1, R-RT6"""
    pipeline = pipeline_of(retry())
    script = [ConnectionError("one"), ConnectionError("two"), ConnectionError("three")]
    with pytest.raises(ConnectionError, match="three") as caught:
        block.attempts(pipeline, Scripted(script))
    assert "gave up after 3 attempts" in caught.value.__notes__[0]
    assert pipeline.snapshot().counters["calls.failure"] == 1


def test_a_mistake_of_the_program_and_an_interrupt_leave_at_once(block):
    """R-PL1"""
    for error in (TypeError("bug"), KeyboardInterrupt()):
        script = Scripted([error])
        with pytest.raises(type(error)):
            block.attempts(pipeline_of(retry()), script)
        assert script.calls == 1


def test_a_block_may_be_left_from_inside(clock):
    """R-PL1"""
    bulkhead = Bulkhead(1)
    pipeline = pipeline_of(retry(), bulkhead)

    def first():
        for attempt in pipeline.attempts():
            with attempt:
                return attempt.number
        return None

    assert first() == 1
    for attempt in pipeline.attempts():
        with attempt:
            break
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    assert pipeline.snapshot().counters["calls.success"] == 2


def test_a_refusal_after_an_attempt_leaves_as_the_real_error(block):
    """R-CB6"""
    pipeline = pipeline_of(retry(), CircuitBreaker(1))
    with pytest.raises(ConnectionError, match="real") as caught:
        block.attempts(pipeline, Scripted([ConnectionError("real")]))
    assert any("a further attempt was refused" in note for note in caught.value.__notes__)


def test_a_refusal_before_the_first_attempt_leaves_as_it_is(block):
    """R-CB6"""
    breaker = CircuitBreaker(1)
    breaker.trip()
    ran = Scripted([1])
    with pytest.raises(CircuitOpenError):
        block.attempts(pipeline_of(retry(), breaker), ran)
    assert ran.calls == 0


def test_a_refusal_is_waited_out_when_that_fits_the_deadline(block, clock):
    """R-RT2"""
    pipeline = pipeline_of(retry(), RateLimiter("1/second"))
    with Recorder(pipeline._judge.bus) as recorder:
        assert block.attempts(pipeline, Scripted(["one"]))[1] == "one"
        token = shrink_deadline(clock.now() + 10.0, 10.0, clock)
        try:
            assert block.attempts(pipeline, Scripted(["two"]))[1] == "two"
        finally:
            restore_deadline(token)
        assert clock.now() == pytest.approx(1.0)
        assert len(recorder.of(RetryScheduled)) == 1
        with pytest.raises(RateLimitedError):
            block.attempts(pipeline, Scripted(["three"]))
        assert len(recorder.of(RetryScheduled)) == 1
        assert len(recorder.of(RetryGaveUp)) == 0


def test_a_cancel_between_attempts_ends_the_loop(clock):
    """R-RT5"""
    bulkhead = Bulkhead(1)
    pipeline = pipeline_of(retry(9, 10.0), bulkhead)
    script = Scripted([ConnectionError()])

    async def looping():
        async for attempt in pipeline.attempts():
            async with attempt:
                script()

    async def scenario():
        task = asyncio.create_task(looping())
        await asyncio.wait([task], timeout=15.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_async(scenario())
    assert script.calls == 2
    assert bulkhead.snapshot().gauges["in_flight"] == 0


def test_a_cancel_while_waiting_for_a_slot_leaves_no_trace(clock):
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=5, max_wait=None)
    limiter = RateLimiter("1/day", burst=3)
    pipeline = pipeline_of(limiter, bulkhead)

    async def waiting():
        async with pipeline.permit():
            raise AssertionError("it never gets in")

    async def scenario():
        async with Pipeline("h", bulkhead, registry=None).permit():
            task = asyncio.create_task(waiting())
            await asyncio.wait([task], timeout=1.0)
            assert bulkhead.snapshot().gauges["queued"] == 1
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert bulkhead.snapshot().gauges["queued"] == 0

    run_async(scenario())
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    assert limiter.snapshot().gauges["tokens"] == 3.0
    assert pipeline.snapshot().counters["calls.cancelled"] == 1
