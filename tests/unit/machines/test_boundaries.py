"""Boundaries, counts and words of the machines, to the letter."""

import pytest

from seawall.backoff import Constant
from seawall.core.permit import ASK, Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.events.types import CircuitClosed, CircuitForced, CircuitHalfOpened, CircuitOpened, CircuitReleased
from seawall.machines.breaker import Breaker
from seawall.machines.breaker_options import BreakerOptions, Forced
from seawall.machines.bulkhead import BulkheadMachine, BulkheadOptions
from seawall.machines.fixed_window import FixedWindow
from seawall.machines.gcra import Gcra
from seawall.machines.retry import Ended, GiveUp, RetryOptions, RetryRun, Wait
from seawall.machines.shared import RateOptions, WindowOptions
from seawall.machines.sliding_counter import SlidingCounter
from seawall.machines.sliding_log import SlidingLog
from seawall.machines.stale_cache import StaleCacheMachine, StaleCacheOptions
from seawall.machines.token_bucket import TokenBucket
from seawall.machines.trip import ConsecutiveFailures
from seawall.machines.trip_windows import SlowRate


class TestRetry:
    """R-RT3, R-RT6"""

    def run(self, **options):
        return RetryRun(RetryOptions(3, Constant(base=1.0, jitter="none"), **options), 10.0)

    @pytest.mark.parametrize(
        "ended, deadline, step",
        [
            (Ended(True), 21.5, Wait(1.0)),
            (Ended(True), 21.0, GiveUp("deadline")),  # now + delay == deadline: nothing may start then
            (Ended(True, 0.5, rejected=True), 21.5, Wait(1.0)),
            (Ended(True, 0.5, rejected=True), 21.0, GiveUp("rejected")),
            (Ended(True, 0.5, rejected=True), None, GiveUp("rejected")),
            (Ended(True, None, rejected=True), 90.0, GiveUp("rejected")),
            (Ended(False, None, rejected=True), 90.0, GiveUp("rejected")),
            (Ended(False), 90.0, GiveUp("not_retryable")),
            (Ended(True, 60.0), 900.0, Wait(60.0)),
            (Ended(True, 60.5), 900.0, GiveUp("retry_after_too_long")),
            (Ended(True, pushback=True), 900.0, GiveUp("pushback")),
            (Ended(True, stop="nested", pushback=True), 900.0, GiveUp("nested")),
        ],
    )
    def test_a_step_follows_from_the_end_and_the_deadline(self, ended, deadline, step):
        assert self.run().after(ended, lambda: 0.0, 20.0, deadline) == step

    def test_the_total_time_counts_from_the_first_attempt(self):
        assert self.run(max_time=11.5).after(Ended(True), lambda: 0.0, 20.0) == Wait(1.0)
        assert self.run(max_time=11.0).after(Ended(True), lambda: 0.0, 20.0) == GiveUp("max_time")

    def test_it_knows_how_many_attempts_are_left(self):
        run = self.run()
        assert run.left() == 3
        run.after(Ended(True), lambda: 0.0, 20.0)
        assert run.left() == 2


class TestStaleCache:
    """R-FB1"""

    def test_it_counts_what_callers_found(self):
        machine = StaleCacheMachine(StaleCacheOptions(10.0, 60.0, 5, 0.0))
        first = machine.look("a", 0.0)
        assert (first.what, machine.look("a", 0.0).what) == ("lead", "follow")
        assert first.flight is not None
        machine.land("a", first.flight, "value", 0.0, 0.0)
        assert [machine.look("a", at).what for at in (0.0, 5.0, 10.0, 10.0)] == ["fresh", "fresh", "lead", "stale"]
        assert machine.counts == {"fresh": 2, "stale": 1, "fetched": 1, "followed": 1}

    def test_a_clock_that_goes_back_makes_a_value_as_if_it_were_new(self):
        machine = StaleCacheMachine(StaleCacheOptions(10.0, 60.0, 5, 0.0))
        flight = machine.look("a", 100.0).flight
        assert flight is not None
        machine.land("a", flight, "value", 100.0, 0.0)
        assert machine.look("a", 50.0)[:2] == ("fresh", "value")
        assert machine.look("a", 59.0).what == "fresh"
        assert machine.look("a", 60.0).what == "lead"

    def test_without_a_time_of_freshness_everybody_calls(self):
        machine = StaleCacheMachine(StaleCacheOptions(0.0, 60.0, 5, 0.0))
        looks = [machine.look("a", 0.0) for _ in range(2)]
        assert [look.what for look in looks] == ["lead", "lead"]
        assert looks[0].flight is not looks[1].flight


