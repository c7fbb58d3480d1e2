"""A call that succeeds may still be slow enough to be remembered."""

import pytest

from seawall import CircuitBreaker, Registry, SlowRate, Timeout
from seawall.events.types import CallSlow
from seawall.pipeline.compose import Pipeline
from seawall.testing import Scripted, virtual_time


@pytest.mark.parametrize(
    "policies, took, expected",
    [
        (lambda: [Timeout(2.0, mode="cooperative")], 1.5, (1.0, "timeout")),
        (lambda: [Timeout(2.0, mode="cooperative")], 1.0, None),
        (lambda: [CircuitBreaker(trip=[SlowRate(slower_than=0.3)])], 0.4, (0.3, "slow_rate")),
        (lambda: [CircuitBreaker(trip=[SlowRate(slower_than=0.3)]), Timeout(2.0, mode="cooperative")], 1.5,
         (0.3, "slow_rate")),
        (lambda: [CircuitBreaker(3)], 100.0, None),
    ],
)  # fmt: skip
def test_a_slow_success_is_kept_with_the_limit_it_passed(policies, took, expected):
    """R-PL4"""
    with virtual_time():
        registry = Registry()
        Pipeline("db", *policies(), registry=registry).call(Scripted([(took, "fine")]))
    found = [entry.event for entry in registry.bus.journal if isinstance(entry.event, CallSlow)]
    assert [(event.limit, event.rule) for event in found] == ([] if expected is None else [expected])
    assert all(event.duration == pytest.approx(took) for event in found)
