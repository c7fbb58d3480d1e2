"""Snapshots go through JSON and come back the same."""

import json

from seawall import Bulkhead, CircuitBreaker, Deadline, Fallback, Pipeline, RateLimiter, Registry, Retry, Timeout
from seawall.core.snapshot import Snapshot
from seawall.testing import virtual_time


def test_a_snapshot_of_every_kind_of_policy_survives_json():
    """R-PL2"""
    with virtual_time():
        registry = Registry()
        pipeline = Pipeline(
            "all",
            Fallback(0, on=ValueError),
            Deadline(60.0),
            Retry(2),
            CircuitBreaker(1),
            RateLimiter("10/second", max_wait=1.0),
            Bulkhead(2),
            Timeout(5.0, mode="cooperative"),
            registry=registry,
        )
        pipeline.call(int, "1")
        pipeline.call_outcome(int, "x")
        before = registry.snapshot()
    after = Snapshot.from_json(json.loads(json.dumps(before.as_json())))
    assert json.loads(json.dumps(after.as_json())) == json.loads(json.dumps(before.as_json()))
    assert after.pipelines == before.pipelines
    assert {policy.kind for policy in after.policies} == {
        "fallback", "deadline", "retry", "circuit_breaker", "rate_limiter", "bulkhead", "timeout",
    }  # fmt: skip
    opened = next(policy for policy in after.policies if policy.kind == "circuit_breaker")
    assert opened.state == "open"
