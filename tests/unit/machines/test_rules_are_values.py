"""Backoffs and trip rules are values: equal by what they were made with, unchangeable, and they travel."""

import copy
import pickle

import pytest

from seawall import ConsecutiveFailures, FailureCount
from seawall.backoff import Backoff, Constant, Custom, Exponential, Fibonacci, Linear

RULES = [
    (ConsecutiveFailures, "ConsecutiveFailures(threshold=5)", ConsecutiveFailures(6), "threshold"),
    (Constant, "Constant(base=0.1, cap=10.0, jitter='full')", Constant(base=0.2), "base"),
    (Linear, "Linear(base=0.1, cap=10.0, jitter='full')", Linear(cap=20.0), "cap"),
    (
        Exponential,
        "Exponential(base=0.1, cap=10.0, jitter='full', multiplier=2.0)",
        Exponential(multiplier=3.0),
        "multiplier",
    ),
    (Fibonacci, "Fibonacci(base=0.1, cap=10.0, jitter='full', start=(1, 1))", Fibonacci(start=(1, 2)), "start"),
    (
        lambda: Custom(rule=float),
        "Custom(base=0.0, cap=10.0, jitter='none', rule=<class 'float'>)",
        Custom(rule=int),
        "rule",
    ),
]


@pytest.mark.parametrize("make, text, other, field", RULES, ids=[row[1].partition("(")[0] for row in RULES])
def test_a_rule_is_a_value(make, text, other, field):
    rule = make()
    assert repr(rule) == text
    assert rule == make()
    assert hash(rule) == hash(make())
    assert rule != other
    assert type(rule) is type(other)
    with pytest.raises(AttributeError):
        setattr(rule, field, None)
    with pytest.raises(AttributeError):
        rule.unknown = 1
    assert pickle.loads(pickle.dumps(rule)) == copy.copy(rule) == copy.deepcopy(rule) == rule


def test_rules_of_different_kinds_differ():
    assert Constant() != Linear()
    assert ConsecutiveFailures(5) != FailureCount(5)
    assert ConsecutiveFailures(5) != 5


def test_a_backoff_tells_what_it_was_made_with():
    rule = Exponential(base=0.5, jitter=(1.0, 1.5))
    assert rule.fields() == {"base": 0.5, "cap": 10.0, "jitter": (1.0, 1.5), "multiplier": 2.0}
    assert Exponential(**rule.fields()) == rule


def test_a_backoff_of_ones_own_need_only_say_its_delay():
    class Squared(Backoff):
        def raw(self, n):
            return self.base * (n + 1) ** 2

    assert [Squared(base=1.0, jitter="none").delay(n, lambda: 0.0) for n in range(3)] == [1.0, 4.0, 9.0]
