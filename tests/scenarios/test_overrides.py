"""Changes for a while, by context and by an operator (R-PL5, user pains 20)."""

import asyncio
import threading

import pytest

import seawall
from seawall import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    Deadline,
    Pipeline,
    RateLimiter,
    Registry,
    Retry,
    TimedOutError,
    Timeout,
)
from seawall.backoff import Constant
from seawall.events.types import OverrideEnded, OverrideSet
from seawall.testing import Recorder, Scripted, run_async, virtual_time
from tests.support.both import both


def policies():
    return [
        Deadline(10.0),
        Retry(3, backoff=Constant(base=0.0), budget=None),
        CircuitBreaker(50),
        Timeout(5.0, mode="cooperative"),
    ]


@both(policies)
def test_a_block_changes_the_attempts_of_the_calls_inside_it(driven):
    """R-PL5. tenacity has one switch for the whole program."""
    counts = []
    for attempts in (1, 2, None):
        dependency = Scripted([ConnectionError])
        try:
            if attempts is None:
                driven.call(dependency)
            else:
                with seawall.override("scenario", attempts=attempts):
                    driven.call(dependency)
        except ConnectionError:
            counts.append(dependency.calls)
    assert counts == [1, 2, 3]
    assert driven.pipeline.policies[1].snapshot().counters["attempts.1"] == 3


@both(policies)
def test_a_block_for_another_pipeline_changes_nothing_here(driven):
    dependency = Scripted([ConnectionError])
    with seawall.override("other", attempts=1), pytest.raises(ConnectionError):
        driven.call(dependency)
    assert dependency.calls == 3


@both(policies)
def test_a_block_may_leave_policies_out_and_the_inner_one_wins(driven):
    dependency = Scripted([ConnectionError])
    with (
        seawall.override(attempts=5),
        seawall.override("scenario", disable=["retry", "deadline"]),
        pytest.raises(ConnectionError),
    ):
        driven.call(dependency)
    assert dependency.calls == 1


@both(policies)
def test_a_batch_may_take_longer(driven):
    clock = driven.pipeline.clock

    def looking():
        return seawall.remaining()

    assert driven.call(looking) == 5.0
    with seawall.override(timeout=60.0, deadline=600.0):
        assert driven.call(looking) == 60.0
    with seawall.override(timeout=1.0):
        assert driven.call(looking) == 1.0
    assert clock.now() == 0.0


def test_other_threads_and_tasks_see_nothing_of_it():
    pipeline = Pipeline("p", Retry(3, backoff=Constant(base=0.0), budget=None), registry=None)
    calls = []

    def failing():
        dependency = Scripted([ConnectionError])
        pipeline.call_outcome(dependency)
        calls.append(dependency.calls)

    with seawall.override(attempts=1):
        thread = threading.Thread(target=failing)
        thread.start()
        thread.join()
        failing()
    assert calls == [3, 1]

    async def main():
        async def inside():
            with seawall.override(attempts=1):
                await asyncio.sleep(0)
                return await pipeline.acall_outcome(Scripted([ConnectionError]).acall)

        async def outside():
            await asyncio.sleep(0)
            return await pipeline.acall_outcome(Scripted([ConnectionError]).acall)

        return [outcome.attempts for outcome in await asyncio.gather(inside(), outside())]

    assert run_async(main()) == [1, 3]


def test_blocks_and_streams_follow_it_too():
    pipeline = Pipeline("p", Retry(3, backoff=Constant(base=0.0), budget=None), Bulkhead(1), registry=None)
    opened = []

    def items():
        opened.append(1)
        yield from failing()

    def failing():
        raise ConnectionError

    with seawall.override(attempts=1):
        with pytest.raises(ConnectionError):
            list(pipeline.stream(items))
        assert pipeline.attempts().retry.options.attempts == 1
    assert len(opened) == 1


