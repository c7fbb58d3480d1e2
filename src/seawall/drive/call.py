"""One logical call on its way through a pipeline."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from seawall.core.context import deadline_on, using_idempotency_key
from seawall.core.errors import DeadlineExceededError, RejectedError
from seawall.core.permit import Ask
from seawall.drive.arguments import argument
from seawall.drive.marks import note

if TYPE_CHECKING:
    from seawall.core.clock import Clock
    from seawall.core.permit import Permit
    from seawall.drive.protocols import Guard, Judging, Lingering, Policy


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


class Resumed(NamedTuple):
    """A first attempt that generated code has made: the drivers go on from its end.

    Args:
        error: what it raised; None if there is a value.
        value: what it gave.
        began: the moment it began; None if nobody looked at the clock.
        sent: False if something came between before the function was called.
        eras: what admitted it, by the policy's identity; see `PolicyBase.quiet_era`.
        mark: see `marks.new_mark`.
        timer: the moment that bounds it and its timer, in async code under a timeout or a deadline.
    """

    error: BaseException | None
    value: Any
    began: float | None
    sent: bool
    eras: Mapping[int, tuple[int, int]]
    mark: int
    timer: tuple[float, list[Any]] | None


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
        "__weakref__", "abandoned", "args", "asked", "attempts_left", "awaitable", "cause", "clock", "counted",
        "degraded", "enter",
        "entered_at", "fn", "hint", "idempotency_key", "judge", "kwargs", "label", "last_error", "leased", "lingering",
        "log", "mark", "name", "on_attempt", "options", "over_at", "resumed", "source", "started", "started_at",
        "timer", "value",
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
        self.resumed: Resumed | None = None  # its first attempt, made by generated code, until the drivers have it
        self.over_at: float | None = None  # when that attempt ended
        self.timer: tuple[float, list[Any]] | None = None  # what bounded it

    def fork(self) -> Call:
        """A call of its own for work that may go on after this one has moved on."""
        child = Call.__new__(Call)
        for slot in Call.__slots__[1:]:
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
        resumed = self.resumed
        if resumed is None:
            self.over_at = None
        else:
            self.over_at = now
            now = now if resumed.began is None else resumed.began
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
        if self.resumed is not None:
            return self._first()
        if self.idempotency_key is None:
            return self.fn(*self.args, **self.kwargs)
        with using_idempotency_key(self.idempotency_key):
            return self.fn(*self.args, **self.kwargs)

    def unsent(self) -> None:
        """Raise what came between before the function of a resumed call was called; nothing if nothing did."""
        resumed = self.resumed
        if resumed is not None and not resumed.sent and resumed.error is not None:
            self.resumed = None
            raise resumed.error

    def _first(self) -> Any:
        """The end of the attempt that generated code has made."""
        resumed, self.resumed = self.resumed, None
        assert resumed is not None
        if resumed.error is None:
            return resumed.value
        try:
            raise resumed.error
        finally:
            del resumed  # a local of a frame in the error's own traceback would keep both alive

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
        if self.started_at is None:
            return 0.0
        return max(0.0, (self.clock.now() if self.over_at is None else self.over_at) - self.started_at)

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
