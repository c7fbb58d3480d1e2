"""What the machines say of their decisions: reasons, evidence and events, to the letter."""

import pytest

from seawall.core.permit import ASK, Ask, Parked, Permit, Rejection
from seawall.core.verdict import Verdict
from seawall.events.types import CallRejected, CircuitClosed, CircuitHalfOpened, CircuitOpened
from seawall.machines.breaker import Breaker
from seawall.machines.breaker_options import BreakerOptions
from seawall.machines.bulkhead import BulkheadMachine, BulkheadOptions
from seawall.machines.fixed_window import FixedWindow
from seawall.machines.health import HealthOptions, Status, worst
from seawall.machines.several import Several
from seawall.machines.shared import Shared, WindowOptions
from seawall.machines.timeout import LAUNCH, Finish, SleepUntil, TimeoutRace
from seawall.machines.trip import ConsecutiveFailures


class TestBulkhead:
    """R-BH1"""

    def full(self, **options):
        machine = BulkheadMachine("db", BulkheadOptions(1, **options))
        assert isinstance(machine.enter(ASK, 1.0), Permit)
        return machine

    def test_a_full_one_says_how_full(self):
        machine = self.full()
        evidence = {"in_flight": 1, "limit": 1, "queued": 0}
        assert machine.enter(ASK, 2.0) == Rejection("full", None, evidence, 1, "db")
        assert list(machine.outbox) == [(CallRejected, 1, 2.0, "db", "bulkhead", "full", None, evidence)]
        assert machine.counts["rejected"] == 1

    def test_a_full_queue_says_so(self):
        machine = self.full(queue=1, max_wait=5.0)
        assert isinstance(machine.enter(ASK, 2.0), Parked)
        refused = machine.enter(ASK, 3.0)
        assert isinstance(refused, Rejection)
        assert refused[:3] == ("queue_full", None, {"in_flight": 1, "limit": 1, "queued": 1})

    @pytest.mark.parametrize("deadline, at, reason", [(None, 7.0, "waited"), (4.0, 4.0, "deadline")])
    def test_who_waited_in_vain_is_told_why(self, deadline, at, reason):
        machine = self.full(queue=1, max_wait=5.0)
        place = machine.enter(Ask(deadline=deadline), 2.0)
        assert isinstance(place, Parked)
        assert machine.claim(place, at - 0.5) is place
        refused = machine.claim(place, at)
        assert isinstance(refused, Rejection)
        assert (refused.reason, refused.evidence) == (reason, {"in_flight": 1, "limit": 1, "queued": 0})

    def test_a_deadline_that_has_passed_is_the_reason(self):
        machine = self.full(queue=1, max_wait=5.0)
        refused = machine.enter(Ask(deadline=2.0), 2.0)
        assert isinstance(refused, Rejection)
        assert refused.reason == "deadline"

    def test_a_wait_that_would_be_too_long_is_told(self):
        machine = self.full(queue=5, max_wait=100.0)
        for at in range(10):  # as many must be known before an estimate is believed
            machine.leave(next(iter(machine.inside.values())), Verdict.SUCCESS, 1.5 + at / 2)  # took half a second
            assert isinstance(machine.enter(ASK, 1.5 + at / 2), Permit)
        refused = machine.enter(Ask(deadline=6.25), 6.0)
        assert isinstance(refused, Rejection)
        assert (refused.reason, refused.evidence) == (
            "deadline",
            {"in_flight": 1, "limit": 1, "queued": 0, "expected_wait": 0.5},
        )
        assert isinstance(machine.enter(Ask(deadline=6.75), 6.0), Parked)

    def test_a_child_of_a_fork_is_empty_and_knows_no_permit_of_before(self):
        shared = Shared()
        machine = BulkheadMachine("db", BulkheadOptions(1, 5, 10.0), shared)
        permit = machine.enter(ASK, 1.0)
        place = machine.enter(ASK, 1.0)
        assert (shared.inside, shared.waiting) == (1, 1)
        machine.renew()
        assert (shared.inside, shared.waiting, machine.oldest(9.0), machine.queue_age(9.0)) == (0, 0, 0.0, 0.0)
        assert isinstance(permit, Permit)
        assert isinstance(place, Parked)
        assert machine.leave(permit, Verdict.SUCCESS, 2.0) == []
        assert (machine.stale_results, place.gone) == (1, True)
        assert isinstance(machine.enter(ASK, 3.0), Permit)


