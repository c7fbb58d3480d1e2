"""Metrics: names, values, both formats, bounded numbers of series."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from seawall import Fallback, Pipeline, Registry, Retry, RetryBudget, StaleCache
from seawall.core.snapshot import HistogramData, PolicySnapshot, Snapshot
from seawall.health.base import CheckResult
from seawall.health.monitor import CheckState
from seawall.machines.health import Status
from seawall.telemetry import METRICS, Exposed, negotiate, render
from seawall.testing import Scripted, virtual_time
from tests.support.ops import ProcessState, circuit, durations, pipeline

#: As they are promised to everybody who writes alert rules.
PROMISED = [
    "circuit_breaker_state",
    "circuit_breaker_requests_total",
    "circuit_breaker_failures_total",
    "circuit_breaker_state_changes_total",
    "circuit_breaker_request_duration_seconds",
    "retry_attempts_total",
    "retry_success_total",
    "retry_failures_total",
    "retry_backoff_delay_seconds",
    "health_check_status",
    "health_check_duration_seconds",
    "health_check_total",
    "health_check_failures_total",
    "circuit_breaker_forced",
    "circuit_breaker_workers",
]


def check_state(name="db", status=Status.HEALTHY, kind="http", details=None, runs=4, failures=1):
    last = CheckResult(name, status, 4.0, details or {}, "")
    return CheckState(
        name, kind, name, False, 10.0, status, 0.0, "", last, 2.5, 0, runs, failures, 0.75, (), durations(runs)
    )


def everything():
    policies = (
        circuit("payments", "open", good=10, bad=4, refused=7, retry_after=12.5, workers={"open": 1, "closed": 2}),
        PolicySnapshot(
            "retry",
            "payments",
            ("payments",),
            "",
            {
                "attempts.1": 14,
                "attempts.2": 4,
                "attempts.30": 1,
                "success": 3,
                "failures.attempts": 1,
                "failures.odd": 2,
            },
            {},
            {"delay": durations(4)},
            {"options": {"attempts": 3}},
        ),
        PolicySnapshot("rate_limiter", "payments", (), "", {"requests.allowed": 9}, {"tokens": 3.5, "waiting": 1}),
        PolicySnapshot(
            "bulkhead",
            "payments",
            (),
            "",
            {"requests.rejected": 2},
            {"in_flight": 3, "limit": 10, "queued": 1, "oldest": 4.5},
        ),
        PolicySnapshot("timeout", "payments", (), "", {"requests.ok": 9, "requests.timed_out": 1, "abandoned": 2}),
        PolicySnapshot("deadline", "payments", (), "", {"requests.timed_out": 1}),
        PolicySnapshot("fallback", "payments", (), "", {"used.last known": 6}),
        PolicySnapshot("stale_cache", "payments", (), "", {"looks.fresh": 3, "used.stale": 2}, {"keys": 7}),
        PolicySnapshot("something_new", "payments"),
    )
    return Exposed(
        Snapshot(0.0, (pipeline("payments", success=10, degraded=6),), policies),
        [check_state(), check_state("disk", Status.CRITICAL, "disk", {"free_ratio": 0.02})],
        [ProcessState("payments", state="backing-off", restarts=3)],
        {"orders": 2},
        "0.1.0",
    )


def samples(families):
    return {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}


def test_every_promised_metric_is_there_with_its_help():
    text, _ = render(everything())
    for name in PROMISED:
        assert f"# TYPE seawall_{name} " in text
    assert text.count("# HELP ") == len(METRICS) - 1  # no memory check here


def test_values_are_those_of_the_parts():
    got = samples(parse_text(render(everything())[0]))
    payments = ("name", "payments")
    assert got["seawall_circuit_breaker_state", payments] == 2
    assert got["seawall_circuit_breaker_requests_total", payments, ("result", "success")] == 10
    assert got["seawall_circuit_breaker_requests_total", payments, ("result", "rejected")] == 7
    assert got["seawall_circuit_breaker_failures_total", payments] == 4
    assert got["seawall_circuit_breaker_workers", payments, ("state", "closed")] == 2
    assert got["seawall_circuit_breaker_request_duration_seconds_count", payments] == 14
    assert got["seawall_circuit_breaker_request_duration_seconds_bucket", ("le", "0.005"), payments] == 10
    assert got["seawall_retry_attempts_total", ("attempt", "1"), ("policy", "payments")] == 14
    assert got["seawall_retry_attempts_total", ("attempt", "3"), ("policy", "payments")] == 0
    assert got["seawall_retry_attempts_total", ("attempt", "__other__"), ("policy", "payments")] == 1
    assert got["seawall_retry_failures_total", ("policy", "payments"), ("reason", "__other__")] == 2
    assert got["seawall_rate_limiter_tokens", payments] == 3.5
    assert got["seawall_bulkhead_in_flight", payments] == 3
    assert got["seawall_timeout_abandoned_total", payments] == 2
    assert got["seawall_fallback_used_total", payments, ("source", "last known")] == 6
    assert got["seawall_pipeline_calls_total", payments, ("result", "degraded")] == 6
    assert got["seawall_health_check_status", ("check", "db")] == 1
    assert got["seawall_health_check_status", ("check", "disk")] == 0
    assert got["seawall_health_check_total", ("check", "db"), ("result", "success")] == 3
    assert got["seawall_disk_free_ratio", ("check", "disk")] == 0.02
    assert got["seawall_supervised_process_up", payments] == 0
    assert got["seawall_supervised_process_restarts_total", payments] == 3
    assert got["seawall_program_workers", ("name", "orders")] == 2


@pytest.mark.parametrize(
    "state,value",
    [
        ("closed", 0),
        ("half-open", 1),
        ("open", 2),
        ("forced-open", 2),
        ("forced-closed", 0),
        ("disabled", 0),
        ("observe", 0),
    ],
)
def test_the_state_of_a_circuit_is_one_number(state, value):
    got = samples(parse_text(render(Exposed(Snapshot(0.0, (), (circuit("a", state),))))[0]))
    assert got["seawall_circuit_breaker_state", ("name", "a")] == value
    assert got["seawall_circuit_breaker_forced", ("name", "a")] == (
        state in {"forced-open", "forced-closed", "disabled"}
    )


def test_every_series_is_there_before_anything_happens():
    policies = tuple(PolicySnapshot(kind, "a") for kind in ("circuit_breaker", "retry", "rate_limiter", "bulkhead"))
    got = samples(parse_text(render(Exposed(Snapshot(0.0, (), policies)))[0]))
    changes = [key for key in got if key[0] == "seawall_circuit_breaker_state_changes_total"]
    assert len(changes) == 6
    assert got["seawall_retry_failures_total", ("policy", "a"), ("reason", "deadline")] == 0
    assert got["seawall_bulkhead_requests_total", ("name", "a"), ("result", "rejected")] == 0


def test_openmetrics_holds_the_same_samples():
    text, kind = render(everything(), openmetrics=True)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    plain = samples(parse_text(render(everything())[0]))
    assert samples(parse_openmetrics(text)) == plain


@pytest.mark.parametrize(
    "accept,wanted",
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3", True),
    ],
)
def test_the_format_is_the_one_asked_for(accept, wanted):
    assert negotiate(accept) is wanted


def test_hostile_names_cannot_break_out_of_their_label():
    name = 'a"} 1\nevil{x="\\'
    text, _ = render(Exposed(Snapshot(0.0, (), (circuit(name),)), namespace="ours"))
    got = samples(parse_text(text))
    assert got["ours_circuit_breaker_state", ("name", name)] == 0
    assert not [key for key in got if "evil" in key[0]]


def test_names_beyond_the_limit_are_added_up():
    policies = tuple(circuit(f"c{n}", "open" if n == 9 else "closed", good=n) for n in range(10))
    pipelines = tuple(pipeline(f"p{n}", success=n) for n in range(10))
    got = samples(parse_text(render(Exposed(Snapshot(0.0, pipelines, policies), max_names=4))[0]))
    names = {dict(key[1:])["name"] for key in got if key[0] == "seawall_circuit_breaker_state"}
    assert names == {"c0", "c1", "c2", "c3", "__other__"}
    other = ("name", "__other__")
    assert got["seawall_circuit_breaker_requests_total", other, ("result", "success")] == sum(range(4, 10))
    assert got["seawall_circuit_breaker_state", other] == 2
    assert got["seawall_pipeline_calls_total", other, ("result", "success")] == sum(range(4, 10))
    assert got["seawall_circuit_breaker_request_duration_seconds_count", other] == sum(range(4, 10))


def test_no_metric_has_a_name_outside_the_table():
    text, _ = render(everything())
    families = set(re.findall(r"# TYPE seawall_(\S+) ", text))
    assert families <= set(METRICS)
    assert all(name.endswith("_total") == (metric.kind == "counter") for name, metric in METRICS.items())


@pytest.mark.integration
def test_promtool_finds_nothing_to_complain_about():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (apt-get install prometheus): the metrics were NOT checked by it")
    text, _ = render(everything())
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_odd_numbers_are_written_as_the_format_has_them():
    from seawall.telemetry.exposition import number

    assert [number(v) for v in (1, 0.5, 1e20, float("inf"), float("-inf"), float("nan"), True)] == [
        "1", "0.5", "1e+20", "+Inf", "-Inf", "NaN", "1",
    ]  # fmt: skip


def test_histograms_of_other_bounds_are_left_out_of_a_sum():
    from seawall.telemetry.prometheus import add_histograms

    one = {"d": HistogramData((1.0,), (1, 2), 3.0)}
    assert add_histograms([one, one, {"d": HistogramData((2.0,), (1, 2), 3.0)}]) == {
        "d": HistogramData((1.0,), (2, 4), 6.0)
    }


def test_a_circuit_with_keys_says_how_many_and_what_it_would_have_refused():
    """R-CB1 R-CB7"""
    from seawall import CircuitBreaker

    breaker = CircuitBreaker(1, key="host", shadow=True, name="hosts")
    for host in ("a", "b"):
        breaker.allow(host).failure()
        breaker.allow(host)
    got = samples(parse_text(render(Exposed(Snapshot(0.0, (), (breaker.snapshot(),))))[0]))
    assert got["seawall_circuit_breaker_keys", ("name", "hosts")] == 2
    assert got["seawall_circuit_breaker_requests_total", ("name", "hosts"), ("result", "shadow_rejected")] == 2
    assert got["seawall_circuit_breaker_state", ("name", "hosts")] == 0


def test_budgets_caches_and_overrides_are_told():
    """R-MT1"""
    registry = Registry()
    stock_pipeline = Pipeline(
        "stock",
        Fallback("none", cooldown=0.0),
        StaleCache(60.0, fresh=30.0),
        Retry(3, budget=RetryBudget(minimum=5)),
        registry=registry,
    )
    with virtual_time(stock_pipeline):
        stock_pipeline.override(owner="ann", reason="test", attempts=2)
        assert stock_pipeline.call(int) == 0
        assert stock_pipeline.call(int) == 0
        assert stock_pipeline.call(Scripted([ConnectionError]), "other") == "none"
        got = samples(parse_text(render(Exposed(registry.snapshot()))[0]))
    stock = ("name", "stock")
    assert got["seawall_stale_cache_lookups_total", stock, ("result", "fresh")] == 1
    assert got["seawall_stale_cache_lookups_total", stock, ("result", "fetched")] == 1
    assert got["seawall_stale_cache_keys", stock] == 1
    assert got["seawall_fallback_used_total", stock, ("source", "stale")] == 0
    assert got["seawall_fallback_used_total", stock, ("source", "value")] == 1
    assert got["seawall_fallback_failed_total", stock] == 0
    assert got["seawall_retry_budget_remaining", ("policy", "stock")] == 4.4
    assert got["seawall_retry_failures_total", ("policy", "stock"), ("reason", "budget")] == 0
    assert got["seawall_pipeline_overridden", stock] == 1
