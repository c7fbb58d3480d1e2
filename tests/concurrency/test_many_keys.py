"""Keys and threads: exact for each key, bounded, and nobody waits for a decision on another key."""

import os
import sys
import threading
from collections import Counter
from random import Random

import pytest

from seawall import Bulkhead, BulkheadFullError, Pipeline, RateLimiter
from seawall.core.clock import using_clock
from tests.concurrency.test_fork import forked
from tests.support.ops import HandClock

THREADS = 8
KEYS = 300


@pytest.fixture(autouse=True)
def frantic():
    """Threads change places as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work):
    """One function in all threads, each with a number; raises what any of them raised."""
    errors: list[BaseException] = []

    def one(number):
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert not any(thread.is_alive() for thread in threads)


def itself(key):
    return key


@pytest.mark.parametrize("algorithm", ["token_bucket", "gcra", "fixed_window", "sliding_counter", "sliding_log"])
def test_no_key_gets_more_than_its_limit_from_eight_threads(algorithm):
    """R-RL1"""
    with using_clock(HandClock()):
        burst = 5.0 if algorithm in {"token_bucket", "gcra"} else None
        limiter = RateLimiter("5/hour", burst=burst, algorithm=algorithm, key=itself, max_keys=10_000)
    admitted: list[Counter[int]] = [Counter() for _ in range(THREADS)]

    def work(number):
        keys = [key for key in range(KEYS) for _ in range(2)]
        Random(number).shuffle(keys)
        for key in keys:
            admitted[number][key] += limiter.try_acquire(key=key)

    together(work)
    assert sum(admitted, Counter()) == Counter(dict.fromkeys(range(KEYS), 5))
    snapshot = limiter.snapshot()
    assert snapshot.counters["requests.allowed"] == 5 * KEYS
    assert snapshot.counters["requests.rejected"] == (2 * THREADS - 5) * KEYS
    assert snapshot.gauges["keys"] == KEYS


def test_keys_stay_bounded_and_the_counts_right_while_threads_make_and_look_and_change():
    """R-RL1"""
    limiter = RateLimiter("1000/second", key=itself, max_keys=1024)
    most = 0

    def work(number):
        nonlocal most
        for turn in range(1500):
            assert limiter.try_acquire(key=(number, turn))
            if turn % 100 == number:
                most = max(most, int(limiter.snapshot().gauges["keys"]))
            if turn % 500 == number:
                limiter.update("1000/second")
                limiter.reset()

    together(work)
    snapshot = limiter.snapshot()
    assert most <= 1024
    assert snapshot.gauges["keys"] == 1024
    assert snapshot.counters["requests.allowed"] == THREADS * 1500
    assert snapshot.counters["keys.evicted"] == THREADS * 1500 - 1024
    for table in limiter._tables():
        assert len(list(table.machines())) == len(table)


def test_bulkheads_of_many_keys_get_every_slot_back():
    """R-BH1"""
    bulkhead = Bulkhead(1, key=itself, max_keys=2000)
    pipeline = Pipeline("p", bulkhead, registry=None)
    inside: Counter = Counter()
    guard = threading.Lock()

    def body(key):
        with guard:
            inside[key] += 1
            assert inside[key] == 1
        with guard:
            inside[key] -= 1

    def work(number):
        dice = Random(number)
        for _ in range(400):
            try:
                pipeline.call(body, dice.randrange(40))
            except BulkheadFullError:
                pass

    together(work)
    gauges, counters = bulkhead.snapshot().gauges, bulkhead.snapshot().counters
    assert (gauges["in_flight"], gauges["queued"]) == (0, 0)
    assert counters["requests.allowed"] + counters["requests.rejected"] == THREADS * 400


def test_a_decision_on_one_key_does_not_wait_for_one_on_another():
    """R-RL1"""
    limiter = RateLimiter("1/second", key=itself, max_keys=10_000)
    held = limiter._number("held")
    other = next(key for key in range(100) if limiter._number(key) != held)
    answers = []
    with limiter._lock_at(held):
        thread = threading.Thread(target=lambda: answers.append(limiter.try_acquire(key=other)), daemon=True)
        thread.start()
        thread.join(30)
        assert answers == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("held", ["each[3]", ""])
def test_a_child_of_a_fork_has_locks_of_its_own_for_every_stripe(held):
    """R-CB5"""
    forked(
        f"""
limiter = RateLimiter("1/hour", burst=1, key=lambda key: key, max_keys=2000, max_wait=10.0)
bulkhead = Bulkhead(1, key=lambda key: key, max_keys=2000)
for key in range(100):
    assert limiter.try_acquire(key=key)
    bulkhead.enter(seawall.core.permit.Ask(key=key), None)
lock, ready, go = limiter._lock, threading.Event(), threading.Event()

def hold():
    with lock{"." + held if held else ""}:
        ready.set()
        go.wait()

threading.Thread(target=hold).start()
ready.wait()

def check():
    assert bulkhead.snapshot().gauges["in_flight"] == 0
    for key in range(200):
        limiter.try_acquire(key=key)
        assert Pipeline("p", bulkhead, registry=None).call(lambda key: key, key) == key
    limiter.reset()
    assert all(limiter.try_acquire(key=key) for key in range(200))
    assert limiter.snapshot().gauges["waiting"] == 0

in_child(check)
go.set()
"""
    )
