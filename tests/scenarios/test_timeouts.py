"""Timeouts and deadlines: honest for plain functions, exact for coroutines."""

import asyncio
import contextvars
import threading

import pytest

import seawall
from seawall import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    Deadline,
    DeadlineExceededError,
    Pipeline,
    RejectedError,
    Retry,
    TimedOutError,
    Timeout,
    Verdict,
)
from seawall.backoff import Constant
from seawall.events.types import CallTimedOut
from seawall.testing import Recorder, Scripted, run_async, run_both, run_threads, virtual_time
from tests.support.policies import Gate, Watch


def pipeline_of(*policies):
    return Pipeline("p", *policies, registry=None)


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


# ------------------------------------------------------------------ cooperative


def test_a_late_value_is_returned_and_counted(clock):
    """R-TM2"""
    timeout = Timeout(1.0, mode="cooperative")
    pipeline = pipeline_of(timeout)
    assert pipeline.call(Scripted([(2.0, "late")])) == "late"
    assert pipeline.call(Scripted([(0.5, "early")])) == "early"
    counters = timeout.snapshot().counters
    assert (counters["requests.late"], counters["requests.ok"], counters["requests.timed_out"]) == (1, 1, 0)


def test_a_late_error_becomes_a_timeout_from_it(clock):
    """R-TM2"""
    with Recorder() as recorder, pytest.raises(TimedOutError, match="It may have been executed") as caught:
        pipeline_of(Timeout(1.0, mode="cooperative")).call(Scripted([(2.0, ConnectionError("late"))]))
    assert str(caught.value.__cause__) == "late"
    assert caught.value.evidence == {"limit": 1.0, "which": "timeout"}
    assert [event.limit for event in recorder.of(CallTimedOut)] == [1.0]


def test_an_early_error_and_the_functions_own_timeout_pass_untouched():
    """R-TM1"""

    def scenario(driven):
        error = driven.pipeline
        found = []
        for own in (TimeoutError("own"), ConnectionError("own")):
            with pytest.raises(type(own)) as caught:
                driven.call(Scripted([own]))
            found.append(caught.value is own)
        return found, error.name

    assert run_both(lambda: [Timeout(1.0, mode="cooperative")], scenario) == ([True, True], "scenario")


def test_the_function_sees_how_much_time_is_left():
    """R-TM1"""

    def scenario(driven):
        return driven.call(seawall.remaining), seawall.remaining()

    attempt = lambda: Timeout(5.0, mode="cooperative")  # noqa: E731
    assert run_both(lambda: [attempt()], scenario) == (5.0, None)
    assert run_both(lambda: [Timeout(5.0, mode="thread")], scenario) == (5.0, None)
    assert run_both(lambda: [Deadline(3.0), attempt()], scenario) == (3.0, None)
    assert run_both(lambda: [Deadline(9.0), attempt()], scenario) == (5.0, None)


def test_a_deadline_shrinks_from_attempt_to_attempt_and_never_grows():
    """R-TM1"""

    def scenario(driven):
        seen = []

        def failing():
            seen.append(seawall.remaining())
            driven.pipeline.clock.advance(1.0)
            raise ConnectionError

        with pytest.raises(ConnectionError):
            driven.call(failing)
        return seen

    policies = lambda: [  # noqa: E731
        Deadline(10.0),
        Retry(3, backoff=Constant(base=2.0, jitter="none")),
        Timeout(5.0, mode="cooperative"),
    ]
    assert run_both(policies, scenario) == [5.0, 5.0, 4.0]


def test_nested_pipelines_share_the_shorter_deadline():
    """R-TM1"""

    def scenario(driven):
        inner = pipeline_of(Deadline(100.0))
        longer = driven.call(lambda: inner.call(seawall.remaining))
        shorter = driven.call(lambda: pipeline_of(Deadline(2.0)).call(seawall.remaining))
        return longer, shorter

    assert run_both(lambda: [Deadline(10.0)], scenario) == (10.0, 2.0)


# ----------------------------------------------------------------------- thread


