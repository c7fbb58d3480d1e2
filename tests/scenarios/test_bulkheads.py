"""Bulkheads as a program uses them: expected waits, order, keys, shadow, other sizes at run time."""

import time
from collections import deque
from typing import Any

import pytest

from seawall import Bulkhead, BulkheadFullError, ConfigurationError, Deadline, Pipeline
from seawall.core.permit import ASK, Ask, Parked, Permit, Rejection, Waiter
from seawall.core.verdict import Verdict
from seawall.machines.bulkhead import ADAPTIVE_AFTER, BulkheadMachine, BulkheadOptions
from seawall.testing import run_both, virtual_time


class Here(Waiter):
    """Somebody who waits and is always there."""

    def __init__(self):
        self.woken = 0

    def wake(self):
        self.woken += 1
        return True


@pytest.fixture
def clock():
    with virtual_time() as clock:
        yield clock


HELD: list[Any] = []  # a slot that nobody holds any more is found and given back


@pytest.fixture(autouse=True)
def let_go():
    yield
    HELD.clear()


def enter(bulkhead, ask=ASK):
    """What a bulkhead gives to one who asks, and keeps it."""
    HELD.append(bulkhead.enter(ask, Here))
    return HELD[-1]


def taught(bulkhead, clock, took):
    """Ten calls that took so long."""
    for _ in range(10):
        permit = enter(bulkhead)
        clock.advance(took)
        bulkhead.leave(permit, Verdict.SUCCESS)


def test_who_would_not_get_a_slot_before_the_deadline_is_refused_at_entry(clock):
    """R-BH1"""
    bulkhead = Bulkhead(2, queue=50, max_wait=60.0)
    taught(bulkhead, clock, 4.0)
    for _ in range(4):  # two inside, two in line: the third in line waits 3 × 4 s / 2
        enter(bulkhead)
    refused = enter(bulkhead, Ask(deadline=clock.now() + 6.0))
    assert isinstance(refused, Rejection)
    assert refused.reason == "deadline"
    assert refused.evidence is not None
    assert refused.evidence["expected_wait"] == 6.0
    assert isinstance(enter(bulkhead, Ask(deadline=clock.now() + 6.5)), Parked)


def test_while_too_few_service_times_are_known_nobody_is_refused_on_an_estimate(clock):
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=50, max_wait=1.0, refuse_early=True)
    for _ in range(9):
        permit = enter(bulkhead)
        clock.advance(100.0)
        bulkhead.leave(permit, Verdict.SUCCESS)
    enter(bulkhead)
    assert isinstance(enter(bulkhead, Ask(deadline=clock.now() + 0.1)), Parked)


@pytest.mark.parametrize("early", [False, True])
def test_the_maximum_wait_refuses_on_an_estimate_only_if_asked_to(clock, early):
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=50, max_wait=1.0, refuse_early=early)
    taught(bulkhead, clock, 2.0)
    enter(bulkhead)
    said = enter(bulkhead)
    assert isinstance(said, Rejection if early else Parked)
    if isinstance(said, Rejection):
        assert said.reason == "unreachable"


def test_calls_that_were_never_sent_teach_no_service_time(clock):
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=5, max_wait=None)
    for _ in range(20):
        permit = enter(bulkhead)
        bulkhead.leave(permit, Verdict.UNSENT)
    assert bulkhead._machine.finished == 0


@pytest.mark.parametrize(
    "order, wait, served",
    [("fifo", 5.0, [0, 1, 2]), ("lifo", 0.0, [2, 1, 0]), ("adaptive", 0.5, [0, 1, 2]), ("adaptive", 1.5, [2, 1, 0])],
)
def test_the_order_says_who_is_served_next(clock, order, wait, served):
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=5, max_wait=None, order=order)
    holder = enter(bulkhead)
    places = [enter(bulkhead) for _ in range(3)]
    clock.advance(wait)
    got = []
    for _ in range(3):
        bulkhead.leave(holder, Verdict.SUCCESS)
        [(number, holder)] = [(n, p.permit) for n, p in enumerate(places) if p.permit and not p.permit.settled]
        got.append(number)
    assert got == served


def test_an_adaptive_queue_is_first_come_first_served_up_to_the_very_moment(clock):
    """R-BH1"""
    machine = BulkheadMachine("x", BulkheadOptions(1, 5, None, "adaptive"))
    holder = machine.enter(ASK, 0.0)
    first, last = machine.enter(ASK, 0.0), machine.enter(ASK, 0.0)
    assert isinstance(holder, Permit)
    assert machine.leave(holder, Verdict.SUCCESS, ADAPTIVE_AFTER) == [first]
    assert isinstance(first, Parked)
    assert first.permit is not None
    assert machine.leave(first.permit, Verdict.SUCCESS, ADAPTIVE_AFTER) == [last]


def test_more_slots_wake_who_waits_and_fewer_come_as_calls_end(clock):
    """R-BH1"""
    bulkhead = Bulkhead(2, queue=5, max_wait=None)
    inside = [enter(bulkhead) for _ in range(2)]
    places = [enter(bulkhead) for _ in range(3)]
    bulkhead.resize(4)
    assert [place.waiter.woken for place in places] == [1, 1, 0]
    gauges = bulkhead.snapshot().gauges
    assert (gauges["in_flight"], gauges["limit"], gauges["saturation"]) == (4, 4, 1.0)
    bulkhead.resize(1)
    for permit in (*inside, places[0].permit):
        bulkhead.leave(permit, Verdict.SUCCESS)
        assert places[2].permit is None
    bulkhead.leave(places[1].permit, Verdict.SUCCESS)
    assert isinstance(bulkhead.claim(places[2]), Permit)
    assert bulkhead.snapshot().gauges["in_flight"] == 1


