"""Real threads: exact counts, one line, nothing lost."""

import sys
import threading
from collections import Counter

import pytest

from seawall import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    Pipeline,
    RateLimiter,
    Registry,
    RejectedError,
    Retry,
    Timeout,
)
from seawall.backoff import Constant
from seawall.core.permit import ASK, Parked, Permit, Waiter
from seawall.core.verdict import Verdict
from seawall.events.bus import Bus
from seawall.events.types import CallRejected
from seawall.testing import run_threads, virtual_time
from tests.support.policies import Watch
from tests.support.ways import MODULE_BOTH_WAYS

pytestmark = MODULE_BOTH_WAYS

THREADS = 16


@pytest.fixture(autouse=True)
def frantic():
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def fail():
    raise ConnectionError


def test_sixteen_threads_are_counted_exactly():
    """R-QA1"""
    registry = Registry()
    breaker = CircuitBreaker(10**9)
    limiter = RateLimiter("1000000/second", burst=1_000_000)
    bulkhead = Bulkhead(THREADS)
    pipeline = Pipeline("p", Retry(1), breaker, limiter, bulkhead, registry=registry)

    def work():
        for number in range(300):
            pipeline.call_outcome(fail if number % 3 == 0 else int)

    run_threads(*[work] * THREADS)
    counters = pipeline.snapshot().counters
    assert (counters["calls.success"], counters["calls.failure"]) == (THREADS * 200, THREADS * 100)
    circuit = breaker.snapshot().counters
    assert (circuit["requests.success"], circuit["requests.failure"]) == (THREADS * 200, THREADS * 100)
    assert limiter.snapshot().counters["requests.allowed"] == THREADS * 300
    assert bulkhead.snapshot().counters["requests.allowed"] == THREADS * 300
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    assert sum(count for _, count in registry.bus.journal.successes()) == THREADS * 200
    assert registry.bus.journal.appended >= THREADS * 100


def test_a_bulkhead_never_lets_in_more_than_its_limit():
    """R-BH1"""
    bulkhead = Bulkhead(4, queue=THREADS, max_wait=None)
    pipeline = Pipeline("p", bulkhead, registry=None)
    lock = threading.Lock()
    inside, most = 0, 0

    def body():
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.0001)
        with lock:
            inside -= 1

    def work():
        for _ in range(25):
            pipeline.call(body)

    assert run_threads(*[work] * THREADS) == [None] * THREADS
    assert most == 4
    snapshot = bulkhead.snapshot()
    assert (snapshot.gauges["in_flight"], snapshot.gauges["queued"]) == (0, 0)
    assert snapshot.counters["requests.allowed"] == THREADS * 25


def test_two_hundred_callers_at_the_end_of_the_open_period_send_exactly_the_trials():
    """R-CB4"""
    with virtual_time() as clock:
        breaker = CircuitBreaker(1, recovery_timeout=30.0, half_open_max_calls=3, success_threshold=3)
        pipeline = Pipeline("p", breaker, registry=None)
        breaker.trip()
        reached = []

        def dependency():
            reached.append(clock.now())
            clock.sleep(1.0)  # nobody comes back before all have asked
            return "fine"

        def caller():
            clock.sleep(30.0)
            return pipeline.call(dependency)

        results = run_threads(*[caller] * 200)
        assert len(reached) == 3
        assert results.count("fine") == 3
        assert sum(isinstance(result, CircuitOpenError) for result in results) == 197
        assert breaker.state == "closed"


def test_threads_stand_in_one_line_in_the_order_they_came():
    """R-BH1"""
    with virtual_time() as clock:
        bulkhead = Bulkhead(1, queue=THREADS, max_wait=None)
        pipeline = Pipeline("p", bulkhead, registry=None)
        order = []

        def body(number):
            order.append(number)
            clock.sleep(1.0)

        def caller(number):
            clock.sleep(number * 0.01)
            pipeline.call(body, number)

        run_threads(*[lambda number=number: caller(number) for number in range(THREADS)])
        assert order == list(range(THREADS))


def test_a_limiter_lets_threads_go_exactly_when_their_tokens_come():
    """R-RL1"""
    with virtual_time() as clock:
        limiter = RateLimiter("10/second", burst=1, max_wait=100.0)
        pipeline = Pipeline("p", limiter, registry=None)
        moments = run_threads(*[lambda: pipeline.call(clock.now)] * 30)
        assert sorted(float(str(moment)) for moment in moments) == pytest.approx([n / 10 for n in range(30)])


def test_events_are_numbered_without_gaps_and_published_in_order():
    """R-PL4"""
    registry = Registry()
    seen: dict[str, list[int]] = {"db": []}
    registry.bus.listen(lambda event: seen["db"].append(event.number), [CallRejected])
    limiter = RateLimiter("1/day", name="db")
    pipeline = Pipeline("p", limiter, registry=registry)
    pipeline.call(int)

    def work():
        for _ in range(200):
            with pytest.raises(RejectedError):
                pipeline.call(int)

    assert run_threads(*[work] * THREADS) == [None] * THREADS
    pipeline.call_outcome(int)  # whoever was last may have left some to a thread that was about to go
    assert seen["db"] == list(range(1, THREADS * 200 + 2))


