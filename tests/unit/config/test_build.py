"""From sections to policies: presets, what changes them, and the numbers that come out."""

import pytest

from seawall.config.build import pipelines_from_file, policies
from seawall.config.load import from_text
from seawall.config.mistakes import ConfigurationErrors
from seawall.pipeline.manager import Manager
from seawall.pipeline.presets import PRESETS


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
