"""What drivers ask of policies, of a pipeline, and of each other: roles without a body."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from seawall.core.clock import Clock
    from seawall.core.errors import RejectedError
    from seawall.core.permit import Ask, Parked, Permit, Rejection, Waiter
    from seawall.core.verdict import Verdict
    from seawall.drive.call import Call, Resumed
    from seawall.drive.timers import Timers
    from seawall.events.bus import Bus

Shape = Literal["guard", "loop", "queue", "race", "cache"]

#: The name of an argument of the protected function, or a function of its arguments.
KeyRule = str | Callable[..., Hashable]
#: Tokens for every call, or a function of the arguments of the protected function.
CostRule = float | Callable[..., float]


class Judging(Protocol):
    """What a pipeline knows about the meaning of results and errors."""

    bus: Bus

    def judge(self, error: BaseException | None, value: Any) -> Verdict:
        """The verdict on a finished attempt."""

    def label(self, error: BaseException | None, value: Any) -> str:
        """A short name for what failed that cannot hold a secret."""

    def hint(self, error: BaseException | None, value: Any) -> float | None:
        """Seconds the dependency asks to wait, or None."""

    def enter(self, call: Call) -> None:
        """The call begins: counts it among those in flight, or refuses it because the program is shutting down."""

    def on_attempt(self, call: Call, error: BaseException | None, verdict: Verdict) -> None:
        """Told once of every attempt that began and ended."""


class Policy(Protocol):
    """What all policies have in common for the drivers."""

    shape: Shape
    name: str
    clock: Clock
    bus: Bus
    key: KeyRule | None
    cost: CostRule | None
    shadow: bool

    def refuse(self, rejection: Rejection) -> RejectedError:
        """The error for a refusal."""

    def adopt(self, resumed: Resumed) -> Permit:
        """The permit of an attempt that generated code has made; guards and queues."""


class Guard(Policy, Protocol):
    """Says yes or no at once: breaker, rate limit."""

    def acquire(self, ask: Ask) -> Permit | Rejection:
        """Leave for one call."""

    def begin(self, permit: Permit) -> None:
        """The call starts now."""

    def record(
        self, permit: Permit, verdict: Verdict, duration: float, *, cause: str = "", retry_after: float | None = None
    ) -> None:
        """End the permit."""

    def verdict(self, call: Call, error: BaseException | None) -> Verdict:
        """This guard's own view of how the call ended."""


class Queue(Policy, Protocol):
    """Says yes, no, or wait: bulkhead, waiting rate limit."""

    def enter(self, ask: Ask, make_waiter: Callable[[], Waiter]) -> Permit | Parked | Rejection:
        """A permit, a place in the queue with a waiter in it, or a refusal."""

    def claim(self, place: Parked) -> Permit | Parked | Rejection:
        """What has become of a place."""

    def abandon(self, place: Parked) -> None:
        """The one who waited goes away."""

    def leave(self, permit: Permit, verdict: Verdict, *, retry_after: float | None = None) -> None:
        """The call has ended."""


class Again(Protocol):
    """A loop's answer: wait and try again."""

    @property
    def delay(self) -> float:
        """Seconds."""


class Instead(Protocol):
    """A loop's other answer: take what one of these functions gives in place of the failed call's value."""

    timeout: float | None  #: seconds each may take

    def sources(self) -> Iterator[Callable[[], Any]]:
        """Functions that give the value, or an awaitable of it, in the order they are tried."""

    def answered(self) -> None:
        """The source taken last has given the value."""

    def failed(self, error: Exception) -> None:
        """The source taken last has failed."""

    def end(self) -> Any:
        """No source had an answer: raises, or gives the value of the failed call."""


class LoopRun(Protocol):
    """A loop policy's state for one logical call."""

    def after(self, call: Call, error: Exception | None) -> Again | Instead | None:
        """What to do after an attempt; None lets its result or error through."""

    def abandon(self) -> None:
        """The call was cut short by an interrupt or a cancellation: in a wait, in line, or under way."""

    def drained(self, call: Call, error: Exception | None) -> None:
        """The wait was cut short because the program is going away: the last end of the call is let through."""


class Loop(Policy, Protocol):
    """Decides after each attempt: retry, fallback."""

    def start(self, call: Call) -> LoopRun:
        """Begin one logical call."""


class RaceRun(Protocol):
    """A race policy's state for one call."""

    until: float
    threaded: bool

    def ended(self, error: BaseException | None) -> BaseException | None:
        """The call is back; the error to raise in place of `error`, or None to leave things as they are."""

    def late(self) -> BaseException:
        """The error for a call that was cut short."""

    def scope(self) -> AbstractContextManager[object]:
        """Sets the ambient deadline for what runs inside."""

    def expired(self) -> RejectedError | None:
        """The refusal if there is no time left to begin at all."""


class Race(Policy, Protocol):
    """Runs a call against time: timeout, deadline."""

    def start(self, call: Call, colour: Literal["sync", "async"]) -> RaceRun:
        """Begin one race."""

    def workers(self) -> Workers:
        """The bounded threads for calls that are to be left behind."""

    def timers(self) -> Timers:
        """What cancels tasks when their time is up."""


class Workers(Protocol):
    """Bounded worker threads for calls that can be left behind."""

    def run(self, call: Call, step: Callable[[Call], Any], race: RaceRun) -> Any:
        """The value of `step`, what it raised, or the race's own error once the time is up."""


class Lingering(Protocol):
    """A worker thread that was left behind."""

    def when_ended(self, action: Callable[[], object]) -> bool:
        """Run `action` once the thread has ended; False if it already has."""