def test_the_caller_goes_on_when_the_time_is_up_and_the_thread_is_counted(clock):
    """R-TM2"""
    timeout = Timeout(1.0, mode="thread")
    pipeline = pipeline_of(timeout)
    release = threading.Event()
    with pytest.raises(TimedOutError):
        pipeline.call(lambda: clock.wait(release, None))
    assert clock.now() == 1.0
    snapshot = timeout.snapshot()
    assert (snapshot.gauges["left_behind"], snapshot.counters["abandoned"]) == (1, 1)
    release.set()
    run_threads(lambda: clock.sleep(1.0))
    wait_until(lambda: timeout.snapshot().gauges["left_behind"] == 0)
    assert timeout.snapshot().counters["abandoned"] == 1


def wait_until(condition):
    """Real time: a thread that nobody can join has to come to its end."""
    for _ in range(5000):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never came")


def test_calls_beyond_the_threads_are_refused_at_once_and_do_not_queue(clock):
    """R-TM2"""
    timeout = Timeout(1.0, mode="thread", max_threads=2)
    pipeline = pipeline_of(timeout)
    release = threading.Event()
    for _ in range(2):
        with pytest.raises(TimedOutError):
            pipeline.call(lambda: clock.wait(release, None))
    before = clock.now()
    with pytest.raises(RejectedError, match="all worker threads for timeouts are taken; nothing was sent") as caught:
        pipeline.call(int)
    assert clock.now() == before
    assert caught.value.evidence == {"reason": "workers", "threads": 2, "left_behind": 2}
    release.set()
    wait_until(lambda: timeout.snapshot().gauges["left_behind"] == 0)
    assert pipeline.call(int) == 0


def test_the_context_goes_into_the_thread_and_nothing_comes_back(clock):
    """R-TM2"""
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("caller")

    def look():
        seen = variable.get()
        variable.set("worker")
        return seen

    assert pipeline_of(Timeout(1.0, mode="thread")).call(look) == "caller"
    assert variable.get() == "caller"


def test_values_errors_and_interrupts_come_out_of_the_thread(clock):
    """R-TM2"""
    pipeline = pipeline_of(Timeout(1.0, mode="thread"))
    assert pipeline.call(int, "3") == 3
    for kind in (ValueError, KeyboardInterrupt, StopIteration):
        with pytest.raises(kind):
            pipeline.call(Scripted([kind]))


def test_a_slot_is_kept_until_the_thread_that_was_left_behind_ends(clock):
    """R-TM2, R-BH1"""
    bulkhead = Bulkhead(1)
    pipeline = pipeline_of(bulkhead, Timeout(1.0, mode="thread"))
    release = threading.Event()
    with pytest.raises(TimedOutError):
        pipeline.call(lambda: clock.wait(release, None))
    assert bulkhead.snapshot().gauges["in_flight"] == 1
    with pytest.raises(BulkheadFullError):
        pipeline.call(int)
    release.set()
    wait_until(lambda: bulkhead.snapshot().gauges["in_flight"] == 0)
    assert pipeline.call(int) == 0


def test_a_second_attempt_gives_its_slot_back_although_the_first_still_hangs(clock):
    """R-TM2, R-BH1"""
    bulkhead = Bulkhead(2)
    pipeline = pipeline_of(Retry(2, backoff=Constant(base=0.0)), bulkhead, Timeout(1.0, mode="thread"))
    release = threading.Event()
    tries = []

    def hangs_once():
        tries.append(1)
        if len(tries) == 1:
            clock.wait(release, None)
        return "second"

    assert pipeline.call(hangs_once) == "second"
    assert bulkhead.snapshot().gauges["in_flight"] == 1
    release.set()
    wait_until(lambda: bulkhead.snapshot().gauges["in_flight"] == 0)


def test_a_call_refused_for_lack_of_time_never_runs_afterwards(clock):
    """R-CB6, R-TM2"""
    gate = Gate()
    ran: list[int] = []
    pipeline = pipeline_of(Timeout(1.0, mode="thread"), Retry(1), gate)
    with pytest.raises(DeadlineExceededError, match="nothing was sent"):
        pipeline.call(ran.append, 1)
    gate.opened.set()
    wait_until(lambda: gate.ended)
    assert gate.ended[0][0] is Verdict.UNSENT
    assert ran == []


