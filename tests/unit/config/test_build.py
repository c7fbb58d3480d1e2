"""From sections to policies: presets, what changes them, and the numbers that come out."""

import pytest

from seawall.config.build import pipelines_from_file, policies
from seawall.config.load import from_text
from seawall.config.mistakes import ConfigurationErrors
from seawall.pipeline.manager import Manager
from seawall.pipeline.presets import PRESETS
from seawall.policies.bulkhead import Bulkhead
from seawall.policies.circuit_breaker import CircuitBreaker
from seawall.policies.rate_limiter import RateLimiter


def details(text):
    """Kind and details of the policies of the one pipeline in `text`."""
    (section,) = from_text(text).pipelines.values()
    return {policy.kind: policy.snapshot().details for policy in policies(section)}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_gives_exactly_its_policies(preset):
    """R-CB2, R-CB3, R-CB4, R-RT1, R-BH1: the presets of the file are those of the library."""
    expected = {policy.kind: policy.snapshot().details for policy in PRESETS[preset]()}
    found = details(f'[pipelines.a]\npreset = "{preset}"\n')
    assert list(found) == list(expected)
    assert _timeless(found) == _timeless(expected)


def _timeless(kinds):
    """Details without the moment they were taken at."""
    return {kind: {key: value for key, value in one.items() if key != "since"} for kind, one in kinds.items()}


def test_keys_change_single_numbers_of_a_preset():
    found = details(
        """
[pipelines.a]
preset = "network"
deadline = 60
timeout = 5
retry = { attempts = 2, jitter = "none" }
bulkhead = { queue = 7 }
circuit_breaker = { recovery_timeout = "2s" }
"""
    )
    assert list(found) == ["deadline", "retry", "circuit_breaker", "bulkhead", "timeout"]
    assert found["timeout"] == {"limit": 5.0, "mode": "cooperative"}
    assert found["circuit_breaker"]["options"]["trip"] == ["ConsecutiveFailures(threshold=5)"]
    assert found["circuit_breaker"]["options"]["recovery_timeout"] == 2.0
    assert found["circuit_breaker"]["options"]["success_threshold"] == 3


def test_rules_of_the_file_replace_those_of_the_preset():
    found = details(
        """
[pipelines.a]
preset = "storage"
[pipelines.a.circuit_breaker]
failure_threshold = 3
failure_count = { threshold = 9 }
failure_rate = { rate = 0.25, calls = 4 }
slow_rate = { slower_than = "200ms" }
"""
    )
    assert found["circuit_breaker"]["options"]["trip"] == [
        "ConsecutiveFailures(threshold=3)",
        "FailureCount(threshold=9, window=60.0)",
        "FailureRate(rate=0.25, window=30.0, calls=4, min_calls=4)",
        "SlowRate(rate=0.5, slower_than=0.2, window=30.0, calls=None, min_calls=10)",
    ]


def test_without_a_preset_only_what_is_given_is_there():
    found = details(
        """
[pipelines.a]
timeout = { limit = "2s", mode = "thread" }
rate_limiter = { rate = "120/minute" }
retry = { backoff = "fibonacci", base = 0.5, jitter = [1.0, 1.5] }
circuit_breaker = {}
"""
    )
    assert list(found) == ["retry", "circuit_breaker", "rate_limiter", "timeout"]
    assert found["circuit_breaker"]["options"]["trip"] == ["ConsecutiveFailures(threshold=5)"]
    assert found["timeout"] == {"limit": 2.0, "mode": "thread"}


def test_every_option_of_a_circuit_breaker_comes_from_the_file():
    """R-CB3, R-CB4, R-CB7"""
    (section,) = from_text(
        """
[pipelines.a]
preset = "network"
[pipelines.a.circuit_breaker]
growth = 2
max_recovery_timeout = "5min"
recovery_jitter = 0.1
max_open = "10min"
half_open = "rate"
half_open_trials = 8
half_open_failure_rate = 0.25
max_half_open = 90
ramp = "1min"
key = "host"
max_keys = 50
key_ttl = "10min"
shadow = true
"""
    ).pipelines.values()
    [breaker] = [policy for policy in policies(section) if isinstance(policy, CircuitBreaker)]
    options = breaker.options
    assert (options.growth, options.max_recovery_timeout, options.recovery_jitter, options.max_open) == (
        2,
        300,
        0.1,
        600,
    )
    assert (options.half_open, options.half_open_trials, options.half_open_failure_rate) == ("rate", 8, 0.25)
    assert (options.max_half_open, options.ramp, options.shadow) == (90, 60, True)
    assert (breaker.key, breaker.shadow) == ("host", True)
    assert breaker.snapshot().details["options"] == {
        "trip": ["ConsecutiveFailures(threshold=5)"],
        "recovery_timeout": 60.0,
        "half_open_max_calls": 3,
        "lease": 60.0,
        "max_open": 600.0,
        "growth": 2.0,
        "max_recovery_timeout": 300.0,
        "half_open": "rate",
        "half_open_trials": 8,
        "half_open_failure_rate": 0.25,
        "recovery_jitter": 0.1,
        "max_half_open": 90.0,
        "ramp": 60.0,
        "shadow": True,
        "max_keys": 50,
        "key_ttl": 600.0,
    }


