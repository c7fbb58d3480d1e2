"""One logical call on its way through a pipeline, and what drivers ask of policies."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from seawall.core.context import deadline_on, using_idempotency_key
from seawall.core.errors import DeadlineExceededError, RejectedError
from seawall.core.permit import Ask
from seawall.drive.arguments import argument
from seawall.drive.marks import note

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from seawall.core.clock import Clock
    from seawall.core.permit import Parked, Permit, Rejection, Waiter
    from seawall.core.verdict import Verdict
    from seawall.events.bus import Bus

Shape = Literal["guard", "loop", "queue", "race", "cache"]

#: The name of an argument of the protected function, or a function of its arguments.
KeyRule = str | Callable[..., Hashable]
#: Tokens for every call, or a function of the arguments of the protected function.
CostRule = float | Callable[..., float]


class AwaitableFound(BaseException):
    """A plain function gave an awaitable: what it does has still to begin, and belongs to the other colour."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class CallOptions(NamedTuple):
    """What is said of single calls; see `Pipeline.with_options`.

    Args:
        key: for policies that keep a state for each key; takes the place of their own rule.
        cost: tokens, in place of the rate limit's own rule.
        idempotent: whether doing it twice does no harm; None leaves it to the retry.
    """

    key: Hashable = None
    cost: float | None = None
    idempotent: bool | None = None


NO_OPTIONS = CallOptions()


class Call:
    """The state of one logical call.

    Args:
        name: the pipeline's.
        fn, args, kwargs: what to call. Arguments are secrets: they are passed on and never shown.
        clock: gives the moments below.
        judging: verdict on a result or an error.
        options: what was said of this call in particular.
    """

    __slots__ = (
        "abandoned", "args", "asked", "attempts_left", "awaitable", "cause", "clock", "counted", "degraded", "enter",
        "entered_at", "fn", "hint", "idempotency_key", "judge", "kwargs", "label", "last_error", "leased", "lingering",
        "log", "mark", "name", "on_attempt", "options", "source", "started", "started_at", "value",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        clock: Clock,
        judging: Judging,
        options: CallOptions = NO_OPTIONS,
    ) -> None:
        self.name = name
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self.clock = clock
        self.judge = judging.judge
        self.label = judging.label
        self.hint = judging.hint
        self.on_attempt = judging.on_attempt
        self.options = options
        self.entered_at = clock.now()
        self.started = 0  # attempts that began
        self.abandoned = False  # the caller has gone on without it: nothing may begin any more
        self.started_at: float | None = None  # when the attempt began that the innermost guard measures
        self.last_error: BaseException | None = None
        self.leased: list[tuple[Guard, Permit]] = []
        self.lingering: Lingering | None = None  # a worker thread that was left behind
        self.value: Any = None
        self.degraded = False
        self.source = "call"
        self.cause: BaseException | None = None
        self.idempotency_key: str | None = None
        self.attempts_left = 1  # the present one included
        # for a recording: its attempts, the one under way, and what guards and queues were asked for
        self.log: list[list[Any]] | None = None if judging.bus.recording is None else []
        self.mark: list[Any] | None = None
        self.asked: Ask | None = None
        self.counted = False  # among those in flight
        self.enter = judging.enter
        self.awaitable: Any = None  # what a plain function has given: its first attempt, still to be awaited

    def fork(self) -> Call:
        """A call of its own for work that may go on after this one has moved on."""
        child = Call.__new__(Call)
        for slot in Call.__slots__:
            setattr(child, slot, getattr(self, slot))
        child.leased = list(self.leased)
        return child

    def absorb(self, child: Call) -> None:
        """Take over how far a forked call has come."""
        self.started = child.started
        self.started_at = child.started_at
        self.last_error = child.last_error
        self.value = child.value

    def ask(self, policy: Policy, *, held: bool = False) -> Ask:
        """What this call asks of a guard or a queue."""
        key: Hashable = None
        rule = policy.key
        if rule is not None:
            key = self.options.key
            if key is None:
                key = argument(self, policy, rule) if isinstance(rule, str) else rule(*self.args, **self.kwargs)
        price = self.options.cost if policy.cost is None or self.options.cost is not None else policy.cost
        cost = 1.0 if price is None else price(*self.args, **self.kwargs) if callable(price) else price
        asked = Ask(cost, key, deadline=deadline_on(policy.clock), held=held)
        if self.log is not None and (self.asked is None or key is not None or cost != 1.0):
            self.asked = asked
        return asked

    def begin(self) -> None:
        """An attempt begins: the innermost guard has admitted it, and nothing of ours stands before the function."""
        # NB: first this, then the look: whoever abandons first says so and then looks whether it has begun, so that
        # a call that was refused for lack of time never runs afterwards.
        self.started += 1
        if self.abandoned:
            self.started -= 1
            raise DeadlineExceededError(f'Call to "{self.name}" rejected: its caller has gone on; nothing was sent.')
        now = self.clock.now()
        if self.log is not None:
            self.mark = [now]
            self.log.append(self.mark)
        if self.started_at is None:
            self.started_at = now
        for guard, permit in self.leased:
            guard.begin(permit)

    def run(self) -> Any:
        """The function itself, which finds the key of this call in its context."""
        if self.awaitable is not None:
            given, self.awaitable = self.awaitable, None
            return given
        if self.idempotency_key is None:
            return self.fn(*self.args, **self.kwargs)
        with using_idempotency_key(self.idempotency_key):
            return self.fn(*self.args, **self.kwargs)

    def let_go(self) -> None:
        """Nobody will await what the function gave: it was refused, or another's answer serves. Closes a coroutine.

        A future is left alone, as others may wait for it.
        """
        given, self.awaitable = self.awaitable, None
        close = getattr(given, "close", None)
        if close is not None:
            close()

    def failed(self, error: BaseException) -> None:
        """An attempt has raised. The refusal of an inner pipeline does not take the place of a real error."""
        if self.last_error is None or not isinstance(error, RejectedError):
            self.last_error = error

    def elapsed(self) -> float:
        """Seconds since the attempt began; 0 if it did not."""
        return 0.0 if self.started_at is None else max(0.0, self.clock.now() - self.started_at)

    def surfacing(self, rejection: RejectedError) -> BaseException:
        """What leaves the pipeline in place of a refusal.

        A refusal may leave only if no attempt of this logical call began: then nothing happened, and doing it again is
        safe. Otherwise the last real error leaves, with the refusal in its notes.
        """
        last = self.last_error
        if self.started == 0 or last is None or last is rejection:
            return rejection
        note(last, f"seawall: a further attempt was refused: {rejection}")
        return last


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


class Workers(Protocol):
    """Bounded worker threads for calls that can be left behind."""

    def run(self, call: Call, step: Callable[[Call], Any], race: RaceRun) -> Any:
        """The value of `step`, what it raised, or the race's own error once the time is up."""


class Lingering(Protocol):
    """A worker thread that was left behind."""

    def when_ended(self, action: Callable[[], object]) -> bool:
        """Run `action` once the thread has ended; False if it already has."""