class TestByAnOperator:
    """R-PL5"""

    def test_it_holds_for_everybody_until_it_expires(self):
        registry = Registry()
        pipeline = Pipeline("orders", *policies(), registry=registry)
        with virtual_time(pipeline) as clock, Recorder(registry.bus) as recorder:
            pipeline.override(owner="ann", reason="they asked us to", attempts=1, expires_in=60.0)
            shown = pipeline.snapshot().overrides[0]
            assert (shown["owner"], shown["reason"], shown["changes"]) == ("ann", "they asked us to", "attempts=1")
            assert shown["expires_at"] == clock.wall() + 60.0
            for after, calls in ((0.0, 1), (59.0, 1), (1.0, 3)):
                clock.advance(after)
                dependency = Scripted([ConnectionError])
                pipeline.call_outcome(dependency)
                assert dependency.calls == calls
            assert pipeline.snapshot().overrides == ()
        assert [(e.owner, e.reason) for e in recorder.of(OverrideSet, OverrideEnded)] == [
            ("ann", "they asked us to"),
            ("ann", "expired"),
        ]

    def test_it_can_be_lifted_once(self):
        pipeline = Pipeline("orders", *policies(), registry=None)
        with virtual_time(pipeline):
            one = pipeline.override(owner="ann", reason="test", disable="retry")
            assert pipeline.lift(one)
            assert not pipeline.lift(one)
            dependency = Scripted([ConnectionError])
            pipeline.call_outcome(dependency)
            assert dependency.calls == 3

    def test_a_shorter_timeout_is_in_force_at_once(self):
        pipeline = Pipeline("orders", Timeout(5.0), registry=None)
        with virtual_time(pipeline) as clock:
            pipeline.override(owner="ann", reason="test", timeout=1.0)
            with pytest.raises(TimedOutError):
                run_async(pipeline.acall(Scripted([(3.0, 1)]).acall))
            assert clock.now() == 1.0

    def test_limits_are_changed_for_everybody_and_set_back_when_it_expires(self):
        limiter, bulkhead = RateLimiter("100/second", burst=7), Bulkhead(5)
        pipeline = Pipeline("orders", limiter, bulkhead, registry=None)
        with virtual_time(pipeline) as clock:
            pipeline.override(owner="ann", reason="calm down", rate="1/second", max_concurrent=1, expires_in=60.0)
            assert (limiter.rate, bulkhead.options.limit) == ("1/second", 1)
            assert pipeline.snapshot().overrides[0]["changes"] == "max_concurrent=1, rate='1/second'"
            clock.advance(60.0)
            assert pipeline.call(int) == 0
            assert (limiter.rate, limiter.burst, bulkhead.options.limit) == ("100/second", 7.0, 5)

    def test_a_limit_that_is_not_there_cannot_be_changed(self):
        pipeline = Pipeline("orders", Bulkhead(5), registry=None)
        with pytest.raises(ConfigurationError, match='pipeline "orders" has no RateLimiter'):
            pipeline.override(owner="ann", reason="test", rate="1/second")
        assert pipeline.snapshot().overrides == ()

    @pytest.mark.parametrize(
        "given, text",
        [
            ({"disable": ["retries"]}, "override.disable: 'retries' is no kind of policy; known: bulkhead"),
            ({"attempts": 0}, "override.attempts = 0"),
            ({"timeout": 0}, "override.timeout = 0"),
            ({"attempts": 1, "owner": ""}, "override.owner = ''"),
            ({"attempts": 1, "expires_in": 0}, "override.expires_in = 0"),
            ({}, "changes nothing"),
        ],
    )
    def test_a_mistake_is_refused_with_place_value_and_remedy(self, given, text):
        pipeline = Pipeline("orders", *policies(), registry=None)
        with pytest.raises(ConfigurationError, match=text):
            pipeline.override(**{"owner": "ann", "reason": "test", **given})
        assert pipeline.snapshot().overrides == ()