@pytest.mark.parametrize(
    "keys, place, remedy",
    [
        ("half_open_trials = 5", "half_open_trials = 5", 'without half_open = "rate"'),
        ("half_open_failure_rate = 0.5", "half_open_failure_rate = 0.5", 'without half_open = "rate"'),
        ("max_keys = 5", "max_keys = 5", "has no meaning without key"),
        ("key_ttl = 5", "key_ttl = 5", "has no meaning without key"),
        ('key = "the host"', 'key = "the host"', "must be the name of an argument"),
        ("max_recovery_timeout = 90", "max_recovery_timeout = 90", "set growth above 1"),
        (
            "growth = 2\nmax_recovery_timeout = 5",
            "max_recovery_timeout = 5",
            "must not be below recovery_timeout (60 s)",
        ),
        ("max_open = 5", "max_open = 5", "must not be below recovery_timeout (60 s)"),
        ("growth = 0.5", "growth = 0.5", "at least 1"),
        ('half_open = "some"', 'half_open = "some"', '"rate"'),
        ("recovery_jitter = 2", "recovery_jitter = 2", "a tenth more or less"),
    ],
)
def test_options_of_a_circuit_breaker_that_do_not_fit_are_refused(keys, place, remedy):
    """R-CF1"""
    with pytest.raises(ConfigurationErrors) as refused:
        from_text(f'[pipelines.a]\npreset = "network"\n[pipelines.a.circuit_breaker]\n{keys}\n')
    assert f"pipelines.a.circuit_breaker.{place}: " in str(refused.value)
    assert remedy in str(refused.value)


def test_a_manager_is_made_from_a_file(tmp_path):
    path = tmp_path / "seawall.toml"
    path.write_text('[pipelines.a]\npreset = "agent"\n[pipelines.b]\ndeadline = 5\n')
    manager = Manager.from_config(str(path))
    assert [one.name for one in manager.registry.pipelines()] == ["a", "b"]
    assert manager.execute("b", lambda: 42) == 42


def test_a_mistake_in_another_section_refuses_the_whole_file(tmp_path):
    path = tmp_path / "seawall.toml"
    path.write_text('[pipelines.a]\npreset = "agent"\n[server]\nport = 1\n')
    with pytest.raises(ConfigurationErrors, match=r":4: server\.port = 1: unknown key"):
        pipelines_from_file(path)


def test_a_limit_and_a_bulkhead_take_all_their_keys():
    """R-RL1, R-BH1"""
    (section,) = from_text(
        """
[pipelines.a.rate_limiter]
rate = ["10/second", "100 per 5 min"]
algorithm = "sliding_log"
cost = 2
key = "tenant"
max_keys = 50
key_ttl = "2h"
shadow = true
[pipelines.a.bulkhead]
max_concurrent = 3
queue = 5
max_wait = 2
order = "adaptive"
refuse_early = true
key = "tenant"
"""
    ).pipelines.values()
    limiter, bulkhead = policies(section)
    assert isinstance(limiter, RateLimiter)
    assert isinstance(bulkhead, Bulkhead)
    assert limiter.rate == "10/second, 100 per 5 min"
    assert (limiter.algorithm, limiter.cost, limiter.key) == ("sliding_log", 2.0, "tenant")
    assert (limiter.max_keys, limiter.key_ttl, limiter.shadow) == (50, 7200.0, True)
    assert (bulkhead.options.order, bulkhead.options.refuse_early, bulkhead.key) == ("adaptive", True, "tenant")


def test_a_presets_burst_gives_way_to_an_algorithm_without_one():
    """R-RL1"""
    (section,) = from_text(
        '[pipelines.a]\npreset = "agent"\nrate_limiter = { algorithm = "fixed_window" }\n'
    ).pipelines.values()
    limiter = next(policy for policy in policies(section) if isinstance(policy, RateLimiter))
    assert (limiter.rate, limiter.burst) == ("60/minute", 60.0)


@pytest.mark.parametrize(
    "keys, words",
    [
        ('algorithm = "gcra", burst = 2, cost = 3', "rate_limiter.cost = 3: could never be paid"),
        (
            'algorithm = "sliding_log", burst = 2',
            'rate_limiter.burst = 2: has no meaning with algorithm = "sliding_log"',
        ),
        ("max_keys = 5", "rate_limiter.max_keys = 5: has no effect without a key"),
    ],
)
def test_keys_of_a_limit_that_do_not_fit_together_are_mistakes_of_the_file(keys, words):
    """R-RL1"""
    with pytest.raises(ConfigurationErrors) as caught:
        from_text(f'[pipelines.a]\nrate_limiter = {{ rate = "5/second", {keys} }}\n')
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "keys, words",
    [
        ('order = "lifo"', 'bulkhead.order = "lifo": has no effect without a queue'),
        ("refuse_early = true", "bulkhead.refuse_early = true: has no effect without a wait"),
        ("key_ttl = 5", "bulkhead.key_ttl = 5: has no effect without a key"),
    ],
)
def test_keys_of_a_bulkhead_that_do_not_fit_together_are_mistakes_of_the_file(keys, words):
    """R-BH1"""
    with pytest.raises(ConfigurationErrors) as caught:
        from_text(f"[pipelines.a]\nbulkhead = {{ max_concurrent = 5, {keys} }}\n")
    assert words in str(caught.value)
