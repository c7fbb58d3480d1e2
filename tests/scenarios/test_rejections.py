"""A refusal leaves a pipeline only if nothing happened; and what was not sent costs nothing."""

import gc
import pickle
import traceback

import pytest

from seawall import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    Deadline,
    DeadlineExceededError,
    Fallback,
    Pipeline,
    RateLimitedError,
    RateLimiter,
    Registry,
    RejectedError,
    Retry,
    TimedOutError,
    Timeout,
)
from seawall.backoff import Constant
from seawall.events.types import CallFailed, RetryScheduled
from seawall.testing import Recorder, Scripted, run_async, run_both, run_threads, virtual_time


def now(attempts, base=1.0):
    return Retry(attempts, backoff=Constant(base=base, jitter="none"))


def raised(driven, function):
    """What a call raised."""
    try:
        driven.call(function)
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_a_refusal_before_the_first_attempt_leaves_as_it_is():
    """R-CB6"""

    def scenario(driven):
        (breaker,) = driven.pipeline.policies
        breaker.trip()
        dependency = Scripted([1])
        error = raised(driven, dependency)
        assert isinstance(error, CircuitOpenError)
        assert dependency.calls == 0
        assert error.id.startswith("r-")
        assert str(error).endswith(f" (explain: seawall explain {error.id})")
        text = str(error).partition(" (explain")[0]
        return text, error.retry_after, error.policy, error.name, error.evidence["reason"]

    assert run_both(lambda: [CircuitBreaker(1)], scenario) == (
        'Call to "scenario" rejected: circuit open for another 30 s; nothing was sent.',
        30.0,
        "circuit_breaker",
        "scenario",
        "open",
    )


def test_after_an_attempt_the_last_real_error_leaves_with_the_refusal_in_its_notes():
    """R-CB6, R-RT6"""

    def scenario(driven):
        dependency = Scripted([ConnectionError("the real one")])
        error = raised(driven, dependency)
        assert type(error) is ConnectionError
        assert dependency.calls == 1
        (note,) = error.__notes__
        return str(error), note

    text, note = run_both(lambda: [now(3), CircuitBreaker(1)], scenario)
    assert text == "the real one"
    assert note.startswith('seawall: a further attempt was refused: Call to "scenario" rejected: circuit open for')


@pytest.mark.parametrize("mode", ["cooperative", "thread"])
def test_a_timed_out_attempt_followed_by_an_open_circuit_surfaces_as_the_timeout(mode):
    """R-CB6, R-TM1"""
    with virtual_time():
        pipeline = Pipeline("p", now(3), CircuitBreaker(1), Timeout(1.0, mode=mode), registry=None)
        slow = Scripted([(2.0, ConnectionError("late"))])
        with pytest.raises(TimedOutError) as caught:
            pipeline.call(slow)
        assert slow.calls == 1
        assert "a further attempt was refused" in caught.value.__notes__[0]
        if mode == "cooperative":
            assert isinstance(caught.value.__cause__, ConnectionError)


def test_a_cancelled_attempt_followed_by_an_open_circuit_surfaces_as_the_timeout():
    """R-CB6, R-TM1"""
    with virtual_time():
        pipeline = Pipeline("p", now(3), CircuitBreaker(1), Timeout(1.0), registry=None)
        slow = Scripted([(5.0, 1)])
        with pytest.raises(TimedOutError) as caught:
            run_async(pipeline.acall(slow.acall))
        assert slow.calls == 1
        assert "a further attempt was refused" in caught.value.__notes__[0]


def test_a_refusal_of_an_inner_pipeline_does_not_hide_an_attempt_that_was_made():
    """R-CB6"""

    def scenario(driven):
        inner = Pipeline("inner", CircuitBreaker(1), registry=None)
        dependency = Scripted([ConnectionError("the real one")])
        error = raised(driven, lambda: inner.call(dependency))
        assert dependency.calls == 1
        return type(error), str(error)

    with_deadline = lambda: [Deadline(10.0), now(3, 0.5)]  # noqa: E731
    for policies in (lambda: [now(3)], with_deadline):
        assert run_both(policies, scenario) == (ConnectionError, "the real one")