def test_an_interrupt_while_the_thread_works_leaves_it_behind_and_keeps_its_slot(clock, monkeypatch):
    """R-TM2, R-BH1"""
    bulkhead, watch, timeout = Bulkhead(1), Watch(), Timeout(5.0, mode="thread")
    pipeline = pipeline_of(watch, bulkhead, timeout)
    release, begun = threading.Event(), threading.Event()
    main = threading.get_ident()
    wait = type(clock).wait

    def interrupted(self, event, until):
        if threading.get_ident() == main:
            assert begun.wait(30)
            raise KeyboardInterrupt
        return wait(self, event, until)

    def hanging():
        begun.set()
        clock.wait(release, None)

    monkeypatch.setattr(type(clock), "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.call(hanging)
    monkeypatch.undo()
    assert timeout.snapshot().gauges["left_behind"] == 1
    assert bulkhead.snapshot().gauges["in_flight"] == 1
    assert watch.ended[0][0] is Verdict.IGNORED
    release.set()
    wait_until(lambda: bulkhead.snapshot().gauges["in_flight"] == 0)


# ------------------------------------------------------------------------ async


def test_a_coroutine_is_cancelled_inside_when_its_time_is_up(clock):
    """R-TM1"""
    ended = []

    async def hanging():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(clock.now())

    timeout = Timeout(2.0)
    with pytest.raises(TimedOutError, match=r"cut short by its timeout of 2 s\. It may have been executed"):
        run_async(pipeline_of(timeout).acall(hanging))
    assert ended == [pytest.approx(2.0)]
    assert timeout.snapshot().counters["requests.timed_out"] == 1


def test_a_cancel_from_outside_stays_a_cancel(clock):
    """R-TM1"""
    breaker, timeout = CircuitBreaker(1), Timeout(5.0)
    pipeline = pipeline_of(breaker, timeout)

    async def scenario():
        task = asyncio.create_task(pipeline.acall(Scripted([(60.0, 1)]).acall))
        await asyncio.wait([task], timeout=1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_async(scenario())
    assert breaker.state == "closed"
    assert timeout.snapshot().counters == {
        "requests.ok": 1, "requests.timed_out": 0, "requests.late": 0, "abandoned": 0,
    }  # fmt: skip
    assert pipeline.snapshot().counters["calls.cancelled"] == 1


def test_the_callers_own_timeout_stays_the_callers(clock):
    """R-TM1"""
    breaker = CircuitBreaker(1)

    async def scenario():
        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(1.0):
                await pipeline_of(breaker, Timeout(5.0)).acall(Scripted([(60.0, 1)]).acall)
        return caught.value

    assert not isinstance(run_async(scenario()), seawall.SeawallError)
    assert breaker.state == "closed"


@pytest.mark.parametrize("outer, inner", [(1.0, 5.0), (1.0, 1.0), (5.0, 1.0)])
def test_of_two_nested_limits_the_shorter_one_counts(clock, outer, inner):
    """R-TM1"""
    breaker = CircuitBreaker(1)
    with pytest.raises(TimedOutError) as caught:
        run_async(pipeline_of(Deadline(outer), breaker, Timeout(inner)).acall(Scripted([(60.0, 1)]).acall))
    assert clock.now() == pytest.approx(1.0)
    assert breaker.state == "open"
    assert caught.value.policy in {"deadline", "timeout"}


def test_a_coroutine_that_will_not_be_cancelled_may_still_give_its_value(clock):
    """R-TM1"""

    async def stubborn():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            return "anyway"

    timeout = Timeout(1.0)
    assert run_async(pipeline_of(timeout).acall(stubborn)) == "anyway"
    assert timeout.snapshot().counters["requests.late"] == 1


def test_an_error_while_being_cancelled_is_a_timeout_from_it(clock):
    """R-TM1"""

    async def failing():
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise ConnectionError("on the way out") from None

    with pytest.raises(TimedOutError) as caught:
        run_async(pipeline_of(Timeout(1.0)).acall(failing))
    assert str(caught.value.__cause__) == "on the way out"


def test_waiting_in_a_queue_until_the_deadline_is_a_refusal():
    """R-TM1, R-BH1"""

    def scenario(driven):
        deadline, bulkhead = driven.pipeline.policies
        with pipeline_of(bulkhead).permit(), pytest.raises(RejectedError) as caught:
            driven.call(int)
        assert bulkhead.snapshot().gauges["queued"] == 0
        return round(driven.pipeline.clock.now(), 6), "nothing was sent" in str(caught.value), deadline.kind

    policies = lambda: [Deadline(3.0), Bulkhead(1, queue=1, max_wait=None)]  # noqa: E731
    assert run_both(policies, scenario) == (3.0, True, "deadline")
