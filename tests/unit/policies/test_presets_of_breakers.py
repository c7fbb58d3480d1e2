"""The numbers of the presets' circuit breakers are promised."""

import pytest

from seawall import CircuitBreaker
from seawall.machines.trip import ConsecutiveFailures
from seawall.machines.trip_windows import FailureCount
from seawall.pipeline.presets import PRESETS


@pytest.mark.parametrize(
    "preset, rule, recovery_timeout, success_threshold",
    [
        ("storage", FailureCount(5, window=60.0), 30.0, 2),
        ("network", ConsecutiveFailures(5), 60.0, 3),
        ("service", ConsecutiveFailures(5), 60.0, 1),
        ("agent", ConsecutiveFailures(5), 60.0, 1),
    ],
)
def test_a_preset_has_the_numbers_that_are_promised(preset, rule, recovery_timeout, success_threshold):
    """R-CB2 R-CB3 R-CB4"""
    [breaker] = [policy for policy in PRESETS[preset]() if isinstance(policy, CircuitBreaker)]
    options = breaker.options
    assert list(options.trip) == [rule]
    assert options.recovery_timeout == recovery_timeout
    assert options.success_threshold == success_threshold
    assert options.half_open_max_calls == 3
    assert (options.growth, options.half_open, options.ramp) == (1.0, "consecutive", 0.0)
