"""Fork: the child starts a new era and works, whatever the parent's threads were doing."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

CHILD = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads, which is what this is about
import seawall
from seawall import Bulkhead, CircuitBreaker, Pipeline, RateLimiter, Registry, Retry, Timeout
from seawall.core.clock import SYSTEM_CLOCK
from seawall.core.permit import ASK
from seawall.core.verdict import Verdict

def in_child(check):
    # Runs `check` in a forked child and hands on its exit code; the alarm ends a child that hangs.
    pid = os.fork()
    if pid == 0:
        import signal, traceback
        signal.alarm(20)
        try:
            check()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, status
"""


def forked(code):
    run = subprocess.run([sys.executable, "-c", CHILD + code], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_child_has_nothing_in_flight_and_its_parents_permits_are_stale():
    """R-CB5, R-BH1"""
    forked(
        """
bulkhead, breaker = Bulkhead(1, queue=1, max_wait=None), CircuitBreaker(1, recovery_timeout=1000)
pipeline = Pipeline("p", breaker, bulkhead)
breaker.half_open()
trial = breaker.acquire(ASK)
slot = bulkhead.enter(ASK, None)
waiting = threading.Thread(target=lambda: Pipeline("w", bulkhead, registry=None).call(int), daemon=True)
waiting.start()
while not bulkhead.snapshot().gauges["queued"]:
    pass

def check():
    gauges = bulkhead.snapshot().gauges
    assert (gauges["in_flight"], gauges["queued"]) == (0, 0), gauges
    assert breaker.snapshot().gauges["trials"] == 0
    breaker.record(trial, Verdict.FAILURE, 0.1)
    bulkhead.leave(slot, Verdict.SUCCESS)
    assert breaker.state == "half-open", breaker.state
    assert breaker.snapshot().counters["stale_results"] == 1
    assert pipeline.call(int) == 0
    assert bulkhead.snapshot().gauges["in_flight"] == 0

in_child(check)
assert bulkhead.snapshot().gauges["in_flight"] == 1
bulkhead.leave(slot, Verdict.SUCCESS)
waiting.join(10)
assert bulkhead.snapshot().gauges["in_flight"] == 0
"""
    )


def test_a_child_keeps_an_open_circuit_open():
    """R-CB5"""
    forked(
        """
breaker = CircuitBreaker(1, recovery_timeout=1000)
pipeline = Pipeline("p", breaker)
breaker.trip()

def check():
    assert breaker.state == "open"
    assert isinstance(pipeline.call_outcome(int).error, seawall.CircuitOpenError)

in_child(check)
"""
    )


@pytest.mark.parametrize("held", ["the locks", "the turn to publish"])
def test_a_child_works_although_a_thread_held_every_lock_at_the_fork(held):
    """R-CB5"""
    forked(
        f"""
policies = Retry(2), CircuitBreaker(1), RateLimiter("9/second", max_wait=1.0), Bulkhead(1), Timeout(5.0, mode="thread")
registry = Registry()
pipeline = Pipeline("p", *policies, registry=registry)
locks = [policy._lock for policy in policies]
locks += [pipeline._judge._lock, registry._lock, registry.bus._lock, registry.bus.journal._lock]
held, go = threading.Event(), threading.Event()

def hold():
    if {held!r} == "the locks":
        for lock in locks:
            lock.acquire()
        held.set()
        go.wait()
        for lock in locks:
            lock.release()
    else:
        turns = [next(policy._turns) for policy in policies]
        held.set()
        go.wait()
        for policy in policies:
            policy._turn.append(None)

holder = threading.Thread(target=hold)
holder.start()
held.wait()

def check():
    assert pipeline.call(int) == 0
    registry.bus.listen(print)
    assert not pipeline.call_outcome(lambda: 1 / 0).ok
    registry.snapshot()
    registry.pipeline("p")
    assert policies[1].state == "open"

in_child(check)
go.set()
holder.join()
assert pipeline.call(int) == 0
"""
    )


def test_a_child_that_was_forked_in_the_middle_of_a_decision_starts_afresh():
    """R-CB5, R-BH1"""
    forked(
        """
class Slow:
    # A clock that holds one thread up while it decides, the lock in its hand.
    def __init__(self):
        self.hold, self.reached, self.go = False, threading.Event(), threading.Event()
    def now(self):
        if self.hold and threading.current_thread() is not threading.main_thread():
            self.reached.set()
            self.go.wait()
        return SYSTEM_CLOCK.now()
    def __getattr__(self, name):
        return getattr(SYSTEM_CLOCK, name)

clock = Slow()
bulkhead = Bulkhead(1)
pipeline = Pipeline("p", bulkhead, registry=None)
bulkhead.clock = clock
clock.hold = True
thread = threading.Thread(target=pipeline.call, args=(int,))
thread.start()
clock.reached.wait()

def check():
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    with pipeline.permit():
        assert bulkhead.snapshot().gauges["in_flight"] == 1
    assert bulkhead.snapshot().gauges["in_flight"] == 0

in_child(check)
clock.go.set()
thread.join()
"""
    )


def test_a_child_makes_worker_threads_of_its_own():
    """R-TM2"""
    forked(
        """
timeout = Timeout(0.05, mode="thread", max_threads=1)
pipeline = Pipeline("p", timeout, registry=None)
go = threading.Event()
assert isinstance(pipeline.call_outcome(go.wait).error, seawall.TimedOutError)
assert timeout.snapshot().gauges["left_behind"] == 1

def check():
    assert timeout.snapshot().gauges["left_behind"] == 0
    assert pipeline.call(int) == 0

in_child(check)
go.set()
"""
    )


def test_a_collected_coroutine_does_not_lock_up_the_thread_that_collects_it():
    """R-BH1"""
    forked(
        """
import asyncio, gc

class Collecting:
    # A clock whose look at the time happens to set off the garbage collector, as any allocation may.
    on = False
    def now(self):
        if self.on:
            self.on = False
            gc.collect()
        return SYSTEM_CLOCK.now()
    def __getattr__(self, name):
        return getattr(SYSTEM_CLOCK, name)

class Stop:
    def __await__(self):
        yield self

async def hanging():
    await Stop()

def check():
    gc.disable()
    clock = Collecting()
    breaker, limiter, bulkhead = CircuitBreaker(1), RateLimiter("9/second", max_wait=1.0), Bulkhead(2)
    for policy in (breaker, limiter, bulkhead):
        policy.clock = clock
    pipeline = Pipeline("p", breaker, limiter, bulkhead, registry=None)
    coroutine = pipeline.acall(hanging)
    coroutine.send(None)
    ring = [coroutine]
    ring.append(ring)  # only the collector finds it
    del coroutine, ring
    assert bulkhead.snapshot().gauges["in_flight"] == 1
    for look in (bulkhead.snapshot, lambda: pipeline.call(int)):
        clock.on = True
        look()
    assert bulkhead.snapshot().gauges["in_flight"] == 0

in_child(check)
"""
    )


def test_the_timer_of_a_probe_goes_on_in_the_child():
    """R-CB3"""
    forked("""
calls = []
breaker = CircuitBreaker(1, recovery_timeout=0.3, success_threshold=1, probe=lambda: calls.append(os.getpid()) or True)
breaker.trip()
parent = os.getpid()

def check():
    names = [thread.name for thread in threading.enumerate()]
    assert any(name.startswith("seawall-probe") for name in names), names
    for _ in range(200):
        if breaker.state == "closed":
            break
        threading.Event().wait(0.05)
    assert breaker.state == "closed"
    assert os.getpid() in calls and parent not in calls, calls
in_child(check)
""")