def test_a_refusal_of_an_inner_pipeline_passes_through_when_nothing_was_sent():
    """R-CB6"""

    def scenario(driven):
        breaker = CircuitBreaker(1)
        inner = Pipeline("inner", breaker, registry=None)
        breaker.trip()
        error = raised(driven, lambda: inner.call(int))
        outer = driven.pipeline.policies[1]
        return type(error), error.name, outer.snapshot().counters["requests.failure"]

    assert run_both(lambda: [now(3), CircuitBreaker(1)], scenario) == (CircuitOpenError, "inner", 0)


def test_an_attempt_that_is_refused_is_made_up_for_when_the_wait_fits_the_deadline():
    """R-RT2"""

    def scenario(driven):
        dependency = Scripted([1])
        first = driven.call(dependency)
        second = driven.call(dependency)
        return first, second, driven.pipeline.clock.now()

    policies = lambda: [Deadline(10.0), now(3, 0.1), RateLimiter("1/second")]  # noqa: E731
    assert run_both(policies, scenario) == (1, 1, pytest.approx(1.0))


def test_a_refusal_is_not_tried_again_without_a_deadline():
    """R-RT2"""

    def scenario(driven):
        driven.call(int)
        error = raised(driven, int)
        return type(error), driven.pipeline.clock.now()

    assert run_both(lambda: [now(3), RateLimiter("1/second")], scenario) == (RateLimitedError, 0.0)


def test_when_an_inner_guard_refuses_the_outer_ones_get_everything_back():
    """R-RL1, R-CB4"""
    with virtual_time() as clock:
        breaker, limiter, bulkhead = CircuitBreaker(1), RateLimiter("1/second", burst=5), Bulkhead(1)
        pipeline = Pipeline("p", breaker, limiter, bulkhead, registry=Registry())
        breaker.trip()
        clock.advance(30.0)  # half-open: the next call is a trial
        with Pipeline("other", bulkhead, registry=None).permit(), pytest.raises(BulkheadFullError):
            pipeline.call(int)
        assert limiter.snapshot().gauges["tokens"] == 5.0
        assert limiter.snapshot().counters["requests.allowed"] == 0
        assert breaker.snapshot().gauges["trials"] == 0
        assert breaker.state == "half-open"
        counters = breaker.snapshot().counters
        assert (counters["requests.success"], counters["requests.failure"], counters["stale_results"]) == (0, 0, 0)
        assert pipeline.call(int) == 0
        assert breaker.snapshot().counters["requests.success"] == 1


def test_refused_calls_are_counted_as_refused_and_not_as_failed():
    """R-PL2"""
    with virtual_time():
        pipeline = Pipeline("p", RateLimiter("1/day"), registry=Registry())
        pipeline.call(int)
        for _ in range(3):
            assert isinstance(pipeline.call_outcome(int).error, RejectedError)
        counters = pipeline.snapshot().counters
        assert (counters["calls.success"], counters["calls.rejected"], counters["calls.failure"]) == (1, 3, 0)


def test_our_own_queue_never_counts_as_slowness():
    """R-CB2"""
    from seawall import SlowRate

    with virtual_time():
        breaker = CircuitBreaker(trip=[SlowRate(0.1, slower_than=1.0, calls=5, min_calls=1)])
        bulkhead = Bulkhead(1, queue=10, max_wait=None)
        pipeline = Pipeline("p", breaker, bulkhead, registry=None)
        quick = Scripted([(0.9, 1)])
        assert run_threads(*[lambda: pipeline.call(quick)] * 5) == [1] * 5
        assert breaker.state == "closed"
        assert breaker.snapshot().histograms["duration"].total == pytest.approx(4.5)
        assert max(bulkhead.snapshot().histograms["wait"].counts) > 0


