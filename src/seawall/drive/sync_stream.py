"""Streams of plain code: a generator whose items are asked for under the policies of a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from seawall.core.context import restore_deadline, shrink_deadline, using_idempotency_key
from seawall.drive import sync
from seawall.drive.stream import StreamCore, StreamPlan, Until, items_of, no_end, raise_instead

if TYPE_CHECKING:
    from types import TracebackType

    from seawall.drive.call import Call

T = TypeVar("T")


class _End:
    """The source is exhausted; a generator may have returned a value."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class _Source:
    """What one attempt reads from; a thread that was left behind keeps its own and has no part in the next one's."""

    __slots__ = ("items",)

    def __init__(self, items: Iterator[Any] | None = None) -> None:
        self.items: Any = items  # None until the first item is asked for

    def close(self) -> None:
        """Close what can be closed."""
        close = getattr(self.items, "close", None)
        if close is not None:
            close()


class Stream(Generator[T, Any, Any]):
    """The items of a protected stream; closing it, or letting go of it, gives everything back."""

    __slots__ = ("_core", "_source")

    def __init__(self, call: Call, parts: StreamPlan, finished: Callable[[Call, BaseException | None], None]) -> None:
        self._core = StreamCore(call, parts, finished)
        self._source: _Source | None = None

    @property
    def delivered(self) -> int:
        """Items given so far."""
        return self._core.delivered

    @property
    def degraded(self) -> bool:
        """True when the items come from a fallback."""
        return self._core.call.degraded

    @property
    def attempts(self) -> int:
        """Attempts that began so far."""
        return self._core.call.started

    def __next__(self) -> T:
        return self.send(None)

    def send(self, value: Any) -> T:
        """The next item; `value` goes to a source that takes one."""
        if not self._core.busy.acquire(blocking=False):
            raise ValueError("stream already executing")
        try:
            return self._send(value)
        finally:
            self._core.busy.release()

    def _send(self, value: Any) -> T:
        """See `send`."""
        core = self._core
        if core.done:
            raise StopIteration
        while True:
            try:
                core.start("sync")
                item = self._pull(value)
                if isinstance(item, _End) and core.passage is not None:
                    core.passage.exit(None)
            except BaseException as error:
                self._failed(error)
                continue
            if isinstance(item, _End):
                self._source = None
                core.ended()
                raise StopIteration(item.value)
            if core.deliver(item):
                result: T = item
                return result

    def _pull(self, value: Any) -> Any:
        """Wait for one item within the limits."""
        core = self._core
        clock = core.call.clock
        if self._source is None and not core.substitute:
            with core.scope():
                core.open().enter()
            self._source = _Source()
        source = self._source
        assert source is not None
        before = clock.now()
        until = core.until(before)
        token = None if until is None else shrink_deadline(until.at, max(0.0, until.seconds), clock)
        try:
            item = self._step(source, value, until)
        except BaseException as error:
            core.waited(clock.now() - before, arrived=False)
            instead = core.lost(error, until)
            try:
                if instead is error:
                    raise
                raise instead from error
            finally:
                del instead
        finally:
            if token is not None:
                restore_deadline(token)
        core.waited(clock.now() - before, arrived=not isinstance(item, _End))
        return item

    def _step(self, source: _Source, value: Any, until: Until | None) -> Any:
        """One item, asked for here or in a thread that can be left behind."""
        call = self._core.call
        threaded = self._core.threaded
        if threaded is None or until is None:
            return self._ask(call, source, value)
        return threaded.workers().run(call, lambda child: self._ask(child, source, value), _Patience(until))

    def _ask(self, call: Call, source: _Source, value: Any) -> Any:
        """One item of the source, which is made first if there is none."""
        if call.idempotency_key is None:
            return self._of_source(source, value)
        with using_idempotency_key(call.idempotency_key):
            return self._of_source(source, value)

    def _of_source(self, source: _Source, value: Any) -> Any:
        """See `_ask`."""
        if source.items is None:
            made = self._core.source()
            # NB: what can be read in both colours (a client's byte stream) is read in this one
            if not hasattr(made, "__iter__") and (hasattr(made, "__aiter__") or hasattr(made, "__await__")):
                if hasattr(made, "close"):
                    made.close()
                raise TypeError(
                    f"{self._core.call.name}: the plain function gave an asynchronous stream; use pipeline.astream(…)"
                )
            source.items = iter(made)
        try:
            return next(source.items) if value is None else source.items.send(value)
        except StopIteration as end:
            return _End(end.value)

    def _failed(self, error: BaseException) -> None:
        """Give everything back and make ready for another attempt, or end the logical call and raise."""
        try:
            self._go_on(error)
        except BaseException as raised:  # whatever it is: a user's rule may raise too
            self._core.finish(raised)
            if isinstance(raised, StopIteration):
                raise no_end(self._core.call, raised) from raised
            raise
        finally:
            del error  # a local of a frame in its own traceback would keep both alive

    def _go_on(self, error: BaseException) -> None:
        """See `_failed`."""
        core = self._core
        step: Any = None
        try:
            self._let_go(error)
            step = core.after(error)
            if hasattr(step, "delay"):
                if sync.pause(*core.pausing(), step.delay):
                    return
                assert isinstance(error, Exception)
                core.drained(error)
                step = core.over(error)
            if isinstance(step, BaseException):
                raise_instead(step, error)
            self._source = _Source(iter(items_of(sync.substitute(step, core.call))))
        finally:
            del error, step

    def _let_go(self, error: BaseException) -> None:
        """Close the source and leave guards and queues."""
        source, self._source = self._source, None
        passage = self._core.passage
        left = self._core.call.lingering
        try:
            # NB: a thread that was left behind is still at work in its source, and closes it when it comes back
            if source is not None and (left is None or not left.when_ended(source.close)):
                source.close()
        except Exception as trouble:
            self._core.unclosed(error, trouble)
        finally:
            if passage is not None:
                passage.exit(error)

    def close(self) -> None:
        """End it early: neutral for every policy, and all permits are given back. Any number of times."""
        core = self._core
        if core.done:
            return
        if not core.busy.acquire(blocking=False):
            raise ValueError("stream already executing")
        ending = GeneratorExit()
        try:
            self._let_go(ending)
        finally:
            core.finish(ending)
            core.busy.release()

    def throw(self, kind: Any, value: Any = None, tb: TracebackType | None = None, /) -> T:
        """End it early with an error of the consumer's."""
        self.close()
        raise value if value is not None else kind

    def __enter__(self) -> Stream[T]:
        return self

    def __exit__(self, kind: object, error: object, tb: object) -> None:
        self.close()

    def __del__(self) -> None:
        core = getattr(self, "_core", None)  # a constructor that failed leaves none
        if core is not None and not core.done and core.started:
            self.close()


class _Patience:
    """A worker's view of how long an item is waited for."""

    __slots__ = ("late", "until")

    def __init__(self, until: Until) -> None:
        self.until = until.at
        self.late = until.late
