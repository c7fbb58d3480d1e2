"""The decorator, for every kind of callable, and the ways to call without it."""

import asyncio
import functools
import inspect

import pytest

from seawall import (
    Bulkhead,
    CircuitBreaker,
    ConfigurationError,
    Fallback,
    Pipeline,
    RateLimiter,
    Retry,
    Timeout,
    default_registry,
)
from seawall.backoff import Constant
from seawall.testing import Scripted, run_async, virtual_time


@pytest.fixture
def pipeline():
    with virtual_time():
        yield Pipeline("p", Retry(2, backoff=Constant(base=0.0)), CircuitBreaker(50), registry=None)


def calls(pipeline):
    return pipeline.snapshot().counters


def flaky(answers):
    """Gives or raises what it is told, one after the other."""
    return Scripted(answers)


def test_a_plain_function_keeps_its_name_its_words_and_its_signature(pipeline):
    """R-PL1"""

    @pipeline
    def product(sku: str, *, fresh: bool = False) -> str:
        """The product."""
        return sku + str(fresh)

    assert product("a", fresh=True) == "aTrue"
    assert (product.__name__, product.__doc__) == ("product", "The product.")
    assert str(inspect.signature(product)) == "(sku: str, *, fresh: bool = False) -> str"
    assert product.pipeline is pipeline
    assert not inspect.iscoroutinefunction(product)


def test_a_coroutine_function_stays_one(pipeline):
    """R-PL1"""

    @pipeline
    async def product(sku):
        await asyncio.sleep(0)  # noqa: TID251 - a turn of the loop
        return sku

    assert inspect.iscoroutinefunction(product)
    assert run_async(product("a")) == "a"
    assert calls(pipeline)["calls.success"] == 1


def test_methods_class_methods_and_static_methods_are_protected(pipeline):
    """R-PL1"""

    class Shop:
        def __init__(self):
            self.script = flaky([ConnectionError(), "again"])

        @pipeline
        def buy(self, sku):
            return self.script(), sku

        @classmethod
        @pipeline
        def make(cls):
            return cls()

        @staticmethod
        @pipeline
        def price(sku):
            return len(sku)

        @pipeline
        async def ask(self, sku):
            return self, sku

    shop = Shop.make()
    assert isinstance(shop, Shop)
    assert shop.buy("a") == ("again", "a")
    assert Shop.price("abc") == 3
    assert run_async(shop.ask("b")) == (shop, "b")
    assert calls(pipeline)["calls.success"] == 4


@pytest.mark.parametrize("wrap", [classmethod, staticmethod])
@pytest.mark.parametrize("lone", [False, True])
def test_a_method_may_be_wrapped_either_way_round(pipeline, wrap, lone):
    """R-PL1"""
    protect = Retry(2) if lone else pipeline

    class Shop:
        size = protect(wrap(lambda *owner: len(owner)))

    assert Shop.size() == Shop().size() == (1 if wrap is classmethod else 0)


def test_an_async_static_method_wrapped_inside_is_awaited(pipeline):
    """R-PL1"""

    async def ask():
        return 1

    protected = pipeline(staticmethod(ask))
    assert run_async(protected()) == 1


def test_a_closure_a_lambda_a_partial_and_a_builtin_are_protected(pipeline):
    """R-PL1"""

    def closing(over):
        @pipeline
        def inner():
            return over

        return inner

    async def add(a, b):
        return a + b

    assert closing(7)() == 7
    assert pipeline(lambda x: x + 1)(1) == 2
    assert pipeline(functools.partial(int, base=2))("101") == 5
    assert pipeline(len)("abc") == 3
    assert run_async(pipeline(functools.partial(add, 1))(2)) == 3


def test_an_object_with_an_async_call_is_awaited_under_protection(pipeline):
    """R-PL1"""

    class Client:
        tries = 0

        async def __call__(self, sku):
            self.tries += 1
            if self.tries == 1:
                raise ConnectionError
            return sku

    for make in (lambda c: c, functools.partial):
        client = Client()
        protected = pipeline(make(client))
        assert inspect.iscoroutinefunction(protected)
        assert run_async(protected("a")) == "a"
        assert client.tries == 2


def test_a_call_of_a_generator_says_what_to_use(pipeline):
    """R-PL1: pybreaker takes its creation for a success."""

    def items():
        yield 1

    async def stream():
        yield 1

    for call in (pipeline.call, pipeline.call_outcome):
        with pytest.raises(TypeError, match=r"is a generator: .* use pipeline.stream"):
            call(items)
    for acall in (pipeline.acall, pipeline.acall_outcome):
        with pytest.raises(TypeError, match="is a generator"):
            run_async(acall(stream))


def test_a_plain_call_of_a_coroutine_function_says_what_to_use(pipeline):
    """R-PL1"""

    async def ask():
        return 1

    for call in (pipeline.call, pipeline.call_outcome):
        with pytest.raises(TypeError, match=r"is a coroutine function: use `await pipeline.acall\(…\)`"):
            call(ask)


def test_what_a_plain_function_gives_to_await_is_awaited_under_protection(pipeline):
    """R-PL1. pybreaker records a success before the coroutine has run; tenacity returns one that nobody awaits."""
    tries = []

    async def ask(sku):
        tries.append(sku)
        if len(tries) < 2:
            raise ConnectionError
        return sku

    protected = pipeline(functools.partial(lambda fn, sku: fn(sku), ask))
    assert run_async(protected("a")) == "a"
    assert tries == ["a", "a"]
    assert calls(pipeline)["calls.success"] == 1
    assert run_async(pipeline.call(functools.partial(lambda fn: fn("b"), ask))) == "b"
    assert calls(pipeline)["calls.success"] == 2
    assert sum(calls(pipeline).values()) == 2


