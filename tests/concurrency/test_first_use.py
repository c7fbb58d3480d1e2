"""The first use of a policy, by threads at once, in the middle of a fork, and with a signal anywhere in it."""

import os
import sys
import threading

import pytest

from seawall import Bulkhead, CircuitBreaker, RateLimiter, Retry
from seawall.core.permit import Permit
from tests.concurrency.test_fork import forked
from tests.concurrency.test_signals import pytestmark as needs_signals
from tests.concurrency.test_signals import signalled

THREADS = 4
ROUNDS = 150


@pytest.fixture
def hurried():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work):
    """What `THREADS` threads got from doing the same at once."""
    gate, found = threading.Barrier(THREADS), []

    def run():
        gate.wait()
        found.append(work())

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("make", [CircuitBreaker, Retry, lambda: Bulkhead(1), lambda: RateLimiter("1/hour", key=len)])
def test_threads_that_come_at_once_see_one_state(make):
    for _ in range(ROUNDS):
        policy = make()
        states = together(lambda policy=policy: (policy._lock, policy._outbox, policy._turn))
        assert len(states) == THREADS
        assert all(mine is first for state in states for mine, first in zip(state, states[0], strict=True))


@pytest.mark.usefixtures("hurried")
def test_no_decision_is_lost_where_threads_make_the_state_together():
    for _ in range(ROUNDS):
        limiter = RateLimiter("1/hour", burst=2)
        assert sum(together(limiter.try_acquire)) == 2
        assert limiter.snapshot().counters == {"requests.allowed": 2, "requests.rejected": THREADS - 2}


@pytest.mark.usefixtures("hurried")
def test_a_trace_function_that_uses_the_policy_at_every_line_of_its_making_sees_one_state():
    for line in range(1, 60):
        seen: list[bool] = []
        limiter, left = RateLimiter("1/hour", burst=5), line

        def trace(frame, event, arg, limiter=limiter, seen=seen):
            nonlocal left
            left -= 1
            if not left:
                sys.settrace(None)
                seen.append(isinstance(limiter.acquire(), Permit))
            return trace

        sys.settrace(trace)
        try:
            assert limiter.try_acquire()
        finally:
            sys.settrace(None)
        assert seen, "the trace function did not come that far"
        assert limiter.snapshot().counters["requests.allowed"] == 1 + sum(seen)


class TestSignals:
    pytestmark = needs_signals

    @pytest.mark.parametrize("world", ["bulkhead", "keyed-rate-limit", "closed", "retry"])
    @pytest.mark.parametrize("does", ["raises", "calls"])
    def test_a_handler_anywhere_in_the_first_call_leaves_one_whole_state(self, world, does):
        count, wrong = signalled(world, does, "everywhere", "call")
        assert count > 100
        assert not wrong, wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
class TestForks:
    def test_a_policy_that_was_not_used_before_the_fork_works_in_parent_and_child(self):
        forked(
            """
bulkhead = Bulkhead(1)

def check():
    assert not bulkhead._made
    assert Pipeline("c", bulkhead).call(int) == 0

in_child(check)
assert not bulkhead._made
assert Pipeline("p", bulkhead).call(int) == 0
"""
        )

    @pytest.mark.parametrize("held", ["making", "publishing"])
    def test_a_child_makes_the_state_that_another_thread_was_making_at_the_fork(self, held):
        forked(
            f"""
from seawall.core import lazy
from seawall.core.fork import _living
reached, go = threading.Event(), threading.Event()

class Slow(Bulkhead):
    def _whole(self):
        state = super()._whole()
        reached.set()
        go.wait()
        return state

def hold():
    with lazy._publishing.lock:
        reached.set()
        go.wait()

bulkhead = Slow(1) if {held!r} == "making" else Bulkhead(1)
maker = threading.Thread(target=bulkhead.snapshot if {held!r} == "making" else hold)
maker.start()
reached.wait()

def check():
    go.set()
    assert not bulkhead._made
    assert Pipeline("c", bulkhead).call(int) == 0
    assert bulkhead in _living
    assert bulkhead.snapshot().counters["requests.allowed"] == 1

in_child(check)
go.set()
maker.join()
assert bulkhead.snapshot().counters["requests.allowed"] == 0
assert Pipeline("p", bulkhead).call(int) == 0
"""
        )

    def test_a_thread_that_forks_in_the_middle_of_making_goes_on_in_the_child(self):
        forked(
            """
class Forking(Bulkhead):
    children = []

    def _whole(self):
        state = super()._whole()
        if not self.children:
            self.children.append(os.fork())
        return state

bulkhead = Forking(1)
assert bulkhead.snapshot().gauges["limit"] == 1
assert Pipeline("p", bulkhead).call(int) == 0
assert bulkhead.snapshot().counters["requests.allowed"] == 1
if Forking.children == [0]:
    os._exit(0)
_, status = os.waitpid(Forking.children[0], 0)
assert status == 0
"""
        )
