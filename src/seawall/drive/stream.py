"""One logical call that gives a stream: what its drivers of both colours share.

Retry and fallback act freely until the first item is delivered; afterwards the retry's `after_first` says what follows.
Guards and queues are entered when the first item is asked for and left when the stream is exhausted, fails, is closed
or is collected, so an iterator that is never started holds nothing. Success is told at the end, not at the start.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from seawall.core.context import deadline_on
from seawall.core.errors import RejectedError, StreamInterruptedError, StreamTimedOutError, TimedOutError
from seawall.drive.marks import note
from seawall.drive.passage import Passage

if TYPE_CHECKING:
    from seawall.drive.call import Call
    from seawall.drive.protocols import Again, Instead, LoopRun, RaceRun
    from seawall.machines.stream import StreamTimer


class StreamPlan(NamedTuple):
    """The policies of a pipeline by what they do to a stream, each in their order."""

    fallbacks: Sequence[Any]
    outer: Sequence[Any]  #: races around all attempts
    retry: Any  #: or None
    inner: Sequence[Any]  #: guards and queues
    limits: Sequence[Any]  #: timeouts around each attempt

    @property
    def threaded(self) -> Any:
        """The timeout that has plain code run in a thread that can be left behind, or None."""
        return next((policy for policy in self.limits if policy.mode == "thread"), None)


def plan(policies: Sequence[Any]) -> StreamPlan:
    """Sort policies, given outermost first; a cache keeps values and has no part in a stream."""
    last = max((at for at, policy in enumerate(policies) if policy.shape in {"guard", "queue"}), default=-1)
    retries = [at for at, policy in enumerate(policies) if policy.kind == "retry"]
    inside = max([last, *retries])
    races = [(at, policy) for at, policy in enumerate(policies) if policy.shape == "race"]
    return StreamPlan(
        fallbacks=[policy for policy in policies if policy.kind == "fallback"],
        outer=[policy for at, policy in races if at < inside or policy.kind == "deadline"],
        retry=policies[retries[0]] if retries else None,
        inner=[policy for policy in policies if policy.shape in {"guard", "queue"}],
        limits=[policy for at, policy in races if at >= inside and policy.kind != "deadline"],
    )


class Until(NamedTuple):
    """The moment up to which the next item is waited for, how long that is, and the error when it does not come."""

    at: float
    seconds: float
    late: Callable[[], BaseException]


class StreamCore:
    """The state of one stream.

    Args:
        call: the logical call.
        parts: the policies.
        finished: told once how the logical call ended.
        colour: "sync" or "async".
    """

    __slots__ = (
        "_finished", "_outer", "_parts", "_paused_at", "_retry", "_timers", "busy", "call", "delivered", "done",
        "items", "passage", "skip", "started", "substitute",
    )  # fmt: skip

    def __init__(self, call: Call, parts: StreamPlan, finished: Callable[[Call, BaseException | None], None]) -> None:
        self.call = call
        self._parts = parts
        self._finished = finished
        # Held while an item is asked for, and while it is closed. A second thread or task, or the source itself, is
        # refused meanwhile, as by a generator: it would give the permits back while the source is still at work.
        self.busy = threading.Lock()
        self._outer: list[RaceRun] = []
        self._retry: LoopRun | None = None
        self._timers: list[tuple[Any, StreamTimer]] = []
        self._paused_at: float | None = None  # when the last item was handed to the consumer
        self.passage: Passage | None = None
        self.delivered = 0
        self.items: list[Any] = []  # for `resume` only
        self.skip = 0  # items that were delivered by an attempt before
        self.started = False
        self.done = False
        self.substitute = False  # a fallback's items are being given

    # ------------------------------------------------------------ beginning

    def start(self, colour: Any) -> None:
        """The first item is asked for; raises if there is no time left at all."""
        if self.started:
            return
        self.started = True
        call = self.call
        call.entered_at = call.clock.now()
        call.enter(call)
        for policy in self._parts.outer:
            run = policy.start(call, colour)
            refusal = run.expired()
            if refusal is not None:
                raise refusal
            self._outer.append(run)
        if self._parts.retry is not None:
            self._retry = self._parts.retry.start(call)

    @contextmanager
    def scope(self) -> Iterator[None]:
        """The ambient deadline of what bounds all attempts, for decisions and queues between two items."""
        with ExitStack() as stack:
            for run in self._outer:
                stack.enter_context(run.scope())
            yield

    def open(self) -> Passage:
        """A way through guards and queues for one more attempt, not entered yet; its limits count from zero."""
        self._timers = [(one, one.stream_timer()) for one in self._parts.limits]
        self.call.lingering = None  # a thread left behind by an attempt before this one has its own source
        self.passage = Passage(self._parts.inner, self.call)
        return self.passage

    def source(self) -> Any:
        """What the function, or the rule for going on, gives; its items have still to be asked for."""
        policy = self._parts.retry
        if self.delivered and policy is not None and policy.after_first == "resume":
            return policy.resume(tuple(self.items))
        self.skip = self.delivered
        return self.call.run()

    # ------------------------------------------------------------- waiting

    def until(self, now: float) -> Until | None:
        """The moment the next item must have come by; None if nothing bounds it."""
        self._resumed(now)
        if self.substitute:
            return None
        found = [Until(run.until, run.until - now, run.late) for run in self._outer if math.isfinite(run.until)]
        for policy, timer in self._timers:
            limit = timer.next_limit()
            if limit is not None:
                late = policy.stream_late(limit.which, limit.seconds)
                found.append(Until(now + limit.left, limit.left, late))
        ambient = deadline_on(self.call.clock)
        if ambient is not None and self._parts.limits:
            policy = self._parts.limits[-1]
            found.append(Until(ambient, ambient - now, policy.stream_late("deadline", max(0.0, ambient - now))))
        return min(found, key=lambda one: one.at) if found else None

    def _resumed(self, now: float) -> None:
        """The consumer's own time is not the dependency's."""
        if self._paused_at is not None:
            if self.call.started_at is not None:
                self.call.started_at += max(0.0, now - self._paused_at)
            self._renew()
        self._paused_at = None

    def waited(self, seconds: float, *, arrived: bool) -> None:
        """So long was waited for an item, which came or did not; an item renews the leases."""
        for _, timer in self._timers:
            timer.waited(seconds, arrived=arrived)
        if arrived and not self.substitute:
            self._renew()

    def _renew(self) -> None:
        """Begin the leases of trials anew: for an item that has come, and for one that is asked for."""
        for guard, permit in self.call.leased:
            guard.begin(permit)

    def lost(self, error: BaseException, until: Until | None) -> BaseException:
        """The error that stands for `error`: the timeout's, if it came too late."""
        if until is None or not isinstance(error, Exception) or self.call.clock.now() < until.at:
            return error
        # NB: a worker that was left behind has said so already, and counted it
        return error if isinstance(error, RejectedError | StreamInterruptedError | TimedOutError) else until.late()

    def deliver(self, item: Any) -> bool:
        """Count an item that goes to the consumer; False for one that it has had already."""
        if self.skip:
            self.skip -= 1
            return False
        self.delivered += 1
        policy = self._parts.retry
        if policy is not None and policy.after_first == "resume":
            self.items.append(item)
        self._paused_at = self.call.clock.now()
        for _, permit in self.call.leased:
            permit.resting = True  # what the consumer does now is not the dependency's doing
        return True

    # -------------------------------------------------------------- ending

    def after(self, error: BaseException) -> Again | Instead | BaseException:
        """What follows on a failed attempt: another, a substitute, or the error to raise."""
        if not isinstance(error, Exception) or self.substitute or not self.call.counted:
            return error  # not counted: the program is shutting down, and takes no call whatever the answer
        policy = self._parts.retry
        if self._retry is not None and (not self.delivered or policy.after_first != "raise"):
            with self.scope():
                step = self._retry.after(self.call, error)
            if step is not None:
                return step
        return self.over(error)

    def over(self, error: Exception) -> Instead | BaseException:
        """What takes the place of a stream whose last attempt has failed."""
        real = self.call.surfacing(error) if isinstance(error, RejectedError) else error
        if self.delivered:
            return self._interrupted(real)
        for policy in reversed(self._parts.fallbacks):
            step: Any = policy.start(self.call).after(self.call, error)
            if step is not None:
                self.substitute = True
                self._timers = []
                return step  # type: ignore[no-any-return]
        return real

    def drained(self, error: Exception) -> None:
        """The program is going away: no further attempt."""
        if self._retry is not None:
            self._retry.drained(self.call, error)

    def pausing(self) -> tuple[LoopRun, Any]:
        """What a pause between two attempts is made for."""
        assert self._retry is not None
        return self._retry, self._parts.retry

    def _interrupted(self, error: BaseException) -> BaseException:
        """The error for a stream that broke off after items were delivered."""
        if self.call.judge(error, None).neutral and not isinstance(error, RejectedError | TimeoutError):
            return error
        kind = StreamTimedOutError if isinstance(error, TimeoutError) else StreamInterruptedError
        advice = "Retry(after_first=…) can go on from there."
        interrupted = self._broke_off(kind, self.call.label(error, None), advice)
        interrupted.__cause__ = error
        return interrupted

    def _broke_off(self, kind: type[StreamInterruptedError], why: str, advice: str) -> StreamInterruptedError:
        """An error that tells how much the consumer got."""
        items = f"{self.delivered} item{'s' if self.delivered != 1 else ''}"
        return kind(
            f'Stream of "{self.call.name}" broke off after {items} ({why}); what had been delivered stands. {advice}',
            policy="stream",
            name=self.call.name,
            delivered=self.delivered,
            evidence={"delivered": self.delivered, "attempts": self.call.started},
        )

    def ended(self) -> None:
        """The source is exhausted, which is the end of the logical call.

        Raises:
            StreamInterruptedError: if it was called again and gave fewer items than had been delivered, so that nobody
                knows what should have come after them.
        """
        short = None
        if self.skip:
            why = f"called again, it gave {self.skip} fewer"
            short = self._broke_off(
                StreamInterruptedError, why, 'after_first="restart" needs the same items each time.'
            )
        self.finish(short)
        if short is not None:
            raise short

    def unclosed(self, error: BaseException, trouble: Exception) -> None:
        """The source of an attempt that ended with `error` cannot be closed: that must not hide why it ended."""
        if isinstance(error, GeneratorExit):
            raise trouble  # nothing had gone wrong before: the consumer is told, as by a generator
        note(error, f"seawall: {self.call.name}: its source could not be closed: {self.call.label(trouble, None)}")

    def finish(self, error: BaseException | None) -> None:
        """The logical call has ended; only the first time counts."""
        if self.done:
            return
        self.done = True
        if self._retry is not None:
            self._retry.abandon()
        if self.started:
            self._finished(self.call, error)

    @property
    def threaded(self) -> Any:
        """The timeout that runs plain code in threads, or None; a fallback runs where it is asked."""
        return None if self.substitute else self._parts.threaded


def items_of(value: Any) -> Iterable[Any]:
    """The items of what a fallback gave: those of an iterable, or the value itself as the only one."""
    single = isinstance(value, str | bytes | bytearray | dict) or hasattr(value, "status_code")
    if single or not isinstance(value, Iterable):  # a response of requests is one value, though it can be iterated
        return (value,)
    return value


def raise_instead(raised: BaseException, error: BaseException) -> NoReturn:
    """Raise what an attempt that failed with `error` comes to."""
    try:
        if raised is error or raised.__cause__ is not None:
            raise raised
        raise raised from error
    finally:
        del raised, error  # a local of a frame in its own traceback would keep both alive


def no_end(call: Call, raised: BaseException) -> RuntimeError:
    """The error for what would look like the end of a stream to its consumer, as PEP 479 has it for generators."""
    return RuntimeError(f'Stream of "{call.name}" raised {type(raised).__name__}, which is no error of a stream')
