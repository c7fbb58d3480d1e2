"""A timer that tries a dependency whose circuit is open: without traffic nobody else would find out that it is back.

Its thread is there only while the circuit is not closed. It holds its owner weakly, so a breaker that nobody uses any
more is not probed for ever. Each probe is a trial call like any other: acquired, leased and recorded.
"""

from __future__ import annotations

import inspect
import sys
import threading
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from seawall.core.permit import Ask, Rejection
from seawall.core.verdict import Verdict
from seawall.drive.protocols import Guard
from seawall.errors.classify import label

if TYPE_CHECKING:
    import asyncio

    from seawall.core.clock import Clock

#: Returns something true, or raises; a coroutine function runs in the loop the circuit opened in, or one of its own.
Probe = Callable[[], Any]

_PAUSE = 0.1  # seconds between two probes of which the first failed, however short the open period is
_BUSY = 1.0  # seconds to the next look when traffic does the trying


class Probed(Guard, Protocol):
    """A guard that can be tried by a timer."""

    def trial_at(self) -> float | None:
        """The moment from which a trial may be had; None when there is nothing to try."""


class Prober:
    """The timer of one circuit.

    Args:
        guard: what is tried; held weakly.
        probe: the call to make.
        timeout: seconds until a probe counts as failed. A plain function cannot be stopped: it is left behind, and no
            other is started until it has ended.
        clock: of the guard.
    """

    __slots__ = (
        "__weakref__", "_clock", "_guard", "_hung", "_lock", "_loop", "_not_before", "_probe", "_starting", "_stopped",
        "_thread", "_timeout", "_waits_for", "_wake",
    )  # fmt: skip

    def __init__(self, guard: Probed, probe: Probe, timeout: float, clock: Clock) -> None:
        self._guard = weakref.ref(guard)
        self._probe = probe
        self._timeout = timeout
        self._clock = clock
        self._not_before = clock.now()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.after_fork()

    def after_fork(self) -> None:
        """Start afresh in a child, where no thread of the parent's is; `look` starts one if it is needed."""
        # Reentrant, because a garbage collection may end an abandoned call of this breaker while this thread is here.
        # NB: never held while the guard's own lock is taken: `stop` is called under that one.
        self._lock = threading.RLock()
        self._wake = threading.Event()
        self._hung: threading.Thread | None = None
        self._stopped = False
        # Guarded by _lock
        self._thread: threading.Thread | None = None
        self._starting = False
        self._waits_for: float | None = None

    def look(self) -> None:
        """Start the thread when there is something to try; have it look again when that has changed."""
        guard = self._guard()
        if guard is None:
            return
        at = guard.trial_at()
        if at is None and self._thread is None:
            return
        begun = threading.Event()
        with self._lock:
            if self._thread is not None:
                if at != self._waits_for:
                    self._wake.set()
                return
            if self._starting or self._stopped or at is None:
                return
            self._starting = True
            try:
                self._loop = self._running_loop()
                work = (weakref.ref(self), self._clock, begun)
                self._thread = threading.Thread(
                    target=_work, args=work, name=f"seawall-probe-{guard.name}", daemon=True
                )
                self._thread.start()
            except RuntimeError:  # no more threads, or the interpreter ends: the call that led here must not suffer
                self._thread = None
                return
            finally:
                self._starting = False
        begun.wait()  # a virtual clock must know of the thread before it jumps

    def stop(self) -> None:
        """End the thread, and start none until `resume`."""
        self._stopped = True
        self._wake.set()

    def resume(self) -> None:
        """Go on after `stop`."""
        self._stopped = False
        self.look()

    def next_at(self) -> float | None:
        """When to try; None ends the thread."""
        guard = self._guard()
        while True:
            with self._lock:
                self._wake.clear()  # before the look, or a change after it would be missed
                self._waits_for = None
            at = None if self._stopped or guard is None else guard.trial_at()
            with self._lock:
                if at is None and self._wake.is_set() and not self._stopped:
                    continue  # it has opened again meanwhile
                self._waits_for = at
                if at is None:
                    self._thread = None
            return None if at is None else max(at, self._not_before)

    def ended(self) -> None:
        """The thread is no more, for whatever reason."""
        with self._lock:
            if self._thread is threading.current_thread():
                self._thread = None

    def wait_event(self) -> threading.Event:
        """Set when there is reason to look again."""
        return self._wake

    def attempt(self) -> None:
        """One trial call."""
        guard, now = self._guard(), self._clock.now()
        if guard is None:
            return
        granted = guard.acquire(Ask(held=True))
        if isinstance(granted, Rejection):
            self._not_before = now + max(_PAUSE, min(granted.retry_after or _BUSY, _BUSY))
            return
        if granted.kind != "trial":  # closed since, or in shadow with all places taken
            guard.record(granted, Verdict.UNSENT, 0.0)
            self._not_before = now + _BUSY
            return
        guard.begin(granted)
        verdict, cause = Verdict.IGNORED, ""
        try:
            verdict, cause = self._run()
        finally:
            after = self._clock.now()
            if verdict is not Verdict.SUCCESS:
                self._not_before = after + _PAUSE
            guard.record(granted, verdict, after - now, cause=cause)

    # ----------------------------------------------------------- the call

    def _run(self) -> tuple[Verdict, str]:
        """Make the call; its verdict and the cause."""
        if self._hung is not None and self._hung.is_alive():
            return Verdict.DROPPED, "probe still running"
        done = threading.Event()
        ends: list[Any] = []  # (value, error)
        until = self._clock.now() + self._timeout
        loop = self._loop
        if loop is not None and loop.is_running():
            cancel = self._in_loop(loop, ends, done)
            if not self._clock.wait(done, until):
                cancel()
                return Verdict.DROPPED, "probe timed out"
        else:
            thread = self._in_thread(ends, done)
            if not self._clock.wait(done, until):
                self._hung = thread
                return Verdict.DROPPED, "probe timed out"
        value, error = ends[0]
        if error is not None:
            counts = isinstance(error, Exception)
            return (Verdict.FAILURE if counts else Verdict.IGNORED), label(error)
        return (Verdict.SUCCESS, "") if value else (Verdict.FAILURE, "probe said no")

    def _in_thread(self, ends: list[Any], done: threading.Event) -> threading.Thread:
        """Run the probe in a thread that can be left behind."""
        clock, probe, begun = self._clock, self._probe, threading.Event()

        def work() -> None:
            with clock.working():
                begun.set()
                try:
                    value = probe()
                    if inspect.iscoroutine(value):
                        import asyncio

                        value = asyncio.run(value)
                    ends.append((value, None))
                except BaseException as error:
                    ends.append((None, error))
                finally:
                    done.set()

        thread = threading.Thread(target=work, name="seawall-probe-call", daemon=True)
        thread.start()
        begun.wait()
        return thread

    def _in_loop(self, loop: asyncio.AbstractEventLoop, ends: list[Any], done: threading.Event) -> Callable[[], object]:
        """Run the probe in a loop; gives what cancels it."""
        import asyncio

        coroutine = self._probe()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError as closed:  # since it was looked at; the next one gets a loop of its own
            coroutine.close()
            ends.append((None, asyncio.CancelledError(str(closed))))
            done.set()
            return done.set

        def finished(future: Any) -> None:
            try:
                ends.append((future.result(), None))
            except BaseException as error:
                ends.append((None, error))
            done.set()

        future.add_done_callback(finished)
        return future.cancel

    def _running_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop this runs in, for a coroutine function."""
        if "asyncio" not in sys.modules or not inspect.iscoroutinefunction(self._probe):
            return None
        import asyncio

        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None


def _work(reference: weakref.ref[Prober], clock: Clock, begun: threading.Event) -> None:
    """What the thread does: wait for the moment, try, and again until the circuit is closed."""
    with clock.working():
        begun.set()
        prober: Prober | None = None
        try:
            while (prober := reference()) is not None:
                at = prober.next_at()
                if at is None:
                    return
                if clock.now() >= at:
                    prober.attempt()
                    continue
                wake = prober.wait_event()
                prober = None  # while it waits, the owner may go
                clock.wait(wake, at)
        finally:
            if prober is not None:
                prober.ended()