def test_each_key_has_slots_of_its_own():
    """R-BH1"""

    def scenario(driven):
        (bulkhead,) = driven.pipeline.policies
        held = bulkhead.enter(Ask(key="ann"), Here)
        assert isinstance(held, Permit)
        with pytest.raises(BulkheadFullError, match=r'"b\[k-[0-9a-f]{8}\]" rejected: all slots'):
            driven.call(lambda tenant: tenant, "ann")
        answers = driven.call(lambda tenant: tenant, "bob")
        bulkhead.leave(held, Verdict.SUCCESS)
        gauges = bulkhead.snapshot().gauges
        return answers, gauges["keys"], gauges["in_flight"], driven.call(lambda tenant: tenant, "ann")

    made = lambda: [Bulkhead(1, key=lambda tenant: tenant, name="b")]  # noqa: E731
    assert run_both(made, scenario) == ("bob", 2, 0, "ann")


def test_keys_with_somebody_inside_are_let_go_last(clock):
    """R-BH1"""
    bulkhead = Bulkhead(1, key=lambda tenant: tenant, max_keys=3)
    assert isinstance(enter(bulkhead, Ask(key="busy")), Permit)
    for number in range(20):
        bulkhead.leave(enter(bulkhead, Ask(key=number)), Verdict.SUCCESS)
    assert isinstance(enter(bulkhead, Ask(key="busy")), Rejection)
    assert bulkhead.snapshot().gauges["keys"] == 3


@pytest.mark.parametrize("queue", [0, 2])
def test_in_shadow_mode_everybody_is_let_in_and_slots_are_counted_exactly(queue):
    """R-BH1"""

    def scenario(driven):
        (bulkhead,) = driven.pipeline.policies
        holder = bulkhead.enter(ASK, Here)
        seen = [driven.call(lambda: bulkhead.snapshot().gauges["in_flight"]) for _ in range(3)]
        bulkhead.leave(holder, Verdict.SUCCESS)
        seen.append(driven.call(lambda: bulkhead.snapshot().gauges["in_flight"]))
        snapshot = bulkhead.snapshot()
        assert (snapshot.gauges["in_flight"], snapshot.gauges["queued"]) == (0, 0)
        return seen, snapshot.counters["requests.allowed"], snapshot.counters["requests.shadow_rejected"]

    options = {"queue": queue, "max_wait": 5.0} if queue else {}
    made = lambda: [Bulkhead(1, shadow=True, **options)]  # noqa: E731
    assert run_both(made, scenario) == ([1, 1, 1, 1], 5 if queue else 2, 0 if queue else 3)


def test_thousands_who_wait_cost_no_walk_through_all_of_them():
    """R-BH1"""

    def seconds(waiting):
        machine = BulkheadMachine("x", BulkheadOptions(1, waiting + 1, 1000.0))
        holder: Any = machine.enter(ASK, 0.0)
        places: deque[Any] = deque(machine.enter(ASK, 0.0) for _ in range(waiting))
        begin = time.perf_counter()
        for _ in range(300):
            machine.abandon(places.pop(), 1.0)
            machine.enter(ASK, 1.0)
            [woken] = machine.leave(holder, Verdict.SUCCESS, 1.0)
            holder = woken.permit
        return time.perf_counter() - begin

    few, many = min(seconds(700) for _ in range(3)), min(seconds(40_000) for _ in range(3))
    assert many < 10 * few  # a walk would make it 57 times as long


def test_the_age_of_the_queue_is_that_of_who_has_waited_longest(clock):
    """R-BH1"""
    bulkhead = Bulkhead(1, queue=5, max_wait=60.0)
    holder = enter(bulkhead)
    first = enter(bulkhead)
    clock.advance(2.0)
    enter(bulkhead)
    assert bulkhead.snapshot().gauges["queue_age"] == 2.0
    bulkhead.abandon(first)
    assert bulkhead.snapshot().gauges["queue_age"] == 0.0
    bulkhead.leave(holder, Verdict.SUCCESS)


def test_the_deadline_of_the_pipeline_is_what_the_estimate_is_held_against():
    """R-BH1, R-TM1"""
    with virtual_time() as clock:
        bulkhead = Bulkhead(1, queue=5, max_wait=None)
        taught(bulkhead, clock, 10.0)
        held = enter(bulkhead)
        before = clock.now()
        pipeline = Pipeline("p", Deadline(5.0), bulkhead, registry=None)
        with pytest.raises(BulkheadFullError) as caught:
            pipeline.call(int)
        assert caught.value.evidence["expected_wait"] == 10.0
        assert clock.now() == before
        bulkhead.leave(held, Verdict.SUCCESS)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"order": "random"}, "Bulkhead.order = 'random': must be \"fifo\""),
        ({"order": "lifo"}, "has no meaning without a queue"),
        ({"refuse_early": True}, "give max_wait in seconds"),
        ({"key": 3}, "Bulkhead.key = 3: must be the name of an argument"),
        ({"max_keys": 0}, "Bulkhead.max_keys = 0"),
        ({"key_ttl": 0}, "Bulkhead.key_ttl = 0"),
        ({"shadow": 1}, "Bulkhead.shadow = 1: must be True or False"),
    ],
)
def test_options_that_make_no_sense_are_refused_with_the_remedy(options, words):
    """R-BH1"""
    with pytest.raises(ConfigurationError) as caught:
        Bulkhead(1, **options)
    assert words in str(caught.value)
