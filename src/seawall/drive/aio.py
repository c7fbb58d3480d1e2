"""The four shapes for coroutine functions; asyncio is imported with this module, which loads when first needed."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from seawall.core.context import using_idempotency_key
from seawall.core.errors import ConfigurationError, RejectedError
from seawall.core.permit import Parked, Permit, Rejection, Waiter
from seawall.core.verdict import Verdict
from seawall.drive.beside import abeside
from seawall.drive.cached import acache
from seawall.drive.call import Call
from seawall.drive.sync import Guarded, leave, within
from seawall.drive.timers import POP, disarm, ran_out, unarmed

if TYPE_CHECKING:
    from types import TracebackType

    from seawall.drive.protocols import Instead, Loop, LoopRun, Queue, Race

AsyncStep = Callable[[Call], Awaitable[Any]]

_TICK = 1e-6  # seconds: timers fire up to a tick of the loop's clock early; waiting less than that would be spinning


async def invoke(call: Call) -> Any:
    """The innermost step: the function itself; a plain value is taken as it is."""
    call.unsent()
    call.begin()
    try:
        awaited = call.resumed is not None  # by generated code; what a coroutine returns is not awaited again
        value = call.run()
        if not awaited and inspect.isawaitable(value):
            if call.idempotency_key is None:
                value = await value
            else:  # a coroutine's body runs only now
                with using_idempotency_key(call.idempotency_key):
                    value = await value
    except BaseException as error:
        call.failed(error)
        call.on_attempt(call, error, call.judge(error, None))
        raise
    call.value = value
    call.on_attempt(call, None, call.judge(None, value))
    return value


class TaskWaiter(Waiter):
    """A task that stands in a queue, woken from any thread or loop."""

    __slots__ = ("future", "loop")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self.loop.create_future()

    def wake(self) -> bool:
        """Let the task look at its place; False if its loop is closed, so that nobody is there any more."""
        try:
            self.loop.call_soon_threadsafe(self._look)
        except RuntimeError:
            return False
        return True

    def _look(self) -> None:
        """Runs in the task's loop."""
        if not self.future.done():
            self.future.set_result(None)


class Queued:
    """A queue around a block; see the sync one."""

    __slots__ = ("_call", "_permit", "_queue", "_started")

    def __init__(self, queue: Queue, call: Call) -> None:
        self._queue = queue
        self._call = call

    async def __aenter__(self) -> None:
        queue = self._queue
        granted: Permit | Parked | Rejection
        if self._call.resumed is None:
            granted = queue.enter(self._call.ask(queue), TaskWaiter)
        else:
            granted = queue.adopt(self._call.resumed)
        if isinstance(granted, Parked) and not queue.shadow:
            granted = await self._wait(granted)
        self._permit: Permit | Parked | None = None
        if not isinstance(granted, Rejection):
            self._permit = granted
        elif not queue.shadow:
            raise queue.refuse(granted)
        self._started = self._call.started

    async def _wait(self, place: Parked) -> Permit | Rejection:
        """Stand in line until there is a permit or a refusal."""
        queue = self._queue
        waiter = cast("TaskWaiter", place.waiter)  # `enter` had it made
        soonest = -math.inf
        try:
            while True:
                timer = None
                if place.wake_at is not None:
                    at = max(queue.clock.loop_time(waiter.loop, place.wake_at), soonest)
                    timer = waiter.loop.call_at(at, waiter._look)
                try:
                    await waiter.future
                finally:
                    if timer is not None:
                        timer.cancel()
                waiter.future = waiter.loop.create_future()
                state = queue.claim(place)
                if not isinstance(state, Parked):
                    return state
                soonest = waiter.loop.time() + _TICK
        except BaseException:  # cancelled, perhaps after the slot had been given to it
            queue.abandon(place)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        call = self._call
        verdict, hint = Verdict.UNSENT, None
        try:
            if call.started > self._started:
                verdict = Verdict.IGNORED  # if the user's own rule, which comes next, should raise
                verdict = call.judge(error, call.value)
            if verdict is Verdict.THROTTLED:
                hint = call.hint(error, call.value)
        finally:
            leave(self._queue, self._permit, verdict, hint)