class TestBreakerByHand:
    """R-CB1"""

    def machine(self):
        return Breaker("db", BreakerOptions((ConsecutiveFailures(1),), recovery_timeout=30.0, half_open_max_calls=2))

    def test_each_move_is_an_event_with_its_reason(self):
        machine = self.machine()
        machine.trip(1.0)
        machine.half_open(2.0)
        machine.reset(5.0)
        assert list(machine.outbox) == [
            (CircuitOpened, 1, 1.0, "db", "manual", 30.0, {}),
            (CircuitHalfOpened, 2, 2.0, "db", "manual", 2),
            (CircuitClosed, 3, 5.0, "db", "manual", 4.0),
        ]

    def test_one_that_was_closed_has_been_open_since_it_was_half_opened(self):
        machine = self.machine()
        machine.half_open(2.0)
        assert machine.opened_at == 2.0
        assert machine.word(2.0) == "half-open"
        machine.reset(5.0)
        assert machine.outbox[-1] == (CircuitClosed, 2, 5.0, "db", "manual", 3.0)

    def test_one_that_was_open_keeps_the_moment_it_opened(self):
        machine = self.machine()
        machine.trip(1.0)
        machine.half_open(9.0)
        assert machine.opened_at == 1.0
        assert isinstance(machine.acquire(ASK, 9.0), Permit)

    def test_the_end_of_a_ramp_lets_everybody_through(self):
        options = BreakerOptions((ConsecutiveFailures(1),), recovery_timeout=1.0, success_threshold=1, ramp=10.0)
        machine = Breaker("db", options, lambda: 0.999)
        machine.trip(0.0)
        trial = machine.acquire(ASK, 1.0)
        assert isinstance(trial, Permit)
        machine.record(trial, Verdict.SUCCESS, 0.0, 1.0)
        refused = machine.acquire(ASK, 1.0)
        assert isinstance(refused, Rejection)
        assert refused.reason == "ramp"
        assert refused.retry_after == pytest.approx(9.99)
        assert isinstance(machine.acquire(ASK, 11.0), Permit)


class TestSeveral:
    """R-RL1"""

    def machine(self, **more):
        parts = [FixedWindow("a", WindowOptions(2.0, 10.0, 0.0)), FixedWindow("b", WindowOptions(3.0, 100.0, 0.0))]
        return Several("both", parts, **more)

    def test_a_refusal_names_the_limit_that_binds(self):
        machine = self.machine()
        machine.acquire(Ask(2.0), 0.0)
        refused = machine.acquire(Ask(1.0), 0.0)
        evidence = {"binding": "a", "tokens": 0.0, "cost": 1.0, "limit": 2.0, "window": 10.0}
        assert refused == Rejection("empty", 10.0, evidence, 1, "both")
        assert machine.options.max_wait == 0.0
        assert machine.options.parts == (WindowOptions(2.0, 10.0, 0.0), WindowOptions(3.0, 100.0, 0.0))

    def test_those_who_may_wait_wait_for_the_longest(self):
        shared = Shared()
        machine = self.machine(max_wait=200.0, shared=shared)
        machine.acquire(Ask(2.0), 0.0)
        place = machine.enter(Ask(2.0), 0.0)
        assert isinstance(place, Parked)
        assert place.wake_at == 100.0
        assert shared.waiting == 1

    def test_a_pause_holds_all_of_them_and_a_reset_ends_it(self):
        machine = self.machine()
        permit = machine.acquire(Ask(1.0), 0.0)
        assert isinstance(permit, Permit)
        machine.record(permit, Verdict.THROTTLED, 0.0, 0.0, retry_after=50.0)
        refused = machine.acquire(Ask(1.0), 10.0)
        assert isinstance(refused, Rejection)
        assert (refused.reason, refused.retry_after) == ("throttled", 40.0)
        machine.reset(10.0)
        assert isinstance(machine.acquire(Ask(2.0), 10.0), Permit)


class TestTimeoutRace:
    """R-TM1"""

    def test_it_launches_sleeps_and_finishes(self):
        race = TimeoutRace(5.0, 10.0)
        assert (race.until, race.limit) == (15.0, 5.0)
        assert race.next(10.0, False) is LAUNCH
        assert race.next(11.0, False) == SleepUntil(15.0)
        assert race.next(12.0, True) == Finish("result")
        assert race.next(15.0, False) == Finish("timeout")

    def test_the_deadline_counts_if_it_is_sooner(self):
        race = TimeoutRace(5.0, 10.0, 12.0)
        assert (race.until, race.limit) == (12.0, 2.0)
        assert TimeoutRace(5.0, 10.0, 90.0).until == 15.0

    def test_a_race_without_time_is_over_before_it_begins(self):
        race = TimeoutRace(5.0, 10.0, 10.0)
        assert race.next(10.0, False) == Finish("timeout")
        assert not race.launched


class TestHealth:
    """R-HC1"""

    @pytest.mark.parametrize(
        "statuses, whole",
        [
            ([], Status.HEALTHY),
            ([Status.HEALTHY, Status.DEGRADED], Status.DEGRADED),
            ([Status.UNKNOWN, Status.HEALTHY], Status.DEGRADED),
            ([Status.UNHEALTHY, Status.CRITICAL, Status.DEGRADED], Status.CRITICAL),
            ([Status.UNHEALTHY, Status.UNKNOWN], Status.UNHEALTHY),
        ],
    )
    def test_the_worst_counts(self, statuses, whole):
        assert worst(statuses) is whole

    @pytest.mark.parametrize(
        "options, text",
        [
            ({"rise": 0}, "rise = 0: must be at least 1"),
            ({"fall": 0}, "fall = 0: must be at least 1"),
            ({"stale_after": 0.0}, "stale_after = 0.0: must be more than 0 seconds"),
        ],
    )
    def test_a_mistake_is_refused_with_its_value(self, options, text):
        with pytest.raises(ValueError, match=text):
            HealthOptions(**options)

    def test_the_least_values_are_accepted(self):
        assert HealthOptions(rise=1, fall=1, stale_after=0.001).stale_after == 0.001
