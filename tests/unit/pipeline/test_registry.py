"""Names, sharing, the manager, protect() and explain()."""

import pytest

import seawall
from seawall import (
    Bulkhead,
    CircuitBreaker,
    CircuitOpenError,
    ConfigurationError,
    Deadline,
    Fallback,
    Manager,
    Pipeline,
    RateLimiter,
    Registry,
    Retry,
    Timeout,
)
from seawall.backoff import Constant, Exponential
from seawall.pipeline.explain import worst_case
from seawall.testing import run_async, virtual_time


@pytest.fixture
def registry(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEAWALL_CONFIG", raising=False)
    monkeypatch.delenv("SEAWALL_SOCKET", raising=False)
    with virtual_time():
        yield Registry()


def fail():
    raise ConnectionError


def test_two_pipelines_of_one_name_are_refused(registry):
    """R-PL2"""
    Pipeline("db", registry=registry)
    with pytest.raises(ConfigurationError, match=r'Pipeline "db" exists already. Use that object in both places'):
        Pipeline("db", registry=registry)
    Pipeline("db", registry=Registry())
    Pipeline("db", registry=None)


def test_two_policies_of_one_kind_and_name_are_refused_and_leave_nothing_behind(registry):
    """R-PL2"""
    Pipeline("one", CircuitBreaker(name="shared"), registry=registry)
    with pytest.raises(ConfigurationError, match=r'another CircuitBreaker has the name "shared". Share that object'):
        Pipeline("two", Retry(), CircuitBreaker(name="shared"), registry=registry)
    assert [pipeline.name for pipeline in registry.pipelines()] == ["one"]
    assert [policy.kind for policy in registry.policies()] == ["circuit_breaker"]


def test_a_refused_pipeline_does_not_name_its_policies(registry):
    """R-PL2"""
    Pipeline("taken", registry=registry)
    retry = Retry()
    with pytest.raises(ConfigurationError):
        Pipeline("taken", retry, registry=registry)
    Pipeline("free", retry, registry=registry)
    assert (retry.name, retry.pipelines) == ("free", ("free",))


def test_pipelines_that_share_a_breaker_share_its_state(registry):
    """R-PL1"""
    breaker = CircuitBreaker(1, name="db")
    orders = Pipeline("orders", Retry(1), breaker, registry=registry)
    stock = Pipeline("stock", breaker, registry=registry)
    orders.call_outcome(fail)
    with pytest.raises(CircuitOpenError, match='Call to "db" rejected'):
        stock.call(int)
    assert breaker.pipelines == ("orders", "stock")
    assert registry.circuit("db") is breaker
    assert [policy.name for policy in registry.policies()] == ["db", "orders"]


def test_a_policy_without_a_name_takes_that_of_its_first_pipeline(registry):
    """R-PL1"""
    bulkhead = Bulkhead(1)
    Pipeline("first", bulkhead, registry=registry)
    Pipeline("second", bulkhead, registry=registry)
    assert bulkhead.name == "first"


def test_circuits_are_pinned_and_released_by_name(registry):
    """R-CB1"""
    breaker = CircuitBreaker()
    Pipeline("db", breaker, registry=registry)
    registry.force_circuit("db", "open", owner="mia", reason="test", expires_in=None)
    assert breaker.state == "forced-open"
    assert registry.release_circuit("db", owner="mia") is True
    assert registry.release_circuit("db", owner="mia") is False
    with pytest.raises(ConfigurationError, match=r'No circuit is named "nope". Known: db'):
        registry.circuit("nope")
    with pytest.raises(ConfigurationError, match="Known: none yet"):
        Registry().circuit("nope")
    with pytest.raises(ConfigurationError, match="Known: none yet"):
        Registry().pipeline("nope")


def test_a_manager_executes_with_all_that_is_registered_under_the_name(registry):
    """R-PL2"""
    manager = Manager(registry)
    manager.add("db", Retry(2, backoff=Constant(base=0.0)), CircuitBreaker(50))
    tries = []

    def product(name, *, fresh=False):
        tries.append(name)
        if len(tries) == 1:
            raise ConnectionError
        return name, fresh

    async def aproduct(name):
        return name

    class Client:
        async def __call__(self, name):
            return name

    assert manager.execute("db", product, name="sku", fresh=True) == ("sku", True)
    assert tries == ["sku", "sku"]
    assert run_async(manager.execute("db", aproduct, "sku")) == "sku"
    assert run_async(manager.execute("db", Client(), name="sku")) == "sku"
    with pytest.raises(ConfigurationError, match=r'No pipeline is named "web". Known: db'):
        manager.execute("web", product, "sku")
    assert manager.pipeline("db").snapshot().counters["calls.success"] == 3
    assert [policy.kind for policy in manager.snapshot().policies] == ["circuit_breaker", "retry"]


def test_a_manager_has_a_registry_of_its_own():
    """R-PL2"""
    assert Manager().registry is not Manager().registry


def test_protect_takes_the_pipeline_of_the_name(registry):
    """R-PL1"""
    pipeline = Pipeline("db", Retry(), registry=registry)
    assert seawall.protect("db", registry=registry) is pipeline


@pytest.mark.parametrize("name", ["storage", "network", "service", "agent"])
def test_protect_makes_a_preset_once(registry, name):
    """R-RT1, R-CB2"""

    @seawall.protect(name, registry=registry)
    def one():
        return 1

    @seawall.protect(name, registry=registry)
    async def two():
        return 2

    assert (one(), run_async(two())) == (1, 2)
    assert [pipeline.name for pipeline in registry.pipelines()] == [name]


PRESETS = {
    "storage": (3, "FailureCount(threshold=5, window=60.0)", 30.0, 2),
    "network": (4, "ConsecutiveFailures(threshold=5)", 60.0, 3),
    "service": (4, "ConsecutiveFailures(threshold=5)", 60.0, 1),
    "agent": (3, "ConsecutiveFailures(threshold=5)", 60.0, 1),
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_presets_numbers_are_those_of_the_requirements(registry, name):
    """R-RT1, R-CB2, R-CB3, R-CB4, R-BH1, R-RL3"""
    attempts, rule, recovery, threshold = PRESETS[name]
    seawall.protect(name, registry=registry)
    found = {policy.kind: policy for policy in registry.policies()}
    options = found["circuit_breaker"].snapshot().details["options"]
    assert found["retry"].options.attempts == attempts
    assert options["trip"] == [rule]
    assert (options["recovery_timeout"], options["success_threshold"]) == (recovery, threshold)
    assert options["half_open_max_calls"] == 3
    if name == "network":
        assert found["bulkhead"].options[:3] == (100, 50, 5.0)
        assert found["timeout"].limit == 30.0
    if name == "agent":
        assert (found["rate_limiter"].rate, found["rate_limiter"].burst) == ("60/minute", 10.0)


def test_protect_lists_what_is_known_when_a_name_is_not(registry):
    """R-PL1"""
    Pipeline("orders", registry=registry)
    with pytest.raises(ConfigurationError) as caught:
        seawall.protect("order", registry=registry)
    assert str(caught.value) == (
        'protect("order"): no pipeline and no preset has that name. Known: agent, network, orders, service, storage'
    )


FULL = (
    lambda: Fallback(0),
    lambda: Deadline(12.0),
    lambda: Retry(3, backoff=Exponential(base=0.1, cap=2.0), retry_after_cap=1.0),
    CircuitBreaker,
    lambda: RateLimiter("10/second", max_wait=1.0),
    lambda: Bulkhead(100, queue=50, max_wait=5.0),
    lambda: Timeout(5.0, mode="cooperative"),
)


def test_explain_tells_order_longest_time_and_most_calls(registry):
    """R-PL1"""
    text = Pipeline("db", *[make() for make in FULL], registry=registry).explain()
    assert text.splitlines() == [
        'Pipeline "db", outermost first:',
        "  1. Fallback (value): answers in place of a failed or refused call",
        "  2. Deadline 12 s: for all attempts, waits and queues together",
        (
            "  3. Retry up to 3 attempts, within RetryBudget(0.2, at least 2 in 10 s): "
            "Exponential(base=0.1, cap=2.0, jitter='full', multiplier=2.0)"
        ),
        "  4. CircuitBreaker, now closed: opens on ConsecutiveFailures(threshold=5)",
        "  5. RateLimiter 10/second, burst 10, waiting up to 1 s",
        "  6. Bulkhead 100 at once, 50 waiting up to 5 s",
        "  7. Timeout 5 s: per attempt, cooperative for plain functions",
        "Worst case: 3 calls of the dependency; time at most 12 s.",
        "Plain functions are not cut short: they can be late by what they do without asking for the time.",
    ]


@pytest.mark.parametrize(
    "make, seconds, calls",
    [
        ([], float("inf"), 1),
        ([FULL[6]], 5.0, 1),
        ([FULL[5], FULL[6]], 10.0, 1),
        ([FULL[4], FULL[5], FULL[6]], 11.0, 1),
        ([FULL[2], FULL[6]], 3 * 5.0 + 2 * 2.0, 3),
        ([lambda: Retry(3, max_time=4.0, retry_after_cap=1.0, backoff=Constant(base=2.0, cap=2.0)), FULL[6]], 9.0, 3),
        ([FULL[1], FULL[2]], 12.0, 3),
        ([lambda: Bulkhead(1, queue=1, max_wait=None), FULL[6]], float("inf"), 1),
    ],
)
def test_the_worst_case_is_added_up(make, seconds, calls):
    """R-PL1"""
    assert list(worst_case([one() for one in make])) == pytest.approx([seconds, calls])


def test_explain_says_what_to_add_when_nothing_bounds_the_time(registry):
    """R-PL1"""
    pipeline = Pipeline("db", Bulkhead(1, queue=2, max_wait=None), Timeout(1.0), registry=registry)
    assert pipeline.explain().splitlines()[1:] == [
        "  1. Bulkhead 1 at once, 2 waiting up to the deadline",
        "  2. Timeout 1 s: per attempt",
        "Worst case: 1 call of the dependency; time without limit: add a Timeout or a Deadline.",
    ]


def test_the_environment_asks_for_the_link_once(registry, monkeypatch):
    """R-PL2"""
    asked = []
    monkeypatch.setattr("seawall.pipeline.registry.load", lambda port: lambda one: asked.append((port, one)))
    Pipeline("before", registry=registry)
    monkeypatch.setenv("SEAWALL_SOCKET", "/run/seawall.sock")
    Pipeline("one", registry=registry)
    registry.add_policy(Retry(name="two"))
    assert asked == [("link", registry)]
