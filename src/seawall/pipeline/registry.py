"""All pipelines and policies of one program, by name."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError
from seawall.core.fork import renew_after_fork
from seawall.core.ports import load
from seawall.core.validate import duration
from seawall.events.bus import Bus, default_bus
from seawall.events.log import log_events
from seawall.policies.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.core.snapshot import Snapshot
    from seawall.machines.breaker_options import ForcedState
    from seawall.pipeline.compose import Pipeline
    from seawall.pipeline.record import Recording
    from seawall.pipeline.why_known import Explanation
    from seawall.policies.base import PolicyBase


class Registry:
    """Pipelines and policies by name; one bus for all their events.

    Args:
        bus: a new one if not given. Transitions are logged to the logger "seawall".
    """

    def __init__(self, bus: Bus | None = None) -> None:
        self.bus = bus if bus is not None else Bus()
        self._log = log_events(self.bus)
        self._lock = threading.Lock()
        # Guarded by _lock
        self._pipelines: dict[str, Pipeline] = {}
        self._policies: dict[tuple[str, str], PolicyBase] = {}
        # decorators of one policy: kept by what they decorate, or a decorated closure per call would pile up here
        self._lone: weakref.WeakValueDictionary[tuple[str, str], PolicyBase] = weakref.WeakValueDictionary()
        self._linked = False
        renew_after_fork(self)

    def add(self, pipeline: Pipeline) -> None:
        """Register a pipeline and its policies.

        Raises:
            ConfigurationError: if another pipeline, or another policy of that kind, has the name.
        """
        with self._lock:
            if self._pipelines.get(pipeline.name, pipeline) is not pipeline:
                raise ConfigurationError(
                    f'Pipeline "{pipeline.name}" exists already. Use that object in both places, or another name; '
                    "a pipeline made for every call would never see two failures in a row"
                )
            added: list[tuple[str, str]] = []
            for policy in (*pipeline.policies, *pipeline.shadow):
                key = (policy.kind, policy.name)
                if self._known(*key) not in {None, policy}:
                    for undone in added:
                        del self._policies[undone]
                    raise ConfigurationError(
                        f'Pipeline "{pipeline.name}": another {type(policy).__name__} has the name "{policy.name}". '
                        "Share that object, or give this one a name of its own"
                    )
                if key not in self._policies:
                    self._policies[key] = policy
                    added.append(key)
            self._pipelines[pipeline.name] = pipeline
        self._link()

    def add_policy(self, policy: PolicyBase) -> None:
        """Register a policy that stands in no named pipeline; its name gets a number if it is taken."""
        with self._lock:
            name, number = policy.name, 1
            while self._known(policy.kind, name) not in {None, policy}:
                number += 1
                name = f"{policy.name}-{number}"
            if name != policy.name:
                policy.rebind(name, policy.pipelines, policy.bus)
            if (policy.kind, name) not in self._policies:
                self._lone[(policy.kind, name)] = policy
        self._link()

    def _known(self, kind: str, name: str) -> PolicyBase | None:
        """The policy of that kind and name; needs the lock."""
        return self._policies.get((kind, name)) or self._lone.get((kind, name))

    def _link(self) -> None:
        """Start the link to the daemon if the environment asks for it; once."""
        if not self._linked and os.environ.get("SEAWALL_SOCKET"):
            self._linked = True
            load("link")(self)

    def pipeline(self, name: str) -> Pipeline:
        """The pipeline of that name.

        Raises:
            ConfigurationError: listing the known names.
        """
        with self._lock:
            found = self._pipelines.get(name)
            known = sorted(self._pipelines)
        if found is None:
            raise ConfigurationError(f'No pipeline is named "{name}". Known: {", ".join(known) or "none yet"}')
        return found

    def pipelines(self) -> list[Pipeline]:
        """All pipelines, by name."""
        with self._lock:
            return [self._pipelines[name] for name in sorted(self._pipelines)]

    def policies(self) -> list[PolicyBase]:
        """All policies, by kind and name."""
        with self._lock:
            found = {**self._lone, **self._policies}
        return [found[key] for key in sorted(found)]

    def snapshot(self) -> Snapshot:
        """Everything at this moment, as plain data."""
        from seawall.core.snapshot import Snapshot  # late: loaded when the first policy was made

        return Snapshot(
            taken_at=self.bus.clock.wall(),
            pipelines=tuple(pipeline.snapshot() for pipeline in self.pipelines()),
            policies=tuple(policy.snapshot() for policy in self.policies()),
        )

    def explain(self, what: str | float, *, around: float = 60.0) -> Explanation:
        """Why a call was refused, a circuit moved, or a moment was as it was.

        Args:
            what: an id (`RejectedError.id`, or one from the log), the name of a policy or a pipeline, or a moment in
                wall seconds.
            around: seconds looked at before the first failure, or before and after a moment; > 0, 60 by default.

        Returns:
            The chain of causes as data, `str()` of it as text. What the journal does not hold is said and not guessed.

        Raises:
            ConfigurationError: if `around` is not above 0.
        """
        from seawall.pipeline.why import explain  # late: few programs ever ask
        from seawall.pipeline.why_known import known_of

        duration("explain.around", around)
        now = self.bus.clock.wall()
        return explain(what, known_of(self.bus.journal, self.snapshot(), now), around)

    def record(self, path: str | os.PathLike[str], *, max_bytes: int = 100_000_000) -> Recording:
        """Write every call from now on to a file, for `seawall simulate`; see `Recording`.

        Args:
            path: of the file, which must not exist; only its owner will be able to read it.
            max_bytes: length at which the recording ends; from 10,000, 100 MB by default, some 400,000 calls.

        Returns:
            The recording: `stop()` it, or use it as a context manager.

        Raises:
            ConfigurationError: if one is running already, or the file cannot be made.
        """
        from seawall.pipeline.record import Recording  # late: few programs ever record

        return Recording(self, path, max_bytes)

    def circuit(self, name: str) -> CircuitBreaker:
        """The circuit breaker of that name.

        Raises:
            ConfigurationError: listing the known circuits.
        """
        with self._lock:
            found = self._known(CircuitBreaker.kind, name)
            known = sorted(policy for kind, policy in {**self._lone, **self._policies} if kind == CircuitBreaker.kind)
        if not isinstance(found, CircuitBreaker):
            raise ConfigurationError(f'No circuit is named "{name}". Known: {", ".join(known) or "none yet"}')
        return found

    def force_circuit(
        self, name: str, state: ForcedState, *, owner: str, reason: str, expires_in: float | None
    ) -> None:
        """Pin the circuit `name`; see `CircuitBreaker.force`."""
        self.circuit(name).force(state, owner=owner, reason=reason, expires_in=expires_in)

    def release_circuit(self, name: str, *, owner: str, reason: str = "released") -> bool:
        """Take a pin off; see `CircuitBreaker.release`."""
        return self.circuit(name).release(owner=owner, reason=reason)

    def drain(self) -> None:
        """Say that the program is going away: sleeps between attempts end now, and no retry is started any more.

        Calls that are running go on, and new ones are still taken; stop sending them first. Any number of times.
        """
        self.bus.drain.begin()

    def shutdown(self, timeout: float = 30.0) -> dict[str, int]:
        """Go away in order: refuse new calls, wait for those in flight, and end what runs beside them.

        Sleeps between attempts end at once, as with `drain`. Then, in this order: a recording is stopped, probes of
        circuits end, the link to the daemon is closed with the last counts. Any number of times; there is no way back.

        Args:
            timeout: seconds to wait for calls in flight, >= 0; 30 by default, what most supervisors leave a program.

        Returns:
            The pipelines whose calls were still running in the end, with their number; empty if all is well.

        Raises:
            ConfigurationError: if the timeout is out of its range.
        """
        duration("shutdown.timeout", timeout, zero=True)
        self.drain()
        bus = self.bus
        ended = bus.closing = bus.closing or threading.Event()
        until = bus.clock.now() + timeout
        while True:
            ended.clear()
            left = {one.name: count for one in self.pipelines() if (count := one._judge.running())}
            if not left or bus.clock.now() >= until:
                break
            bus.clock.wait(ended, until)
        recording = bus.recording
        if recording is not None:
            recording.stop()
        for policy in self.policies():
            if isinstance(policy, CircuitBreaker):
                policy.stop_probing()
        load("unlink")(self)
        return left

    def resume(self) -> None:
        """Take a `drain` back."""
        self.bus.drain.end()

    def after_fork(self) -> None:
        """A new lock in the child."""
        self._lock = threading.Lock()

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """An empty registry inside the block, what was there before after it; for tests."""
        with self._lock:
            before = self._pipelines, self._policies, self._lone
            self._pipelines, self._policies, self._lone = {}, {}, weakref.WeakValueDictionary()
        try:
            yield
        finally:
            with self._lock:
                self._pipelines, self._policies, self._lone = before

    @contextmanager
    def rebound(self, clock: Clock, *others: Any) -> Iterator[None]:
        """Run every registered pipeline and policy, and `others`, on another clock inside the block."""
        with ExitStack() as stack:
            for thing in (*self.policies(), *others):
                stack.enter_context(thing.rebound(clock))
            for pipeline in self.pipelines():
                stack.enter_context(pipeline.rebound(clock, policies=False))
            before, self.bus.clock = self.bus.clock, clock
            try:
                yield
            finally:
                self.bus.clock = before


#: The registry of everything that is not given another one.
default_registry = Registry(default_bus)
