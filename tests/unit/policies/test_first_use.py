"""The state of a policy is made at the first use, and everything that comes before goes on working."""

import copy

import pytest

import seawall
from seawall import (
    Bulkhead,
    CircuitBreaker,
    Deadline,
    Fallback,
    Pipeline,
    RateLimiter,
    Registry,
    Retry,
    RetryBudget,
    StaleCache,
    Timeout,
)
from seawall.core.lazy import Lazy, make
from seawall.testing import VirtualClock

POLICIES = {
    "breaker": CircuitBreaker,
    "keyed-breaker": lambda: CircuitBreaker(key="a"),
    "probed-breaker": lambda: CircuitBreaker(probe=lambda: True),
    "limiter": lambda: RateLimiter("10/second"),
    "limits": lambda: RateLimiter(["10/second", "100/minute"]),
    "keyed-limiter": lambda: RateLimiter("10/second", key="a"),
    "bulkhead": lambda: Bulkhead(2, queue=3, max_wait=1.0),
    "keyed-bulkhead": lambda: Bulkhead(2, key="a"),
    "retry": Retry,
    "retry-with-a-budget": lambda: Retry(budget=RetryBudget()),
    "timeout": lambda: Timeout(1.0, mode="cooperative"),
    "deadline": lambda: Deadline(1.0),
    "fallback": lambda: Fallback(0),
    "cache": lambda: StaleCache(1.0),
}


@pytest.fixture(params=POLICIES)
def policy(request):
    return POLICIES[request.param]()


def lazy_names(policy):
    """The attributes of its class that come with the state."""
    return {name for kind in type(policy).__mro__ for name, value in vars(kind).items() if isinstance(value, Lazy)}


def test_a_policy_that_was_only_configured_has_no_state(policy):
    assert not policy._made
    assert not lazy_names(policy) - {"budget"} & set(vars(policy))


def test_a_pipeline_of_unused_policies_makes_no_state():
    policies = [Deadline(9.0), Retry(), CircuitBreaker(), RateLimiter("9/second"), Bulkhead(1), Timeout(1.0)]
    Pipeline("p", *policies, registry=Registry())
    assert not [one for one in policies if one._made]


def test_all_of_the_state_comes_at_once(policy):
    names = lazy_names(policy)
    assert policy._lock is policy._lock
    assert policy._made
    assert names <= set(vars(policy))


def test_all_that_is_put_aside_is_there_before_it_is(policy):
    make(policy)
    assert set(policy._begin()) <= set(vars(policy))


def test_the_machine_goes_by_the_name_and_the_lease_that_were_given_before_the_first_use():
    breaker = CircuitBreaker()
    pipeline = Pipeline("payments", breaker, Timeout(2.0, mode="cooperative"), registry=Registry())
    assert not breaker._made
    assert pipeline.call(int) == 0
    assert breaker._machine.name == "payments"
    assert breaker._machine.options.lease == 4.0


@pytest.mark.parametrize("policy", ["breaker", "bulkhead"], indirect=True)
def test_what_is_said_while_the_state_is_made_is_heeded(policy, monkeypatch):
    whole = policy._whole

    def interrupted():
        state = whole()
        policy.bind("late", policy.bus)
        if isinstance(policy, CircuitBreaker):
            policy.attempt_timeout(7.0)
        return state

    monkeypatch.setattr(policy, "_whole", interrupted)
    make(policy)
    assert policy._machine.name == "late"
    if isinstance(policy, CircuitBreaker):
        assert policy._machine.options.lease == policy.options.lease == 14.0


def test_of_two_states_made_at_once_the_first_counts(monkeypatch):
    limiter = RateLimiter("1/hour", burst=5)
    whole = limiter._whole

    def interrupted():
        state = whole()
        monkeypatch.undo()
        assert limiter.try_acquire(2)
        return state

    monkeypatch.setattr(limiter, "_whole", interrupted)
    assert limiter.try_acquire(1)
    assert limiter.available() == pytest.approx(2, abs=0.01)


def test_a_state_that_could_not_be_made_is_made_at_the_next_use(monkeypatch):
    bulkhead = Bulkhead(1)
    whole = bulkhead._whole

    def broken():
        monkeypatch.undo()
        whole()
        raise MemoryError

    monkeypatch.setattr(bulkhead, "_whole", broken)
    with pytest.raises(MemoryError):
        bulkhead.snapshot()
    assert not bulkhead._made
    assert bulkhead.snapshot().gauges["limit"] == 1


def test_a_copy_of_an_unused_policy_shares_its_state(policy):
    other = copy.copy(policy)
    assert policy._made
    assert other._lock is policy._lock
    assert other._outbox is policy._outbox
    assert other._numbers is policy._numbers


def test_calls_under_an_override_count_for_the_original_that_was_not_used_before():
    retry = Retry(3)
    pipeline = Pipeline("p", retry, registry=Registry())
    with seawall.override(attempts=1):
        assert not pipeline.call_outcome(_fails).ok
    assert retry.snapshot().counters["attempts.1"] == 1
    assert "attempts.2" not in retry.snapshot().counters


def _fails():
    raise ConnectionError


def test_a_policy_on_another_clock_before_its_first_use_comes_back_unused():
    limiter, clock = RateLimiter("1/hour", burst=3), VirtualClock()
    with limiter.rebound(clock):
        assert limiter.try_acquire(3)
        assert limiter.available() == 0
    assert limiter.clock is not clock
    assert limiter.available() == 3


def test_nothing_is_renewed_after_a_fork_before_the_first_use(policy):
    policy.after_fork()
    assert not policy._made


def test_a_probe_that_was_stopped_before_the_first_use_does_not_start():
    breaker = CircuitBreaker(1, recovery_timeout=0.01, probe=lambda: True)
    breaker.stop_probing()
    breaker.trip()
    assert breaker._prober is not None
    assert breaker._prober._thread is None


def test_own_budgets_are_made_with_the_state_and_those_that_were_given_are_kept():
    given, own = RetryBudget(), Retry(5)
    assert Retry(5, budget=given).budget is given
    assert given.options.minimum == 4
    assert Retry(budget=None).budget is None
    assert "budget" not in vars(own)
    assert own.budget is own.budget
    assert own.budget is not None
    assert own.budget.options.minimum == 4


def test_a_budget_that_was_set_before_the_first_use_stays():
    retry = Retry()
    retry.budget = None
    make(retry)
    assert retry.budget is None


def test_the_default_rule_of_a_retry_can_be_had_back():
    retry = Retry(retryable=ValueError)
    retry.retryable = None
    assert retry.retryable is None


def test_asking_a_budget_does_not_make_the_state_of_a_retry_that_may_use_it():
    budget = RetryBudget()
    retry = Retry(budget=budget)
    assert budget.balance(0.0) > 0
    assert not retry._made


def test_breakers_without_settings_of_their_own_share_them():
    assert CircuitBreaker().options is CircuitBreaker(ignore=KeyError).options
    assert CircuitBreaker(growth=2.0).options is not CircuitBreaker().options
    assert CircuitBreaker(shadow=True).options.shadow


def test_a_subclass_may_have_defaults_of_its_own():
    class Patient(Bulkhead):
        max_keys = 7

    assert Patient(1).max_keys == 10_000  # what the constructor is given, or has by default, counts
    assert Patient(1, max_keys=7).max_keys == 7
    assert "max_keys" not in vars(Bulkhead(1))
