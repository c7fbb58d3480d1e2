"""Worker threads for sync calls with a hard timeout.

A thread cannot be killed: a call that runs over is left behind, counted, and keeps its worker until it comes back. The
number of workers is bounded, and a call beyond it is refused at once instead of queueing behind hung ones.
"""

from __future__ import annotations

import contextvars
import math
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from seawall.core.permit import Rejection

if TYPE_CHECKING:
    from seawall.core.errors import RejectedError
    from seawall.drive.call import Call
    from seawall.drive.protocols import RaceRun


class Worker:
    """One call in a thread of its own."""

    __slots__ = ("_actions", "_lock", "call", "done", "ended", "error", "left", "value")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.done = threading.Event()
        self.value: Any = None
        self.error: BaseException | None = None
        self.left = False
        self._lock = threading.Lock()
        # Guarded by _lock
        self.ended = False
        self._actions: list[Callable[[], object]] = []

    def when_ended(self, action: Callable[[], object]) -> bool:
        """Run `action` in the worker once it has ended; False if it already has."""
        with self._lock:
            if self.ended:
                return False
            self._actions.append(action)
            return True

    def finish(self) -> None:
        """Runs last in the worker's thread."""
        with self._lock:
            self.ended = True
            actions, self._actions = self._actions, []
        with ExitStack() as all_of_them:  # also those after one that raises: a source that cannot be closed, say
            for action in reversed(actions):
                all_of_them.callback(action)


class WorkerPool:
    """Bounded threads, made when needed; none is kept idle.

    Args:
        size: threads at once, those left behind included.
        refuse: makes the error for a call beyond `size`.
    """

    __slots__ = ("_lock", "_refuse", "abandoned", "busy", "left_behind", "size")

    def __init__(self, size: int, refuse: Callable[[Rejection], RejectedError]) -> None:
        self.size = size
        self._refuse = refuse
        self._lock = threading.Lock()
        # Guarded by _lock
        self.busy = 0
        self.left_behind = 0  # now
        self.abandoned = 0  # ever

    def run(self, call: Call, step: Callable[[Call], Any], race: RaceRun) -> Any:
        """Run `step` on a fork of `call` until `race.until`; see `Workers.run`."""
        with self._lock:
            full = self.busy >= self.size
            if not full:
                self.busy += 1
        if full:
            raise self._refuse(
                Rejection("workers", None, {"threads": self.size, "left_behind": self.left_behind}),
            )
        clock = call.clock
        worker = Worker(call.fork())
        context = contextvars.copy_context()
        running = threading.Event()

        def work() -> None:
            with clock.working():
                running.set()
                try:
                    worker.value = context.run(step, worker.call)
                except BaseException as error:
                    worker.error = error
                finally:
                    with self._lock:
                        self.busy -= 1
                        self.left_behind -= worker.left
                    worker.done.set()
                    worker.finish()

        # daemon: the interpreter must be able to exit while a hung call is still out
        thread = threading.Thread(target=work, name=f"seawall-{call.name}", daemon=True)
        try:
            thread.start()
        except BaseException:
            with self._lock:
                self.busy -= 1
            raise
        try:
            running.wait()  # time starts when the worker does; a virtual clock must know of it before it jumps
            clock.wait(worker.done, race.until if math.isfinite(race.until) else None)
        finally:  # also when an interrupt ends the wait: the thread goes on all the same
            came_back = self._leave(worker)
            call.absorb(worker.call)
            if not came_back:
                call.lingering = worker
        if not came_back:
            raise race.late()
        if worker.error is not None:
            raise worker.error
        return worker.value

    def _leave(self, worker: Worker) -> bool:
        """Stop waiting for a worker; False if it is left behind."""
        with self._lock:
            if worker.done.is_set():
                return True
            worker.left = True
            self.left_behind += 1
            self.abandoned += 1
        worker.call.abandoned = True
        return False
