"""Running test code: coroutines and threads on the clock of the moment, and one scenario both sync and async."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext
from contextvars import copy_context
from threading import Barrier, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from seawall.core.clock import current_clock
from seawall.drive.virtual import VirtualClock
from seawall.pipeline.compose import Pipeline

if TYPE_CHECKING:
    from seawall.core.outcome import Outcome
    from seawall.policies.base import PolicyBase

T = TypeVar("T")


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on the current clock: inside `virtual_time()` all waits jump, `asyncio.sleep` included."""

    async def adopted() -> T:
        clock = current_clock()
        if isinstance(clock, VirtualClock):
            clock.adopt(asyncio.get_running_loop())
        return await coroutine

    return asyncio.run(adopted())


def run_threads(*work: Callable[[], T]) -> list[T | BaseException]:
    """Run functions in a thread each, with the context copied; returns what each gave or raised, in order.

    A virtual clock waits for all of them: time jumps only when every thread waits for it.
    """
    clock = current_clock()
    results: list[Any] = [None] * len(work)
    ready = Barrier(len(work) + 1)

    def one(place: int, function: Callable[[], T]) -> None:
        with clock.working():
            ready.wait()
            try:
                results[place] = function()
            except BaseException as error:  # noqa: BLE001 - whatever it was is what the test looks at
                results[place] = error

    threads = [
        Thread(target=copy_context().run, args=(one, place, function), daemon=True)
        for place, function in enumerate(work)
    ]
    idle = clock.idle() if isinstance(clock, VirtualClock) else nullcontext()
    for thread in threads:
        thread.start()
    ready.wait()  # all are at work before the first may let time jump
    with idle:
        for thread in threads:
            thread.join()
    return results


class Driven:
    """A pipeline driven one way, so that a scenario need not know which.

    Attributes:
        colour: "sync" or "async".
        generated: whether calls go through functions that the pipeline has decorated, whose code is generated, or
            through `call` and `acall`, which use the plain drivers.
    """

    def __init__(self, colour: str, policies: Sequence[PolicyBase], name: str, *, generated: bool = False) -> None:
        self.colour = colour
        self.generated = generated
        self.pipeline = Pipeline(name, *policies, registry=None)

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a plain function through the pipeline; in the async colour it is wrapped into a coroutine function."""
        if self.colour == "sync":
            return self.pipeline(function)(*args) if self.generated else self.pipeline.call(function, *args)
        awaited = _coroutine(function)
        return run_async(self.pipeline(awaited)(*args) if self.generated else self.pipeline.acall(awaited, *args))

    def outcome(self, function: Callable[..., Any], *args: Any) -> Outcome[Any]:
        """Like `call`, but gives the `Outcome`."""
        if self.colour == "sync":
            return self.pipeline.call_outcome(function, *args)
        return run_async(self.pipeline.acall_outcome(_coroutine(function), *args))


def _coroutine(function: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
    """A coroutine function that does what `function` does."""

    async def wrapped(*args: Any) -> Any:
        value = function(*args)
        return await value if inspect.isawaitable(value) else value

    return wrapped


def run_both(make: Callable[[], Sequence[PolicyBase]], scenario: Callable[[Driven], T], *, name: str = "scenario") -> T:
    """Run one scenario sync and async, each through generated code and without, and insist that all give the same.

    Args:
        make: builds the policies, outermost first; called for each way, inside virtual time.
        scenario: gets a `Driven` and returns what is to be compared.
        name: the pipeline's.

    Returns:
        What all gave.

    Raises:
        AssertionError: if they differ.
    """
    from seawall.testing.time import virtual_time

    results = {}
    for colour in ("sync", "async"):
        for generated in (False, True):
            with virtual_time():
                way = f"{colour}, generated" if generated else colour
                results[way] = scenario(Driven(colour, make(), name, generated=generated))
    for way, result in results.items():
        if result != results["sync"]:
            raise AssertionError(f"sync gave {results['sync']!r}, {way} gave {result!r}")
    return results["sync"]
