"""What every backoff must keep, whatever its numbers."""

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.backoff import Backoff, Constant, Custom, Exponential, Fibonacci, Linear

chances = st.one_of(st.sampled_from([0.0, 0.5, math.nextafter(1.0, 0.0)]), st.floats(0.0, 1.0, exclude_max=True))
bases = st.one_of(st.sampled_from([0.0, 1, 0.1]), st.floats(1e-9, 1e6))
retries = st.one_of(st.integers(0, 60), st.sampled_from([1023, 1024, 1500, 10**6]))
caps = st.one_of(st.sampled_from([math.inf, 1e308]), st.floats(0.0, 1e9))
jitters = st.one_of(
    st.sampled_from(["none", "full", "equal", "decorrelated", 0, 1, 0.25]),
    st.floats(0.0, 1.0),
    st.tuples(st.floats(0.0, 2.0), st.floats(2.0, 20.0)),
)


@st.composite
def rules(draw: st.DrawFn, /) -> Any:
    kind: Any = draw(st.sampled_from([Constant, Linear, Exponential, Fibonacci]))
    base = draw(bases)
    cap = max(base, draw(caps))
    more = {"multiplier": draw(st.sampled_from([1, 1.5, 2, 2.0, 10]))} if kind is Exponential else {}
    return kind(base=base, cap=cap, jitter=draw(jitters), **more)


def exact(rule: Backoff, n: int) -> Fraction | float:
    """The delay by its formula, without rounding; infinite where that would take too long to write out."""
    base = Fraction(rule.base)
    if isinstance(rule, Linear):
        return base * (n + 1)
    if isinstance(rule, Exponential):
        return base * Fraction(rule.multiplier) ** n if n < 2000 or rule.multiplier == 1 or not base else math.inf
    if isinstance(rule, Fibonacci):
        if n >= 2000:
            return math.inf if base else Fraction(0)
        a, b = 1, 1
        for _ in range(n):
            a, b = b, a + b
        return base * a
    return base


@given(rules(), retries, chances)
def test_a_delay_is_a_number_from_zero_to_the_cap(rule, n, chance):
    previous = None
    for number in (0, n):
        delay = rule.delay(number, lambda: chance, previous)
        assert 0 <= delay <= rule.cap
        previous = delay if math.isfinite(delay) else previous


@given(rules(), retries)
def test_without_jitter_it_is_the_formula_cut_at_the_cap(rule, n):
    plain = type(rule)(**rule.fields() | {"jitter": "none"})
    t = plain.delay(n, lambda: 0.5)
    expected = exact(rule, n)
    longest = min(rule.cap, 1e300)  # what nobody can wait for is cut as well
    if expected >= longest:
        assert t == pytest.approx(longest)
    else:
        assert t == pytest.approx(float(expected), rel=1e-9)


@given(rules(), st.integers(0, 60), chances)
def test_jitter_follows_its_formula(rule, n, chance):
    t = min(rule.cap, rule.raw(n))
    delay = rule.delay(n, lambda: chance)
    jitter = rule.jitter
    if not math.isfinite(t) or t > 1e300 or jitter == "decorrelated":
        return
    if jitter == "none":
        assert delay == t
    elif jitter == "full":
        assert delay == pytest.approx(t * chance)
    elif jitter == "equal":
        assert delay == pytest.approx(t / 2 + t / 2 * chance)
        assert t / 2 <= delay <= t
    elif not isinstance(jitter, str):
        low, high = jitter if isinstance(jitter, tuple) else (1 - jitter, 1 + jitter)
        drawn = t * (low + (high - low) * chance)
        if drawn <= rule.cap:
            assert delay == pytest.approx(drawn)


@given(st.floats(0.01, 10.0), st.floats(10.0, 1e4), st.lists(chances, min_size=1, max_size=40))
def test_decorrelated_jitter_follows_from_the_delay_before_of_the_same_call(base, cap, draws):
    rule = Exponential(base=base, cap=cap, jitter="decorrelated")
    previous = None
    for n, chance in enumerate(draws):
        high = 3 * (base if previous is None else previous)
        delay = rule.delay(n, lambda drawn=chance: drawn, previous)  # type: ignore[misc]
        assert delay == pytest.approx(min(cap, base + (high - base) * chance))
        assert base <= delay <= cap
        previous = delay


def test_a_wide_pair_piles_nobody_up_at_zero_or_at_the_cap():
    rule = Constant(base=10.0, cap=10.0, jitter=(0.0, 10.0))
    delays = [rule.delay(0, lambda share=n / 1000: share) for n in range(1000)]  # type: ignore[misc]
    assert sum(delay < 0.5 for delay in delays) < 100
    assert sum(delay > 9.5 for delay in delays) < 100


@pytest.mark.parametrize("jitter", ["none", "full", "equal", 0.5, (0.5, 1.5)])
@pytest.mark.parametrize("rule", [Exponential, Fibonacci])
def test_without_a_cap_a_delay_stays_a_number_one_can_wait_for(rule, jitter):
    delay = rule(base=1, cap=math.inf, jitter=jitter).delay(5000, lambda: 0.0)
    assert delay >= 0
    assert not math.isnan(delay)


@given(st.integers(0, 10**9))
def test_a_rule_of_ones_own_is_cut_at_the_cap_too(n):
    assert Custom(rule=float, cap=7.0).delay(n, lambda: 0.5) == min(7.0, n)
