"""What type checkers see of protected calls; mypy (strict) and pyright check this file, and it runs as well.

`make types` runs both.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, assert_type

import seawall
from seawall import (
    Bulkhead,
    CircuitBreaker,
    Fallback,
    Manager,
    ManualPermit,
    Outcome,
    Pipeline,
    RateLimiter,
    Retry,
    Timeout,
)
from seawall.backoff import Exponential
from seawall.testing import run_async, run_threads, virtual_time

pipeline = Pipeline("typed", Retry(2), CircuitBreaker(50), registry=None)


@pipeline
def plain(sku: str, *, count: int = 1) -> list[str]:
    """A plain function."""
    return [sku] * count


@pipeline
async def awaited(sku: str, count: int = 1) -> list[str]:
    """A coroutine function."""
    return [sku] * count


class Shop:
    """Methods of every kind."""

    @pipeline
    def buy(self, sku: str) -> int:
        """A method."""
        return len(sku)

    @pipeline
    async def ask(self, sku: str) -> int:
        """A coroutine method."""
        return len(sku)

    @classmethod
    @pipeline
    def make(cls, name: str = "") -> Shop:
        """A class method."""
        del name
        return cls()

    @staticmethod
    @pipeline
    def price(sku: str) -> float:
        """A static method."""
        return float(len(sku))


@pipeline
def items(count: int) -> Iterator[int]:
    """A generator."""
    yield from range(count)


@pipeline
async def aitems(count: int) -> AsyncIterator[int]:
    """An asynchronous generator."""
    for number in range(count):
        yield number


class Kinds:
    """The wrappers the other way round, and an object that can be called."""

    @pipeline
    @classmethod
    def make(cls, name: str) -> Kinds:
        """A class method, wrapped inside."""
        del name
        return cls()

    @pipeline
    @staticmethod
    def price(sku: str) -> float:
        """A static method, wrapped inside."""
        return float(len(sku))

    def __call__(self, sku: str) -> bytes:
        """The object is called."""
        return sku.encode()


async def answer(sku: str) -> bytes:
    """Something to await."""
    return sku.encode()


part = pipeline(functools.partial(answer, "a"))
lent: Callable[[str], Coroutine[Any, Any, bytes]] = lambda sku: answer(sku)  # noqa: E731, PLW0108
lambda_of_coroutine = pipeline(lent)
callable_object = pipeline(Kinds())


def test_each_of_ten_kinds_of_callables_keeps_its_exact_type() -> None:
    """R-PL1: (async) def, (async) generator, method, class method, static method, partial, object, lambda."""
    assert_type(plain("a"), list[str])
    assert_type(run_async(awaited("a")), list[str])
    assert_type(items(2), Iterator[int])
    assert_type(list(items(2)), list[int])
    assert_type(aitems(2), AsyncIterator[int])
    assert_type(Shop().buy("a"), int)
    assert_type(Shop.make("a"), Shop)
    assert_type(Kinds.make("a"), Kinds)
    assert_type(Shop.price("a"), float)
    assert_type(Kinds.price("a"), float)
    assert_type(run_async(part()), bytes)
    assert_type(callable_object("a"), bytes)
    assert_type(run_async(lambda_of_coroutine("a")), bytes)
    assert_type(next(pipeline.stream(items, 2)), int)
    assert_type(run_async(_first()), int)
    assert_type(pipeline.for_key("tenant").call(plain, "a"), list[str])


async def _first() -> int:
    """The first item of an asynchronous stream."""
    stream = pipeline.stream(aitems, 2)
    first = await anext(stream)
    await stream.aclose()
    return first


def test_a_decorated_function_keeps_its_exact_type() -> None:
    """R-PL1"""
    assert_type(plain("a", count=2), list[str])
    function: Callable[[str], list[str]] = plain
    assert function("a") == ["a"]
    plain_type_errors()


def plain_type_errors() -> None:
    """What must be an error; an ignore that is not needed is one, too."""
    try:
        plain(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        plain("a", counts=2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    except TypeError:
        pass


def test_a_decorated_coroutine_function_keeps_its_exact_type() -> None:
    """R-PL1"""
    coroutine: Coroutine[Any, Any, list[str]] = awaited("a", 2)
    assert_type(run_async(coroutine), list[str])


def test_decorated_methods_keep_their_exact_types() -> None:
    """R-PL1"""
    shop = Shop.make("corner")
    assert_type(shop, Shop)
    assert_type(shop.buy("a"), int)
    assert_type(Shop.price("a"), float)
    assert_type(run_async(shop.ask("a")), int)


def test_calls_give_what_the_function_gives() -> None:
    """R-PL1"""

    async def ask(sku: str) -> bytes:
        return sku.encode()

    async def calling() -> None:
        assert_type(await pipeline.acall(ask, "a"), bytes)
        assert_type(await pipeline.acall(ask, sku="a"), bytes)
        outcome = await pipeline.acall_outcome(ask, "a")
        assert_type(outcome, Outcome[bytes])
        assert_type(outcome.unwrap(), bytes)

    def look(sku: str, *, fresh: bool = False) -> tuple[str, bool]:
        return sku, fresh

    assert_type(pipeline.call(look, "a", fresh=True), tuple[str, bool])
    outcome = pipeline.call_outcome(look, "a")
    assert_type(outcome, Outcome[tuple[str, bool]])
    assert_type(outcome.value, tuple[str, bool] | None)
    assert_type(outcome.error, BaseException | None)
    assert_type(outcome.degraded, bool)
    run_async(calling())


def test_wrong_arguments_of_a_call_are_errors() -> None:
    """R-PL1"""

    def look(sku: str) -> str:
        return sku + ""

    for wrong in (
        lambda: pipeline.call(look, 3),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        lambda: pipeline.call(look),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ):
        try:
            wrong()
        except TypeError:
            continue
        raise AssertionError("it took the wrong arguments")


def test_every_policy_alone_keeps_the_type_as_well() -> None:
    """R-PL1"""

    def look(sku: str) -> int:
        return len(sku)

    with seawall.default_registry.isolated():
        assert_type(Retry(backoff=Exponential(base=0.0))(look)("a"), int)
        assert_type(CircuitBreaker(5)(look)("a"), int)
        assert_type(Bulkhead(1)(look)("a"), int)
        assert_type(RateLimiter("1/second")(look)("a"), int)
        assert_type(Timeout(5.0, mode="cooperative")(look)("a"), int)
        assert_type(Fallback(0)(look)("a"), int)


def test_protect_and_the_manager_keep_the_type() -> None:
    """R-PL1, R-PL2"""

    async def ask(sku: str) -> int:
        return len(sku)

    def look(sku: str) -> int:
        return len(sku)

    with seawall.default_registry.isolated():

        @seawall.protect("network")
        def fetch(sku: str) -> int:
            return len(sku)

        assert_type(fetch("a"), int)
    manager = Manager()
    manager.add("typed")
    assert_type(manager.execute("typed", look, "a"), int)
    assert_type(manager.execute("typed", look, sku="a"), int)
    assert_type(run_async(manager.execute("typed", ask, "a")), int)


def test_blocks_give_attempts_with_numbers() -> None:
    """R-PL1"""

    async def looping() -> None:
        async for attempt in pipeline.attempts():
            async with attempt as same:
                assert_type(same.number, int)

    for attempt in pipeline.attempts():
        with attempt as same:
            assert_type(attempt.number, int)
            assert_type(same.number, int)
    run_async(looping())


def test_what_is_for_tests_is_typed_too() -> None:
    """R-PL1"""
    with virtual_time() as clock:
        assert_type(clock.now(), float)
        assert_type(run_threads(lambda: 1), list[int | BaseException])
    assert_type(seawall.remaining(), float | None)


def test_permits_of_code_that_cannot_be_wrapped_are_typed() -> None:
    """R-CB8 R-PL1"""
    breaker = CircuitBreaker(5)
    permit = breaker.allow()
    assert_type(permit, ManualPermit)
    assert_type(permit.trial, bool)
    with permit as same:
        assert_type(same, ManualPermit)
    assert_type(breaker.retry_after, float)
    assert_type(breaker.state, str)
