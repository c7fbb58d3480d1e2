"""What is told later, in batches, comes to the same as what is told one by one."""

import math

from hypothesis import given
from hypothesis import strategies as st

from seawall.machines.bulkhead import BulkheadMachine, BulkheadOptions
from seawall.machines.gcra import Gcra
from seawall.machines.retry_budget import RetryBudgetMachine, RetryBudgetOptions
from seawall.machines.shared import RateOptions
from seawall.machines.token_bucket import TokenBucket
from seawall.machines.trip import ConsecutiveFailures
from seawall.machines.trip_windows import FailureCount, FailureRate, SlowRate

rates = st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0])
rules = st.one_of(
    st.integers(1, 4).map(ConsecutiveFailures),
    st.builds(FailureCount, st.integers(1, 4), st.sampled_from([0.5, 5.0])),
    st.builds(FailureRate, rates, st.sampled_from([1.0, 7.0]), min_calls=st.integers(1, 6), tumbling=st.booleans()),
    st.builds(FailureRate, rates, calls=st.integers(6, 9), min_calls=st.integers(1, 6)),
    st.builds(SlowRate, rates, st.just(0.5), calls=st.integers(6, 9), min_calls=st.integers(1, 6)),
    st.builds(SlowRate, rates, st.just(0.5), st.sampled_from([1.0, 7.0]), min_calls=st.integers(1, 6)),
)
ends = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.01, 0.1, 0.7, 3.0]),
        st.sampled_from(["fine"] * 6 + ["slow", "failed"]),
    ),
    max_size=120,
)


@given(rules, ends, st.sampled_from([0.0, 0.05, 12345.678]))
def test_a_rule_trips_at_the_same_call_whether_successes_are_told_at_once_or_later(rule, ends, start):
    """R-CB2"""
    at_once, later = rule.tracker(), rule.tracker()
    now, told = start, []
    at, until = now, later.quiet_until(now)
    for wait, how in ends:
        now += wait
        took = 1.0 if how == "slow" else 0.1
        wanted = at_once.add(how == "failed", took, now)
        if how == "fine" and now < until:
            told.append(took)
            found = None
        else:
            if told:
                later.add_successes(told, at)
                told = []
            found = later.add(how == "failed", took, now)
            at, until = now, later.quiet_until(now)
        assert (found is None) == (wanted is None)
        if found is not None and wanted is not None:
            assert found == wanted
            at_once, later = rule.tracker(), rule.tracker()  # a circuit that opens counts afresh
            at, until = now, later.quiet_until(now)


@given(
    st.sampled_from([TokenBucket, Gcra]),
    st.floats(0.5, 5000.0),
    st.sampled_from([1.0, 5.0, 50.0, 500.0]),
    st.floats(0.0, 1.0),
    st.lists(st.floats(0.0, 1.0), max_size=200),
    st.floats(-3.0, 3.0),
)
def test_tokens_used_ahead_leave_the_level_that_they_leave_one_by_one(kind, rate, burst, spent, steps, scale):
    """R-RL1"""
    machines = [kind("m", RateOptions(rate, burst)) for _ in range(2)]
    for machine in machines:
        machine.available(100.0)
        for _ in range(int(burst * spent)):
            machine._take(1.0, 100.0)
    now, moments = 100.0, []
    for step in steps[: machines[0].spare(100.0)]:
        now += step * 10**scale / rate
        moments.append(now)
    machines[0].took(moments, now)
    for moment in moments:
        machines[1]._take(1.0, moment)
    levels = [machine.available(now + 1e-6) for machine in machines]
    assert math.isclose(*levels, abs_tol=1e-6 * burst)
    assert machines[0].counts["allowed"] == len(moments)


@given(
    st.sampled_from([TokenBucket, Gcra]), st.floats(0.5, 5000.0), st.sampled_from([1.0, 5.0, 50.0]), st.floats(0.0, 9.0)
)
def test_what_may_go_at_any_moment_may_go_whenever_that_is(kind, rate, burst, wait):
    """R-RL1"""
    machine = kind("m", RateOptions(rate, burst))
    count = machine.spare(1.0)
    assert count == int(burst)
    for _ in range(count):
        assert machine.lack(1.0, 1.0 + wait) == 0.0
        machine._take(1.0, 1.0 + wait)
    assert machine.spare(1.0 + wait) == 0


@given(st.lists(st.floats(0.0, 5.0), max_size=400), st.integers(0, 60))
def test_the_service_time_of_many_calls_is_that_of_each_after_the_other(durations, before):
    """R-BH1"""
    first, second = (BulkheadMachine("m", BulkheadOptions(3)) for _ in range(2))
    for machine in (first, second):
        machine.passed([0.5] * before)
    first.passed(durations)
    for duration in durations:
        second._took(duration)
    assert math.isclose(first.service, second.service, rel_tol=1e-4, abs_tol=1e-4)
    assert first.finished == second.finished


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(1, 4)), max_size=40), st.data())
def test_first_attempts_booked_late_count_in_their_own_bucket(deposits, data):
    """R-RT4"""
    at_once, late = (RetryBudgetMachine(RetryBudgetOptions(ratio=0.5, window=10.0)) for _ in range(2))
    now, put_off = 50.0, []
    for wait, count in deposits:
        now += wait
        for _ in range(count):
            at_once.deposit(now)
        put_off.append((now, count))
        if data.draw(st.booleans()):
            for moment, many in put_off:
                late.deposit_late(moment, many)
            put_off = []
            assert math.isclose(at_once.balance(now), late.balance(now))
