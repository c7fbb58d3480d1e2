"""The four shapes for plain functions.

Each driver takes a policy and the step inside it, and gives a step. Steps call each other; the innermost is `invoke`.
Guards and queues are context managers, so the block forms of a pipeline use the very same code.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from seawall.core.context import restore_deadline, shrink_deadline
from seawall.core.errors import ConfigurationError, RejectedError
from seawall.core.permit import Parked, Permit, Rejection, Waiter
from seawall.core.verdict import Verdict
from seawall.drive.cached import cache
from seawall.drive.call import AwaitableFound, Call

if TYPE_CHECKING:
    from types import TracebackType

    from seawall.core.clock import Clock
    from seawall.drive.protocols import Guard, Instead, Loop, LoopRun, Queue, Race

Step = Callable[[Call], Any]


def invoke(call: Call) -> Any:
    """The innermost step: the function itself."""
    call.unsent()
    call.begin()
    try:
        value = call.run()
    except BaseException as error:
        call.failed(error)
        call.on_attempt(call, error, call.judge(error, None))
        raise
    if hasattr(type(value), "__await__"):
        call.started -= 1  # nothing of it has run yet
        if call.log:
            call.log.pop()
        raise AwaitableFound(value)
    call.value = value
    call.on_attempt(call, None, call.judge(None, value))
    return value


class Guarded:
    """A guard around a block: acquired on entry, recorded on exit, whatever the exit."""

    __slots__ = ("_call", "_guard", "_outer_start", "_permit", "_started")

    def __init__(self, guard: Guard, call: Call) -> None:
        self._guard = guard
        self._call = call

    def __enter__(self) -> None:
        call = self._call
        resumed = call.resumed
        granted: Permit | Rejection
        if resumed is None:
            granted = self._guard.acquire(call.ask(self._guard, held=True))
        else:
            granted = self._guard.adopt(resumed)
        self._permit: Permit | None = None
        if not isinstance(granted, Rejection):
            self._permit = granted
            if granted.kind == "trial":
                call.leased.append((self._guard, granted))
        elif not self._guard.shadow:
            raise self._guard.refuse(granted)
        self._started = call.started
        self._outer_start = call.started_at
        call.started_at = None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        call = self._call
        duration = call.elapsed()
        verdict, cause, hint = Verdict.UNSENT, "", None
        try:
            if call.started > self._started:
                verdict = Verdict.IGNORED  # if the user's own rule, which comes next, should raise
                verdict = self._guard.verdict(call, error)
            if error is not None and not isinstance(error, Exception):
                cause = "deadline" if verdict.failed else ""  # a cancellation counts only when our deadline made it
            elif verdict is not Verdict.SUCCESS:
                cause = call.label(error, call.value)
            if verdict.failed or verdict is Verdict.THROTTLED:
                hint = call.hint(error, call.value)
        finally:
            if self._outer_start is not None:
                call.started_at = self._outer_start
            permit = self._permit
            if permit is not None:
                if permit.kind == "trial":
                    call.leased.remove((self._guard, permit))
                self._guard.record(permit, verdict, duration, cause=cause, retry_after=hint)


class ThreadWaiter(Waiter):
    """A thread that stands in a queue."""

    __slots__ = ("event",)

    def __init__(self) -> None:
        self.event = threading.Event()

    def wake(self) -> bool:
        """Let the thread look at its place."""
        self.event.set()
        return True


class Queued:
    """A queue around a block: entered, waited for if need be, left on exit, whatever the exit."""

    __slots__ = ("_call", "_permit", "_queue", "_started")

    def __init__(self, queue: Queue, call: Call) -> None:
        self._queue = queue
        self._call = call

    def __enter__(self) -> None:
        queue = self._queue
        self._call.lingering = None  # a thread left behind by an attempt before this one has its own slot
        granted: Permit | Parked | Rejection
        if self._call.resumed is None:
            granted = queue.enter(self._call.ask(queue), ThreadWaiter)
        else:
            granted = queue.adopt(self._call.resumed)
        if isinstance(granted, Parked) and not queue.shadow:
            granted = self._wait(granted)
        self._permit: Permit | Parked | None = None
        if not isinstance(granted, Rejection):
            self._permit = granted
        elif not queue.shadow:
            raise queue.refuse(granted)
        self._started = self._call.started

    def _wait(self, place: Parked) -> Permit | Rejection:
        """Stand in line until there is a permit or a refusal."""
        queue = self._queue
        waiter = cast("ThreadWaiter", place.waiter)  # `enter` had it made
        try:
            while True:
                queue.clock.wait(waiter.event, place.wake_at)
                waiter.event.clear()
                state = queue.claim(place)
                if not isinstance(state, Parked):
                    return state
        except BaseException:  # an interrupt from a signal handler
            queue.abandon(place)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        call = self._call
        verdict, hint = Verdict.UNSENT, None
        try:
            if call.started > self._started:
                verdict = Verdict.IGNORED  # if the user's own rule, which comes next, should raise
                verdict = call.judge(error, call.value)
            if verdict is Verdict.THROTTLED:
                hint = call.hint(error, call.value)
        finally:
            lingering = call.lingering
            if lingering is None or not lingering.when_ended(lambda: leave(self._queue, self._permit, verdict, None)):
                leave(self._queue, self._permit, verdict, hint)


def leave(queue: Queue, place: Permit | Parked | None, verdict: Verdict, hint: float | None) -> None:
    """Give back what a queue gave; in shadow mode that may be a place in line, or nothing."""
    if isinstance(place, Parked):
        if place.permit is None:
            queue.abandon(place)
            return
        place = place.permit
    if place is not None:
        queue.leave(place, verdict, retry_after=hint)


def guard(policy: Guard, inner: Step) -> Step:
    """Acquire, call, record."""

    def guarded(call: Call) -> Any:
        with Guarded(policy, call):
            return inner(call)

    return guarded


def queue(policy: Queue, inner: Step) -> Step:
    """Enter, wait, call, leave."""

    def queued(call: Call) -> Any:
        with Queued(policy, call):
            return inner(call)

    return queued


def pause(run: LoopRun, policy: Loop, delay: float) -> bool:
    """Sleep between two attempts; False if the program is going away, so that there should be no other."""
    drain = policy.bus.drain
    if delay <= 0:
        return not drain.draining
    clock = policy.clock
    until = clock.now() + delay
    waiter = ThreadWaiter()
    try:
        while True:
            drain.add(waiter)  # each time: a draining that was called off has forgotten it
            if clock.now() >= until or drain.draining:
                break
            clock.wait(waiter.event, until)
            waiter.event.clear()
    except BaseException:
        run.abandon()
        raise
    finally:
        drain.discard(waiter)
    return not drain.draining


def loop(policy: Loop, inner: Step) -> Step:
    """Call, ask what next, and call again or put something in its place."""

    def looping(call: Call) -> Any:
        run = policy.start(call)
        while True:
            error: Exception | None = None
            value = None
            try:
                value = inner(call)
            except Exception as raised:
                error = raised
            except BaseException:
                run.abandon()
                raise
            step = run.after(call, error)
            if step is not None and hasattr(step, "delay"):
                if pause(run, policy, step.delay):
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
            return substitute(step, call)

    return looping


def substitute(step: Instead, call: Call) -> Any:
    """The value of the first source that has one."""
    for produce in step.sources():
        try:
            with within(step.timeout, call.clock):
                value = produce()
        except ConfigurationError:
            raise
        except Exception as error:
            step.failed(error)
            continue
        if hasattr(type(value), "__await__") or hasattr(type(value), "__anext__"):
            if hasattr(value, "close"):
                value.close()
            raise ConfigurationError(f'"{call.name}": a plain function cannot have an async fallback')
        step.answered()
        return value
    return step.end()


@contextmanager
def within(seconds: float | None, clock: Clock) -> Iterator[None]:
    """The ambient deadline of something that may take so long; None changes nothing."""
    if seconds is None:
        yield
        return
    token = shrink_deadline(clock.now() + seconds, seconds, clock)
    try:
        yield
    finally:
        restore_deadline(token)


def race(policy: Race, inner: Step) -> Step:
    """Call against time: in this thread, where waits shrink to what remains, or in a worker that can be left behind."""

    def racing(call: Call) -> Any:
        run = policy.start(call, "sync")
        refusal = run.expired()
        if refusal is not None:
            raise refusal
        with run.scope():
            try:
                value = policy.workers().run(call, inner, run) if run.threaded else inner(call)
            except AwaitableFound:  # it has not run, and will be timed where it does
                raise
            except BaseException as error:
                instead = run.ended(error)
                if instead is None or instead is error:
                    if isinstance(error, Exception) and not isinstance(error, RejectedError):
                        call.failed(error)  # a worker that was left behind can no longer say so
                    raise
                if not isinstance(instead, RejectedError):
                    call.failed(instead)
                raise instead from error
            run.ended(None)
            return value

    return racing


_SHAPES: dict[str, Callable[[Any, Step], Step]] = {
    "guard": guard,
    "queue": queue,
    "loop": loop,
    "race": race,
    "cache": cache,
}


def build(policies: Sequence[Any], innermost: Step = invoke) -> Step:
    """One step out of policies, outermost first."""
    from seawall.drive.beside import beside  # late: it imports this module

    step = innermost
    for policy in reversed(policies):
        step = beside(policy, step) if policy.shape == "beside" else _SHAPES[policy.shape](policy, step)
    return step
