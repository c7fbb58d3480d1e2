"""Replays a recording through other policies, on a virtual clock, and counts both alike.

The calls come at their recorded times. What the dependency does when an attempt is made is this rule:

1. a call's attempt number k behaves as the recorded attempt number k of that call did;
2. beyond those, as the attempt of that pipeline whose recorded beginning is nearest in time to now;
3. an attempt that was cut short when it was recorded never answers, since nobody knows when it would have: the
   candidate's own timeout or deadline cuts it, and without one it fails after the recorded time.

So a candidate that sends more than was recorded meets a dependency that bears it: load is not fed back.
"""

from __future__ import annotations

import builtins
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from seawall.core.chance import seeded_chance
from seawall.core.clock import using_clock
from seawall.core.errors import ConfigurationError
from seawall.core.verdict import Verdict
from seawall.drive.virtual import VirtualClock
from seawall.events.types import TRANSITIONS
from seawall.pipeline.compose import Pipeline
from seawall.pipeline.figures import Figures, figures
from seawall.pipeline.record_lines import ended_of, line_of, transition_of
from seawall.pipeline.recording_file import Move, Recorded, RecordingFile, Tried, call_of
from seawall.pipeline.registry import Registry

if TYPE_CHECKING:
    import os

    from seawall.drive.call import Call
    from seawall.policies.base import PolicyBase

Make = Callable[[], Mapping[str, Sequence["PolicyBase"]]]
_FOR_EVER = 1e7  # seconds until an attempt that was cut short gives up


class Compared(NamedTuple):
    """One pipeline, as recorded and as the candidate would have had it."""

    pipeline: str
    recorded: Figures
    candidate: Figures

    @property
    def worse(self) -> bool:
        """True if the candidate fails or rejects more."""
        return self.candidate.bad > self.recorded.bad


def simulate(
    recording: RecordingFile | str | os.PathLike[str], make: Make, pipeline: str | None = None
) -> list[Compared]:
    """Replay a recording through other policies.

    Args:
        recording: the file, or what `read_recording` gave.
        make: gives the candidate's policies, outermost first, by the name of the pipeline; called once, on the virtual
            clock, on which they must be built. Jitter is drawn from a fixed seed, so that two runs agree.
        pipeline: the one to look at; by default all that recording and candidate have in common.

    Returns:
        What became of the calls, as recorded and as simulated, by pipeline.

    Raises:
        ConfigurationError: if the recording is not whole, or has nothing in common with the candidate.
    """
    from seawall.drive.replay import run_on  # late: it imports asyncio
    from seawall.pipeline.recording_file import read_recording

    data = recording if isinstance(recording, RecordingFile) else read_recording(recording)
    began = min([call.at for call in data.calls], default=0.0)
    clock = VirtualClock(began, float(data.header.get("wall", 0.0)) + began - float(data.header.get("monotonic", 0.0)))
    with using_clock(clock):
        made = make()
        names = _names(data, made, pipeline)
        run = _Run(clock, {name: made[name] for name in names}, data)
    run_on(clock, run.play())
    ended = max([call.at + call.took for call in data.calls], default=0.0)
    after = max([call.at + call.took for call in run.calls], default=0.0)
    return [
        Compared(
            name,
            figures([call for call in data.calls if call.pipeline == name], _of(data.moves, data, name), began, ended),
            figures([call for call in run.calls if call.pipeline == name], run.moves_of(name), began, after),
        )
        for name in names
    ]


def _of(moves: Sequence[Move], data: RecordingFile, name: str) -> list[Move]:
    """The moves of the circuits that stood in a pipeline."""
    policies = data.header.get("pipelines", {}).get(name, [])
    circuits = {one["name"] for one in policies if one["kind"] == "circuit_breaker"} or {name}
    return [move for move in moves if move.circuit.partition("[")[0] in circuits]


def _names(data: RecordingFile, made: Mapping[str, object], pipeline: str | None) -> list[str]:
    """The pipelines to simulate.

    Raises:
        ConfigurationError: if there are none.
    """
    recorded = {call.pipeline for call in data.calls}
    if pipeline is not None:
        for what, known in ((f"{data.path}: the recording", recorded), ("the candidate", set(made))):
            if pipeline not in known:
                listed = ", ".join(sorted(known)) or "none"
                raise ConfigurationError(
                    f'{what} has no pipeline "{pipeline}"; it has {listed}: name one with --pipeline'
                )
        return [pipeline]
    both = sorted(recorded & set(made))
    if not both:
        raise ConfigurationError(
            f"{data.path}: recording and candidate have no pipeline in common: recorded are "
            f"{', '.join(sorted(recorded)) or 'none'}, the candidate has {', '.join(sorted(made)) or 'none'}"
        )
    return both