class TestBulkhead:
    """R-BH1"""

    def test_the_time_of_service_is_an_average_and_then_follows(self):
        machine = BulkheadMachine("db", BulkheadOptions(1))
        for took in (2.0, 4.0):
            permit = machine.enter(ASK, 0.0)
            assert isinstance(permit, Permit)
            machine.leave(permit, Verdict.SUCCESS, took)
        assert machine.service == 3.0
        for _ in range(200):
            permit = machine.enter(ASK, 0.0)
            assert isinstance(permit, Permit)
            machine.leave(permit, Verdict.SUCCESS, 1.0)
        assert machine.service == pytest.approx(1.0, abs=0.01)
        assert (machine.asked, machine.counts["allowed"], machine.finished) == (202, 202, 202)

    def test_what_was_never_sent_is_not_counted(self):
        machine = BulkheadMachine("db", BulkheadOptions(2))
        permits = [machine.enter(ASK, 0.0) for _ in range(2)]
        for permit in permits:
            assert isinstance(permit, Permit)
            machine.leave(permit, Verdict.UNSENT, 1.0)
        assert (machine.counts["allowed"], machine.finished, machine.service) == (0, 0, 0.0)


class TestBreaker:
    """R-CB1, R-CB4"""

    def machine(self, **options):
        rules = (ConsecutiveFailures(1), SlowRate(1.0, slower_than=5.0, calls=9, min_calls=9))
        return Breaker("db", BreakerOptions(rules, 30.0, 2, 1, **options))

    def trial(self, machine, at):
        permit = machine.acquire(ASK, at)
        assert isinstance(permit, Permit)
        assert permit.kind == "trial"
        return permit

    def test_a_pin_and_its_release_are_told_with_who_and_why(self):
        machine = self.machine()
        machine.force(Forced("open", "ann", "moving", 50.0), 10.0)
        machine.release("bob", 20.0, "done")
        machine.force(Forced("closed", "ann", "moving", None), 30.0)
        assert list(machine.outbox) == [
            (CircuitForced, 1, 10.0, "db", "open", "ann", "moving", 40.0),
            (CircuitReleased, 2, 20.0, "db", "closed", "bob", "done"),
            (CircuitForced, 3, 30.0, "db", "closed", "ann", "moving", None),
        ]
        assert machine.release("ann", 40.0)
        assert not machine.release("ann", 40.0)

    def test_trials_that_succeed_close_it_and_say_so(self):
        machine = self.machine()
        machine.trip(0.0)
        machine.record(self.trial(machine, 30.0), Verdict.SUCCESS, 1.0, 31.0)
        assert list(machine.outbox)[1:] == [
            (CircuitHalfOpened, 2, 30.0, "db", "timeout", 2),
            (CircuitClosed, 3, 31.0, "db", "trials_succeeded", 31.0),
        ]
        assert machine.transitions == {("closed", "open"): 1, ("open", "half-open"): 1, ("half-open", "closed"): 1}

    @pytest.mark.parametrize(
        "verdict, took, causes",
        [(Verdict.SUCCESS, 5.5, {"slow": 1}), (Verdict.FAILURE, 1.0, {"E": 1}), (Verdict.DROPPED, 9.0, {"E": 1})],
    )
    def test_a_trial_that_fails_or_is_slow_opens_it_again_and_says_why(self, verdict, took, causes):
        machine = self.machine()
        machine.trip(0.0)
        machine.record(self.trial(machine, 30.0), verdict, took, 36.0, "E" if verdict.failed else "")
        assert machine.outbox[-1] == (CircuitOpened, 3, 36.0, "db", "trial_failed", 30.0, {"causes": causes})
        assert machine.retry_at == 66.0

    def test_a_trial_that_took_exactly_the_threshold_is_not_slow(self):
        machine = self.machine()
        machine.trip(0.0)
        machine.record(self.trial(machine, 30.0), Verdict.SUCCESS, 5.0, 35.0)
        assert machine.word(35.0) == "closed"

    def test_a_hung_trial_is_written_off_at_the_end_of_its_lease_and_its_end_is_stale(self):
        machine = self.machine(lease=10.0)
        machine.trip(0.0)
        hung = self.trial(machine, 30.0)
        machine.tick(39.999)
        assert machine.word(39.999) == "half-open"
        machine.tick(40.0)
        assert machine.outbox[-1] == (CircuitOpened, 3, 40.0, "db", "lease_ended", 30.0, {"causes": {"no result": 1}})
        machine.record(hung, Verdict.SUCCESS, 11.0, 41.0)
        assert (machine.word(41.0), machine.stale_results) == ("open", 1)

    def test_when_the_next_trial_may_come_is_told_while_it_is_open(self):
        machine = self.machine()
        assert machine.retry_after(0.0) == 0.0
        machine.trip(0.0)
        assert machine.retry_after(10.0) == 20.0
        assert machine.retry_after(30.0) == 0.0
        machine.force(Forced("open", "ann", "moving", 90.0), 40.0)
        assert machine.retry_after(50.0) == 40.0
        machine.force(Forced("closed", "ann", "moving", 90.0), 40.0)
        assert machine.retry_after(50.0) == 0.0