def test_a_trials_lease_starts_when_it_is_sent_and_not_in_our_queue():
    """R-CB4"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, lease=5.0, success_threshold=1)
        bulkhead = Bulkhead(1, queue=1, max_wait=None)
        pipeline = Pipeline("p", breaker, bulkhead, registry=None)
        breaker.half_open()
        hold = Pipeline("hold", bulkhead, registry=None)

        def trial():
            clock.sleep(1.0)
            return pipeline.call(Scripted([(4.0, "ok")]))

        assert run_threads(lambda: hold.call(Scripted([(60.0, 0)])), trial) == [0, "ok"]
        assert breaker.state == "closed"


def test_every_refusal_is_a_fresh_error_that_pickles():
    """R-CB6"""
    with virtual_time():
        pipeline = Pipeline("p", RateLimiter("1/day"), registry=None)
        pipeline.call(int)
        first, second = pipeline.call_outcome(int).error, pipeline.call_outcome(int).error
        assert first is not second
        back = pickle.loads(pickle.dumps(first))
        assert isinstance(back, RateLimitedError)
        assert isinstance(first, RateLimitedError)
        assert (str(back), back.retry_after, back.evidence) == (str(first), first.retry_after, first.evidence)


def test_ten_thousand_refusals_leave_nothing_behind():
    """R-QA1"""
    with virtual_time():
        registry = Registry()
        breaker = CircuitBreaker(1)
        last = ConnectionError("one object, raised again and again")
        pipeline = Pipeline("p", Fallback(0), now(2, 0.0), breaker, Bulkhead(1), registry=registry)
        bare = Pipeline("bare", breaker, registry=registry)
        breaker.force("open", owner="mia", reason="test", expires_in=None)

        def refuse(times):
            for _ in range(times):
                pipeline.call(int)
                bare.call_outcome(int)
            gc.collect()
            return len(gc.get_objects())

        refuse(5_000)  # the journal fills up: its size is the bound
        before = refuse(10)
        after = refuse(5_000)
        assert abs(after - before) < 200
        assert len(registry.bus.journal) == 4097, "the refusals that it holds, and what forced them"
        breaker.release(owner="mia")
        for _ in range(200):
            breaker.reset()
            bare.call_outcome(Scripted([last]))
            pipeline.call(Scripted([last]))
        assert len(getattr(last, "__notes__", ())) <= 8
        assert len(list(traceback.walk_tb(last.__traceback__))) < 5_000


def test_an_error_raised_again_keeps_the_cause_the_dependency_gave_it():
    """R-RT6"""

    def failing():
        raise ConnectionError("outer") from OSError("the cable")

    def scenario(driven):
        error = raised(driven, failing)
        return type(error.__cause__), error.__suppress_context__

    for policies in (lambda: [now(2)], lambda: [now(3), CircuitBreaker(1)]):
        assert run_both(policies, scenario) == (OSError, True)


def test_giving_up_leaves_a_note_on_what_was_tried():
    """R-RT6"""

    def scenario(driven):
        return raised(driven, Scripted([ConnectionError("no")])).__notes__

    assert run_both(lambda: [now(3)], scenario) == ["seawall: scenario: gave up after 3 attempts in 2 s (attempts)"]


def test_a_deadline_that_has_passed_refuses_before_anything_is_sent():
    """R-TM1"""

    def scenario(driven):
        inner = Pipeline("inner", Deadline(5.0), Timeout(1.0, mode="cooperative"), registry=None)
        clock = driven.pipeline.clock
        dependency = Scripted([1])

        def late():
            clock.advance(10.0)
            return inner.call(dependency)

        error = raised(driven, late)
        return type(error), dependency.calls

    assert run_both(lambda: [Deadline(10.0)], scenario) == (DeadlineExceededError, 0)


def test_events_of_a_refused_retry_tell_what_happened():
    """R-PL4"""

    def scenario(driven):
        from seawall import default_registry

        with Recorder(default_registry.bus) as recorder:
            driven.call(Scripted([ConnectionError("a"), 1]))
        return [str(type(event).__name__) for event in recorder.of(CallFailed, RetryScheduled)]

    assert run_both(lambda: [now(2)], scenario) == ["CallFailed", "RetryScheduled"]