class _Run:
    """One replay; it is the log of its own calls."""

    def __init__(self, clock: VirtualClock, made: Mapping[str, Sequence[PolicyBase]], data: RecordingFile) -> None:
        self._clock = clock
        self.calls: list[Recorded] = []
        self._moves: list[Move] = []
        registry = Registry()
        registry._log.cancel()  # what happens in a simulation is no news for the log
        registry.bus.clock = clock
        registry.bus.recording = self
        registry.bus.listen(self._moved, TRANSITIONS)
        self._pipelines = {}
        self._dependencies = {}
        for name, policies in made.items():
            for policy in policies:
                for attribute in ("chance", "_chance"):
                    if hasattr(policy, attribute):
                        setattr(policy, attribute, seeded_chance(1))
            self._pipelines[name] = Pipeline(name, *policies, classify=_classify, registry=registry)
            endless = any(policy.shape == "race" for policy in policies)
            calls = [call for call in data.calls if call.pipeline == name]
            self._dependencies[name] = _Dependency(clock, calls, endless=endless)
        self._todo = [call for call in data.calls if call.pipeline in made]

    def ended(self, name: str, call: Call, outcome: str, error: BaseException | None, now: float) -> None:
        """See `CallLog`."""
        self.calls.append(call_of(line_of(ended_of(name, call, outcome, error, now), b"")))

    def stop(self) -> None:
        """Nothing to close."""

    def _moved(self, event: Any) -> None:
        """A circuit has moved."""
        line = transition_of(event)
        self._moves.append(Move(line["circuit"], line["to"], line["at"], line.get("why", "")))

    def moves_of(self, name: str) -> list[Move]:
        """The moves of the circuits in a pipeline."""
        circuits = {policy.name for policy in self._pipelines[name].policies}
        return [move for move in self._moves if move.circuit.partition("[")[0] in circuits]

    async def play(self) -> None:
        """Make all calls at their times, and wait for their ends."""
        from seawall.drive.replay import spawn, wait_until

        tasks = []
        for call in self._todo:
            await wait_until(self._clock, call.at)
            tasks.append(spawn(self._make(call)))
        for task in tasks:
            await task

    async def _make(self, call: Recorded) -> None:
        """One call; whatever becomes of it is told to `ended`."""
        bound = self._pipelines[call.pipeline].with_options(
            key=call.key or "-", cost=None if call.cost == 1.0 else call.cost
        )
        await bound.acall_outcome(self._dependencies[call.pipeline].of(call))


class _Dependency:
    """Does what the recording says; see the rule above."""

    def __init__(self, clock: VirtualClock, calls: Sequence[Recorded], *, endless: bool) -> None:
        self._clock = clock
        self._endless = endless
        self._attempts = sorted((one for call in calls for one in call.attempts), key=lambda one: one.at)
        self._starts = [one.at for one in self._attempts]

    def of(self, call: Recorded) -> Any:
        """The dependency as one call meets it: a coroutine function."""
        left = iter(call.attempts)

        async def attempt() -> None:
            from seawall.drive.replay import wait_until

            now = self._clock.now()
            tried = next(left, None) or self._nearest(now)
            endless = tried.cut and self._endless
            await wait_until(self._clock, now + (_FOR_EVER if endless else tried.took))
            if tried.cut or tried.verdict != "success":
                raise _error(tried)

        return attempt

    def _nearest(self, now: float) -> Tried:
        """The recorded attempt nearest in time; one that answers at once if there is none at all."""
        if not self._attempts:
            return Tried(now, 0.0, "success")
        place = bisect_left(self._starts, now)
        around = self._attempts[max(0, place - 1) : place + 1]
        return min(around, key=lambda one: abs(one.at - now))


class SimulatedError(Exception):
    """Stands for an error that was recorded: it has its class's name or its status, its verdict and its hint."""

    seawall_verdict = Verdict.FAILURE


_KINDS: dict[tuple[str, str], type[SimulatedError]] = {}


def _error(tried: Tried) -> SimulatedError:
    """An error that policies judge as they judged the recorded one."""
    key = (tried.cause, "dropped" if tried.cut else tried.verdict)
    kind = _KINDS.get(key)
    if kind is None:
        kind = _KINDS[key] = _kind(*key)
    error = kind("as recorded")
    error.retry_after = tried.retry_after  # type: ignore[attr-defined]  # read by errors.hints like any SDK's
    return error


def _kind(cause: str, verdict: str) -> type[SimulatedError]:
    """A class for errors of a cause and a verdict."""
    base = getattr(builtins, cause, None)
    bases: tuple[type, ...] = (SimulatedError,)
    if (
        isinstance(base, type)
        and issubclass(base, Exception)
        and base not in {Exception, *UnicodeError.__subclasses__()}
    ):
        bases = (SimulatedError, base)
    elif verdict == "dropped" and not cause.isdigit():
        bases = (SimulatedError, TimeoutError)
    names: dict[str, Any] = {"seawall_verdict": Verdict[verdict.upper()]}
    if cause.isdigit():
        names["status_code"] = int(cause)
    return type(cause if cause.isidentifier() else "SimulatedError", bases, names)


def _classify(error: BaseException | None, _value: Any) -> Verdict | None:
    """The verdict that was recorded."""
    return error.seawall_verdict if isinstance(error, SimulatedError) else None