def test_an_outcome_of_what_has_still_to_be_awaited_says_what_to_use(pipeline):
    """R-PL1"""

    async def ask():
        return 1

    with pytest.raises(TypeError, match="acall_outcome"):
        pipeline.call_outcome(functools.partial(lambda fn: fn(), ask))


def test_permits_and_tokens_are_taken_once_for_what_has_to_be_awaited():
    """R-PL1"""
    bulkhead, limiter = Bulkhead(1), RateLimiter("10/minute", burst=10)
    pipeline = Pipeline("lambda", CircuitBreaker(5), limiter, bulkhead, registry=None)

    async def ask():
        assert bulkhead.snapshot().gauges["in_flight"] == 1
        return 1

    with virtual_time(pipeline):
        assert run_async(pipeline(functools.partial(lambda fn: fn(), ask))()) == 1
        assert limiter.snapshot().gauges["tokens"] == 9.0
        assert bulkhead.snapshot().gauges["in_flight"] == 0


def test_an_async_call_of_a_plain_function_takes_its_value(pipeline):
    """R-PL1"""

    async def calling():
        return await pipeline.acall(lambda: 3)

    assert run_async(calling()) == 3


@pytest.mark.parametrize("name", ["self", "fn", "name", "call"])
def test_arguments_of_any_name_reach_the_function(pipeline, name):
    """R-PL1"""
    take = lambda **kwargs: kwargs  # noqa: E731

    async def atake(**kwargs):
        return kwargs

    given = {name: 1}
    assert pipeline.call(take, **given) == given
    assert pipeline.call_outcome(take, **given).value == given
    assert pipeline(take)(**given) == given
    assert run_async(pipeline.acall(atake, **given)) == given
    assert run_async(pipeline.acall_outcome(atake, **given)).value == given


def test_an_outcome_tells_attempts_time_and_what_a_fallback_stood_in_for():
    """R-FB1, R-PL1"""
    with virtual_time():
        pipeline = Pipeline("p", Fallback("old"), Retry(3, backoff=Constant(base=2.0, jitter="none")), registry=None)
        outcome = pipeline.call_outcome(
            flaky([ConnectionError("one"), ConnectionError("two"), ConnectionError("three")])
        )
        assert (outcome.value, outcome.degraded, outcome.source, outcome.attempts) == ("old", True, "value", 3)
        assert outcome.duration == 4.0
        assert str(outcome.cause) == "three"
        good = pipeline.call_outcome(int, "5")
        assert (good.value, good.degraded, good.source, good.attempts, good.cause) == (5, False, "call", 1, None)


def test_an_outcome_carries_the_error_in_both_colours(pipeline):
    """R-PL1"""
    scripted = flaky([ValueError("no")])
    plain = pipeline.call_outcome(scripted)
    awaited = run_async(pipeline.acall_outcome(scripted.acall))
    assert plain.error is awaited.error
    assert (plain.attempts, awaited.attempts) == (2, 2)
    assert not plain.ok


def test_an_interrupt_is_raised_and_not_put_into_an_outcome(pipeline):
    """R-PL1"""
    for interrupt in (KeyboardInterrupt, SystemExit, GeneratorExit):
        with pytest.raises(interrupt):
            pipeline.call_outcome(flaky([interrupt()]))
    with pytest.raises(asyncio.CancelledError):
        run_async(pipeline.acall_outcome(flaky([asyncio.CancelledError()]).acall))
    assert calls(pipeline)["calls.cancelled"] == 4


def test_a_policy_alone_is_a_decorator_with_the_functions_name():
    """R-PL1"""
    with default_registry.isolated(), virtual_time():
        shared = Retry(2, backoff=Constant(base=0.0))
        script = flaky([ConnectionError(), 1, ConnectionError(), 2])

        @shared
        def one():
            return script()

        @shared
        async def two():
            return script()

        assert (one(), run_async(two())) == (1, 2)
        assert "one" in shared.name
        assert [policy for policy in default_registry.policies() if policy is shared] == [shared]
        assert shared.pipelines == ()
        assert default_registry.pipelines() == []


def test_policies_alone_get_a_number_when_the_name_is_taken():
    """R-PL1"""
    with default_registry.isolated():
        kept: list[object] = [Bulkhead(1, name="db")(int) for _ in range(3)]
        assert len(kept) == 3
        assert [policy.name for policy in default_registry.policies()] == ["db", "db-2", "db-3"]


def test_a_policy_alone_keeps_its_place_in_the_named_pipeline():
    """R-PL1"""
    with default_registry.isolated():
        breaker = CircuitBreaker()
        Pipeline("db", breaker)
        breaker(int)
        assert breaker.pipelines == ("db",)


def test_a_plain_function_under_a_timeout_without_mode_is_refused_with_both_ways_out():
    """R-TM2"""
    with default_registry.isolated():
        pipeline = Pipeline("p", Timeout(2.0), registry=None)
        for protect in (pipeline, pipeline.call, Timeout(2.0)):
            with pytest.raises(ConfigurationError) as caught:
                protect(int)
            assert 'mode="cooperative"' in str(caught.value)
            assert 'mode="thread"' in str(caught.value)

    async def fine():
        return 1

    assert run_async(pipeline.acall(fine)) == 1


def test_an_async_fallback_of_a_plain_function_is_refused():
    """R-FB1"""

    async def other():
        return 1

    async def failing():
        raise ConnectionError

    pipeline = Pipeline("p", Fallback(other), registry=None)
    with pytest.raises(ConfigurationError, match="a plain function cannot have an async fallback"):
        pipeline.call(flaky([ConnectionError()]))
    assert run_async(pipeline.acall(failing)) == 1
