"""From snapshots and states to metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from seawall.core.snapshot import HistogramData, PipelineSnapshot, PolicySnapshot, Snapshot
from seawall.measure.histogram import DURATION_BOUNDS
from seawall.telemetry import conventions as names
from seawall.telemetry.conventions import OTHER
from seawall.telemetry.exposition import OPENMETRICS, PROMETHEUS, Page

_EMPTY = HistogramData(DURATION_BOUNDS, (0,) * (len(DURATION_BOUNDS) + 1), 0.0)


class CheckFigures(Protocol):
    """A health check, as far as metrics go."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def kind(self) -> str:
        """Its kind: "disk", "memory", …."""

    @property
    def status(self) -> str:
        """The word for its status."""

    @property
    def age(self) -> float | None:
        """Seconds since the last result."""

    @property
    def runs(self) -> int:
        """How often it ran."""

    @property
    def failures(self) -> int:
        """How many of those were bad."""

    @property
    def duration(self) -> HistogramData:
        """How long they took."""

    @property
    def last(self) -> Any:
        """The last result, with `details`; None before it."""


class ProcessFigures(Protocol):
    """A supervised process, as far as metrics go."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def state(self) -> str:
        """The word for its state."""

    @property
    def restarts(self) -> int:
        """How often it was restarted."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """What one scrape shows.

    Args:
        snapshot: policies and pipelines.
        checks: the health checks.
        processes: the supervised processes.
        programs: live workers by program.
        version: seawall's.
        namespace: first part of every name; "seawall" by default.
        max_names: names told apart per kind of thing, from 1; counts of all others are added up under `__other__`.
    """

    snapshot: Snapshot
    checks: Iterable[CheckFigures] = ()
    processes: Iterable[ProcessFigures] = ()
    programs: Mapping[str, int] | None = None
    version: str = ""
    namespace: str = "seawall"
    max_names: int = 2000


def negotiate(accept: str) -> bool:
    """True if a client that sends this `Accept` is to get OpenMetrics."""
    return any(part.split(";")[0].strip() == "application/openmetrics-text" for part in accept.split(","))


def render(exposed: Exposed, *, openmetrics: bool = False) -> tuple[str, str]:
    """One scrape: the page and its content type."""
    page = Page(exposed.namespace)
    page.add("build_info", (exposed.version,), 1)
    for policies in _by_kind(exposed.snapshot.policies).values():
        for policy in bounded(policies, exposed.max_names):
            if writer := _WRITERS.get(policy.kind):
                writer(page, policy)
    for pipeline in bounded_pipelines(exposed.snapshot.pipelines, exposed.max_names):
        for result in names.PIPELINE_RESULTS:
            page.add("pipeline_calls_total", (pipeline.name, result), pipeline.counters.get(f"calls.{result}", 0))
        page.add_histogram("pipeline_duration_seconds", (pipeline.name,), pipeline.histograms.get("duration", _EMPTY))
        page.add("pipeline_overridden", (pipeline.name,), len(pipeline.overrides))
    for check in exposed.checks:
        _check(page, check)
    for process in exposed.processes:
        page.add("supervised_process_up", (process.name,), process.state == "running")
        for state in names.PROCESS_STATES:
            page.add("supervised_process_state", (process.name, state), process.state == state)
        page.add("supervised_process_restarts_total", (process.name,), process.restarts)
    for name, workers in (exposed.programs or {}).items():
        page.add("program_workers", (name,), workers)
    return page.text(openmetrics=openmetrics), OPENMETRICS if openmetrics else PROMETHEUS


def _by_kind(policies: Iterable[PolicySnapshot]) -> dict[str, list[PolicySnapshot]]:
    """Policies by their kind."""
    found: dict[str, list[PolicySnapshot]] = {}
    for policy in policies:
        found.setdefault(policy.kind, []).append(policy)
    return found


def bounded(policies: Sequence[PolicySnapshot], limit: int) -> list[PolicySnapshot]:
    """At most `limit` policies of one kind, and one more that stands for all others: counts and gauges added up."""
    kept, rest = list(policies[:limit]), policies[limit:]
    if rest:
        state = max((policy.state for policy in rest), key=lambda word: names.CIRCUIT_STATES.get(word, 0))
        counters, gauges = Counter[str](), Counter[str]()
        for policy in rest:
            counters.update(policy.counters)
            gauges.update(policy.gauges)  # adds floats as well
        histograms = add_histograms([policy.histograms for policy in rest])
        kept.append(PolicySnapshot(rest[0].kind, OTHER, (), state, counters, gauges, histograms))
    return kept


def bounded_pipelines(pipelines: Sequence[PipelineSnapshot], limit: int) -> list[PipelineSnapshot]:
    """The same for pipelines."""
    kept, rest = list(pipelines[:limit]), pipelines[limit:]
    if rest:
        counters = Counter[str]()
        for pipeline in rest:
            counters.update(pipeline.counters)
        kept.append(PipelineSnapshot(OTHER, (), counters, add_histograms([one.histograms for one in rest])))
    return kept


def add_histograms(many: Iterable[Mapping[str, HistogramData]]) -> dict[str, HistogramData]:
    """Histograms of the same name and the same bounds added up; others are left out."""
    total: dict[str, HistogramData] = {}
    for one in many:
        for name, data in one.items():
            seen = total.get(name)
            if seen is None:
                total[name] = data
            elif seen.bounds == data.bounds:
                counts = tuple(a + b for a, b in zip(seen.counts, data.counts, strict=True))
                total[name] = HistogramData(seen.bounds, counts, seen.total + data.total)
    return total


def _circuit(page: Page, policy: PolicySnapshot) -> None:
    """A circuit breaker."""
    name, counters = policy.name, policy.counters
    page.add("circuit_breaker_state", (name,), names.CIRCUIT_STATES.get(policy.state, 0))
    for result in names.CALL_RESULTS:
        page.add("circuit_breaker_requests_total", (name, result), counters.get(f"requests.{result}", 0))
    page.add("circuit_breaker_failures_total", (name,), counters.get("failures", 0))
    for was, now in names.CIRCUIT_CHANGES:
        count = counters.get(f"state_changes.{was}.{now}", 0)
        page.add("circuit_breaker_state_changes_total", (name, was, now), count)
    _histogram(page, "circuit_breaker_request_duration_seconds", policy, "duration")
    forced = bool(policy.details.get("forced")) or policy.state in {"forced-open", "forced-closed", "disabled"}
    page.add("circuit_breaker_forced", (name,), forced)
    workers = policy.details.get("workers") or {policy.state: 1}
    for state in names.CIRCUIT_STATES:
        page.add("circuit_breaker_workers", (name, state), int(workers.get(state, 0)))
    page.add("circuit_breaker_retry_after_seconds", (name,), policy.gauges.get("retry_after", 0))
    page.add("circuit_breaker_stale_results_total", (name,), counters.get("stale_results", 0))
    page.add("circuit_breaker_keys", (name,), policy.gauges.get("keys", 0))


def _retry(page: Page, policy: PolicySnapshot) -> None:
    """A retry."""
    options = policy.details.get("options")
    most = options.get("attempts") if isinstance(options, Mapping) else None
    attempts = {str(n): 0 for n in range(1, min(most if isinstance(most, int) else 1, names.MAX_ATTEMPT) + 1)}
    reasons = dict.fromkeys(names.RETRY_REASONS, 0)
    for key, count in policy.counters.items():
        family, _, value = key.partition(".")
        if family == "attempts":
            label = value if value.isdigit() and int(value) <= names.MAX_ATTEMPT else OTHER
            attempts[label] = attempts.get(label, 0) + count
        elif family == "failures":
            label = value if value in reasons else OTHER
            reasons[label] = reasons.get(label, 0) + count
    for attempt, count in attempts.items():
        page.add("retry_attempts_total", (policy.name, attempt), count)
    page.add("retry_success_total", (policy.name,), policy.counters.get("success", 0))
    for reason, count in reasons.items():
        page.add("retry_failures_total", (policy.name, reason), count)
    _histogram(page, "retry_backoff_delay_seconds", policy, "delay")
    page.add("retry_budget_remaining", (policy.name,), policy.gauges.get("budget", 0))


def _rate_limiter(page: Page, policy: PolicySnapshot) -> None:
    """A rate limiter."""
    _results(page, "rate_limiter_requests_total", policy, names.LIMIT_RESULTS)
    page.add("rate_limiter_tokens", (policy.name,), policy.gauges.get("tokens", 0))
    page.add("rate_limiter_waiting", (policy.name,), policy.gauges.get("waiting", 0))
    page.add("rate_limiter_keys", (policy.name,), policy.gauges.get("keys", 0))
    _histogram(page, "rate_limiter_wait_seconds", policy, "wait")


def _bulkhead(page: Page, policy: PolicySnapshot) -> None:
    """A bulkhead."""
    _results(page, "bulkhead_requests_total", policy, names.LIMIT_RESULTS)
    for gauge, metric in (
        ("in_flight", "in_flight"),
        ("queued", "queued"),
        ("limit", "limit"),
        ("oldest", "oldest_seconds"),
        ("saturation", "saturation_ratio"),
        ("queue_age", "queue_age_seconds"),
        ("keys", "keys"),
    ):
        page.add(f"bulkhead_{metric}", (policy.name,), policy.gauges.get(gauge, 0))
    _histogram(page, "bulkhead_wait_seconds", policy, "wait")


def _timeout(page: Page, policy: PolicySnapshot) -> None:
    """A timeout."""
    _results(page, "timeout_calls_total", policy, names.TIMEOUT_RESULTS)
    page.add("timeout_abandoned_total", (policy.name,), policy.counters.get("abandoned", 0))


def _deadline(page: Page, policy: PolicySnapshot) -> None:
    """A deadline."""
    _results(page, "deadline_calls_total", policy, names.TIMEOUT_RESULTS)


def _fallback(page: Page, policy: PolicySnapshot) -> None:
    """A fallback; its sources are known only once they were used."""
    used = {key.partition(".")[2]: count for key, count in policy.counters.items() if key.startswith("used.")}
    for source in sorted(used)[:20]:
        page.add("fallback_used_total", (policy.name, source), used[source])
    if len(used) > 20:
        page.add("fallback_used_total", (policy.name, OTHER), sum(used[source] for source in sorted(used)[20:]))
    page.add("fallback_failed_total", (policy.name,), policy.counters.get("failed", 0))


def _stale_cache(page: Page, policy: PolicySnapshot) -> None:
    """A cache of last values."""
    for result in names.CACHE_RESULTS:
        page.add("stale_cache_lookups_total", (policy.name, result), policy.counters.get(f"looks.{result}", 0))
    page.add("stale_cache_keys", (policy.name,), policy.gauges.get("keys", 0))
    page.add("fallback_used_total", (policy.name, "stale"), policy.counters.get("used.stale", 0))


_WRITERS = {
    "circuit_breaker": _circuit,
    "retry": _retry,
    "rate_limiter": _rate_limiter,
    "bulkhead": _bulkhead,
    "timeout": _timeout,
    "deadline": _deadline,
    "fallback": _fallback,
    "stale_cache": _stale_cache,
}


def _results(page: Page, metric: str, policy: PolicySnapshot, results: Iterable[str]) -> None:
    """A counter by result."""
    for result in results:
        page.add(metric, (policy.name, result), policy.counters.get(f"requests.{result}", 0))


def _histogram(page: Page, metric: str, policy: PolicySnapshot, name: str) -> None:
    """A histogram, empty if the policy has none yet."""
    page.add_histogram(metric, (policy.name,), policy.histograms.get(name, _EMPTY))


def _check(page: Page, check: CheckFigures) -> None:
    """A health check."""
    page.add("health_check_status", (check.name,), check.status in {"healthy", "degraded"})
    page.add_histogram("health_check_duration_seconds", (check.name,), check.duration)
    page.add("health_check_total", (check.name, "success"), check.runs - check.failures)
    page.add("health_check_total", (check.name, "failure"), check.failures)
    page.add("health_check_failures_total", (check.name,), check.failures)
    if check.age is not None:
        page.add("health_check_age_seconds", (check.name,), check.age)
    details = check.last.details if check.last is not None else {}
    for kind, detail, metric in (
        ("disk", "free_ratio", "disk_free_ratio"),
        ("memory", "used_ratio", "memory_used_ratio"),
    ):
        if check.kind == kind and detail in details:
            page.add(metric, (check.name,), float(details[detail]))
