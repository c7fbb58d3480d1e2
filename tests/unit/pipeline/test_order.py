"""The order of policies: checked, with the reason."""

import pytest

from seawall import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    Deadline,
    Fallback,
    Pipeline,
    RateLimiter,
    Retry,
    Timeout,
)
from seawall.pipeline.order import _REASONS, ORDER

MAKE = {
    "fallback": lambda: Fallback(0),
    "deadline": lambda: Deadline(1.0),
    "retry": Retry,
    "circuit_breaker": CircuitBreaker,
    "rate_limiter": lambda: RateLimiter("1/second"),
    "bulkhead": lambda: Bulkhead(1),
    "timeout": lambda: Timeout(1.0),
}
KINDS = list(MAKE)


def build(*kinds):
    return Pipeline("p", *[MAKE[kind]() for kind in kinds], registry=None)


def test_all_policies_in_the_order_of_the_design_are_accepted():
    """R-PL1"""
    assert [policy.kind for policy in build(*KINDS).policies] == KINDS
    ranks = [MAKE[kind]().rank for kind in KINDS]
    assert ranks == sorted(ranks)
    assert [kind for kind in ORDER if kind in KINDS] == KINDS


@pytest.mark.parametrize(
    "outer, inner",
    [(outer, inner) for n, inner in enumerate(KINDS) for outer in KINDS[n + 1 :] if outer != "timeout"],
)
def test_a_pair_the_wrong_way_round_is_refused_with_both_names_and_the_right_order(outer, inner):
    """R-PL1"""
    with pytest.raises(ConfigurationError) as caught:
        build(outer, inner)
    message = str(caught.value)
    names = type(MAKE[inner]()).__name__, type(MAKE[outer]()).__name__
    assert f'Pipeline "p": {names[0]} stands inside {names[1]}: ' in message
    assert message.endswith(f"Outermost first, this is the order: {names[0]}, {names[1]}")
    reason = _REASONS.get((outer, inner), "it would not do what it says")
    assert reason in message


@pytest.mark.parametrize("kind, why", [("retry", "attempts multiply"), ("deadline", "only the shorter one")])
def test_two_of_what_makes_sense_once_are_refused(kind, why):
    """R-PL1"""
    with pytest.raises(ConfigurationError, match=f"two policies of kind {kind}: {why}"):
        build(kind, kind)


def test_two_breakers_may_stand_in_one_pipeline_under_two_names():
    """R-PL1"""
    assert [policy.name for policy in build("circuit_breaker", "circuit_breaker").policies] == ["p", "p-2"]


@pytest.mark.parametrize("kinds", [("timeout", "retry"), ("timeout", "fallback", "deadline", "retry", "timeout")])
def test_a_timeout_may_bound_all_attempts_together(kinds):
    """R-TM1"""
    assert [policy.kind for policy in build(*kinds).policies] == list(kinds)


@pytest.mark.parametrize("inner", ["circuit_breaker", "rate_limiter", "bulkhead"])
def test_a_timeout_may_not_run_while_the_call_waits_in_our_queues(inner):
    """R-PL1"""
    with pytest.raises(ConfigurationError, match="its time would run while the call waits in our own queues"):
        build("timeout", inner)


def test_what_is_no_policy_is_refused():
    """R-PL1"""
    with pytest.raises(ConfigurationError, match=r"Pipeline \"p\": 3 is not a policy of seawall"):
        Pipeline("p", 3, registry=None)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"Pipeline.name = '': must be a text"):
        Pipeline("", registry=None)


def test_a_pipeline_without_policies_just_calls():
    assert Pipeline("p", registry=None).call(int, "3") == 3