def guard(policy: Any, inner: AsyncStep) -> AsyncStep:
    """Acquire, await, record."""

    async def guarded(call: Call) -> Any:
        with Guarded(policy, call):
            return await inner(call)

    return guarded


def queue(policy: Queue, inner: AsyncStep) -> AsyncStep:
    """Enter, wait, await, leave."""

    async def queued(call: Call) -> Any:
        async with Queued(policy, call):
            return await inner(call)

    return queued


async def pause(run: LoopRun, policy: Loop, delay: float) -> bool:
    """Sleep between two attempts; False if the program is going away, so that there should be no other."""
    drain = policy.bus.drain
    if delay <= 0:
        return not drain.draining
    clock = policy.clock
    until = clock.now() + delay
    waiter = TaskWaiter()
    try:
        while True:
            drain.add(waiter)  # each time: a draining that was called off has forgotten it
            if clock.now() >= until or drain.draining:
                break
            at = max(clock.loop_time(waiter.loop, until), waiter.loop.time() + _TICK)
            timer = waiter.loop.call_at(at, waiter._look)
            try:
                await waiter.future
            finally:
                timer.cancel()
            waiter.future = waiter.loop.create_future()
    except BaseException:
        run.abandon()
        raise
    finally:
        drain.discard(waiter)
    return not drain.draining


def loop(policy: Loop, inner: AsyncStep) -> AsyncStep:
    """Await, ask what next, and await again or put something in its place."""

    async def looping(call: Call) -> Any:
        run = policy.start(call)
        while True:
            error: Exception | None = None
            value = None
            try:
                value = await inner(call)
            except Exception as raised:
                error = raised
            except BaseException:
                run.abandon()
                raise
            step = run.after(call, error)
            if step is not None and hasattr(step, "delay"):
                if await pause(run, policy, step.delay):
                    continue
                run.drained(call, error)
                step = None
            if step is None:
                if error is None:
                    return value
                try:
                    raise call.surfacing(error) if isinstance(error, RejectedError) else error
                finally:
                    del error  # a local of a frame in its own traceback would keep both alive
            del error
            return await substitute(step, call)

    return looping


async def substitute(step: Instead, call: Call) -> Any:
    """The value of the first source that has one."""
    clock = call.clock
    for produce in step.sources():
        until = None
        if step.timeout is not None:
            until = clock.loop_time(asyncio.get_running_loop(), clock.now() + step.timeout)
        try:
            async with asyncio.timeout_at(until):
                with within(step.timeout, clock):
                    value = produce()
                    if inspect.isawaitable(value):
                        value = await value
        except ConfigurationError:
            raise
        except Exception as error:
            step.failed(error)
            continue
        step.answered()
        return value
    return step.end()


def race(policy: Race, inner: AsyncStep) -> AsyncStep:
    """Await against time: the task is cancelled inside when the time is up, and an outer cancel stays a cancel."""

    async def racing(call: Call) -> Any:
        run = policy.start(call, "async")
        refusal = run.expired()
        if refusal is not None:
            raise refusal
        timer = unarmed()
        given = call.timer
        if given is not None and run.until <= given[0]:  # generated code has timed the attempt already
            call.timer, timer = None, given[1]
        with run.scope():
            try:
                try:
                    if timer[POP] is None and math.isfinite(run.until):
                        policy.timers().arm(timer, run.until)
                    value = await inner(call)
                finally:
                    disarm(timer)
            except BaseException as error:
                instead = run.late() if ran_out(timer, error) else run.ended(error)
                if instead is None or instead is error:
                    raise
                if not isinstance(instead, RejectedError):
                    call.failed(instead)
                raise instead from error
            run.ended(None)
            return value

    return racing


_SHAPES: dict[str, Callable[[Any, AsyncStep], AsyncStep]] = {
    "guard": guard,
    "queue": queue,
    "loop": loop,
    "race": race,
    "cache": acache,
    "beside": abeside,
}


def build(policies: Sequence[Any], innermost: AsyncStep = invoke) -> AsyncStep:
    """One step out of policies, outermost first."""
    step = innermost
    for policy in reversed(policies):
        step = _SHAPES[policy.shape](policy, step)
    return step