def test_listeners_that_come_and_go_at_once_are_all_remembered():
    """R-PL4"""
    bus = Bus()

    def work():
        for number in range(200):
            subscription = bus.listen(lambda event: None)
            if number % 2:
                subscription.cancel()

    run_threads(*[work] * THREADS)
    assert len(bus._listeners) == THREADS * 100


def test_a_listener_may_call_the_policy_again_from_any_thread():
    """R-PL4"""
    registry = Registry()
    bulkhead = Bulkhead(1)
    pipeline = Pipeline("p", bulkhead, registry=registry)
    again = iter(range(500))  # each refusal makes another event: without a bound they would never end

    def listener(event):
        bulkhead.snapshot()
        if next(again, None) is not None:
            pipeline.call_outcome(int)

    registry.bus.listen(listener)

    def work():
        for _ in range(50):
            pipeline.call_outcome(int)

    with pipeline.permit():
        run_threads(*[work] * 8)
    assert registry.bus.listener_errors == 0
    assert bulkhead.snapshot().counters["requests.rejected"] == 8 * 50 + 500
    assert len(registry.bus.journal) == 8 * 50 + 500
    assert pipeline.call(int) == 0


def test_an_interrupt_of_a_waiting_thread_gives_its_place_back():
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=3, max_wait=None)
    watch = Watch()
    pipeline = Pipeline("p", watch, bulkhead, registry=None)

    class Interrupting:
        """A clock whose waits end as if Ctrl-C had been pressed."""

        def __init__(self, clock):
            self.clock = clock

        def wait(self, event, until):
            raise KeyboardInterrupt

        def __getattr__(self, name):
            return getattr(self.clock, name)

    holder = Pipeline("h", bulkhead, registry=None)
    with holder.permit():
        before, bulkhead.clock = bulkhead.clock, Interrupting(bulkhead.clock)
        with pytest.raises(KeyboardInterrupt):
            pipeline.call(int)
        bulkhead.clock = before
        assert bulkhead.snapshot().gauges["queued"] == 0
    assert watch.ended[0][0] is Verdict.UNSENT
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    assert pipeline.call(int) == 0


def test_an_interrupt_after_the_slot_was_given_passes_it_on():
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=3, max_wait=None)
    permit = bulkhead.enter(ASK, _Woken)
    assert isinstance(permit, Permit)
    first, second = bulkhead.enter(ASK, _Woken), bulkhead.enter(ASK, _Woken)
    assert isinstance(first, Parked)
    assert isinstance(second, Parked)
    bulkhead.leave(permit, Verdict.SUCCESS)
    assert first.permit is not None
    bulkhead.abandon(first)
    assert second.permit is not None
    assert bulkhead.snapshot().gauges["in_flight"] == 1


class _Woken(Waiter):
    """A waiter that is always there."""

    def wake(self):
        return True


class _Gone(Waiter):
    """A waiter whose loop is closed."""

    def wake(self):
        return False


def test_a_slot_passes_over_any_number_of_waiters_that_are_gone():
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=2000, max_wait=None)
    permit = bulkhead.enter(ASK, _Woken)
    assert isinstance(permit, Permit)
    for _ in range(1500):
        bulkhead.enter(ASK, _Gone)
    alive = bulkhead.enter(ASK, _Woken)
    assert isinstance(alive, Parked)
    bulkhead.leave(permit, Verdict.SUCCESS)
    assert alive.permit is not None
    gauges = bulkhead.snapshot().gauges
    assert (gauges["in_flight"], gauges["queued"]) == (1, 0)


def test_a_full_bulkhead_refuses_exactly_those_beyond_it():
    """R-BH1"""
    with virtual_time() as clock:
        bulkhead = Bulkhead(3, queue=4, max_wait=None)
        pipeline = Pipeline("p", bulkhead, registry=None)
        results = run_threads(*[lambda: pipeline.call(clock.sleep, 1.0)] * THREADS)
        kinds = Counter(type(result).__name__ for result in results)
        assert kinds == {"NoneType": 7, BulkheadFullError.__name__: 9}
        assert clock.now() == 3.0


def test_threads_left_behind_are_counted_exactly():
    """R-TM2"""
    with virtual_time() as clock:
        timeout = Timeout(1.0, mode="thread", max_threads=8)
        pipeline = Pipeline("p", timeout, registry=None)
        results = run_threads(*[lambda: pipeline.call(clock.sleep, 5.0)] * THREADS)
        kinds = Counter(type(result).__name__ for result in results)
        assert kinds == {"TimedOutError": 8, "RejectedError": 8}
        clock.sleep(10.0)
        for _ in range(5000):
            if not timeout.snapshot().gauges["left_behind"]:
                break
            threading.Event().wait(0.001)
        assert timeout.snapshot().gauges["left_behind"] == 0
        assert timeout.snapshot().counters["abandoned"] == 8
        assert pipeline.call(int) == 0


def test_retries_of_many_threads_do_not_share_their_delays():
    """R-RT1"""
    with virtual_time() as clock:
        pipeline = Pipeline("p", Retry(4, backoff=Constant(base=1.0, jitter="none"), budget=None), registry=None)

        def work():
            pipeline.call_outcome(fail)
            return clock.now()

        assert run_threads(*[work] * THREADS) == [3.0] * THREADS