RATED = {"tokens": 0.0, "cost": 1.0, "per_second": 0.5}
WINDOWED = {"tokens": 0.0, "cost": 1.0, "limit": 2.0, "window": 4.0}


@pytest.mark.parametrize(
    "kind, options, evidence, lack",
    [
        (TokenBucket, RateOptions(0.5, 2.0, 0.0), RATED, 2.0),
        (Gcra, RateOptions(0.5, 2.0, 0.0), RATED, 2.0),
        (FixedWindow, WindowOptions(2.0, 4.0, 0.0), WINDOWED, 4.0),
        (SlidingCounter, WindowOptions(2.0, 4.0, 0.0), WINDOWED, 6.0),
        (SlidingLog, WindowOptions(2.0, 4.0, 0.0), WINDOWED, 4.0),
    ],
)
def test_a_spent_limit_says_what_it_is_and_when_to_come_back(kind, options, evidence, lack):
    """R-RL1"""
    machine = kind("api", options)
    for _ in range(2):
        assert isinstance(machine.acquire(ASK, 8.0), Permit)
    assert machine.acquire(ASK, 8.0) == Rejection("empty", lack, evidence, 1, "api")
    assert (machine.counts["allowed"], machine.counts["rejected"], machine.asked) == (2, 1, 3)
    assert isinstance(machine.acquire(ASK, 8.0 + lack), Permit)


@pytest.mark.parametrize(
    "kind, options",
    [
        (TokenBucket, RateOptions(0.5, 2.0, 10.0)),
        (Gcra, RateOptions(0.5, 2.0, 10.0)),
        (FixedWindow, WindowOptions(2.0, 4.0, 10.0)),
        (SlidingCounter, WindowOptions(2.0, 4.0, 10.0)),
        (SlidingLog, WindowOptions(2.0, 4.0, 10.0)),
    ],
)
def test_what_was_never_sent_comes_back_and_the_one_who_waits_goes(kind, options):
    """R-RL1"""
    machine = kind("api", options)
    permits = [machine.acquire(ASK, 8.0) for _ in range(2)]
    place = machine.enter(Ask(1.0), 8.0)
    assert isinstance(place, Parked)
    assert isinstance(permits[0], Permit)
    assert machine.leave(permits[0], Verdict.UNSENT, 9.0) == [place]
    assert isinstance(machine.claim(place, 9.0), Permit)
    assert machine.counts["allowed"] == 2
