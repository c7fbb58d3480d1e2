"""Block forms: the same guards, queues and retries around a `with` block instead of a function."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import TYPE_CHECKING, Self

from seawall.core.errors import ConfigurationError, RejectedError
from seawall.drive import sync
from seawall.drive.call import Call
from seawall.drive.passage import Passage
from seawall.policies.retry import Retry

if TYPE_CHECKING:
    from types import TracebackType

    from seawall.core.clock import Clock
    from seawall.pipeline.judge import Judge
    from seawall.policies.base import PolicyBase


def _nothing() -> None:
    """Stands in for the function that a block has not got."""


def _refuse(name: str, form: str, policies: Sequence[PolicyBase], allowed: set[str]) -> None:
    """Refuse policies that cannot do their work on a block.

    Raises:
        ConfigurationError: naming the policy and the reason.
    """
    reasons = {
        "fallback": "a block has no value that could be replaced",
        "stale_cache": "a block has no value that could be kept",
        "retry": "a block runs once; use `for attempt in pipeline.attempts()`",
        "timeout": "a block of plain code cannot be cut short; protect a function instead",
        "deadline": "a block of plain code cannot be cut short; protect a function instead",
    }
    for policy in policies:
        if policy.shape not in allowed:
            why = reasons.get(policy.kind, "it acts on functions only")
            raise ConfigurationError(f'Pipeline "{name}".{form}(): {type(policy).__name__} cannot act here: {why}')


class PermitBlock:
    """One pass through the guards and queues of a pipeline, as a sync or async context manager."""

    def __init__(self, name: str, policies: Sequence[PolicyBase], judge: Judge, clock: Clock) -> None:
        _refuse(name, "permit", policies, {"guard", "queue"})
        self._judge = judge
        self._call = Call(name, _nothing, (), {}, clock, judge)
        self._passage = Passage(policies, self._call)

    def __enter__(self) -> None:
        try:
            self._judge.enter(self._call)
            self._passage.enter()
        except BaseException as refusal:
            self._judge.finished(self._call, refusal)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._passage.exit(error)
        except BaseException as raised:  # by a rule of the user's
            self._judge.finished(self._call, raised)
            raise
        self._judge.finished(self._call, error)

    async def __aenter__(self) -> None:
        try:
            self._judge.enter(self._call)
            await self._passage.aenter()
        except BaseException as refusal:
            self._judge.finished(self._call, refusal)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            await self._passage.aexit(error)
        except BaseException as raised:  # by a rule of the user's
            self._judge.finished(self._call, raised)
            raise
        self._judge.finished(self._call, error)


class Attempt:
    """One attempt at a block.

    Attributes:
        number: counts from 1.
        idempotency_key: the same in all attempts, if the retry makes one; send it along.
    """

    def __init__(self, owner: Attempts, number: int) -> None:
        self._owner = owner
        self._passage = Passage(owner.inner, owner.call)
        self.number = number
        self.idempotency_key = owner.call.idempotency_key

    def __enter__(self) -> Self:
        owner = self._owner
        owner.begin(self.number)
        while True:
            try:
                self._passage.enter()
            except RejectedError as refusal:
                refused = refusal
                instead = owner.refused(refusal)
                if instead is refusal:
                    raise
            except BaseException as error:
                owner.run.abandon()
                owner.judge.finished(owner.call, error)
                raise
            else:
                return self
            if isinstance(instead, BaseException):
                raise instead  # outside the handler: `from None` would wipe out the cause the dependency gave it
            if not sync.pause(owner.run, owner.retry, instead):
                raise owner.drained(refused)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        try:
            self._passage.exit(error)
            return self._owner.settle(error)
        except BaseException as raised:  # by a rule of the user's
            self._owner.judge.finished(self._owner.call, raised)
            raise

    async def __aenter__(self) -> Self:
        from seawall.drive import aio  # late: it imports asyncio

        owner = self._owner
        owner.begin(self.number)
        while True:
            try:
                await self._passage.aenter()
            except RejectedError as refusal:
                refused = refusal
                instead = owner.refused(refusal)
                if instead is refusal:
                    raise
            except BaseException as error:
                owner.run.abandon()
                owner.judge.finished(owner.call, error)
                raise
            else:
                return self
            if isinstance(instead, BaseException):
                raise instead  # outside the handler: `from None` would wipe out the cause the dependency gave it
            if not await aio.pause(owner.run, owner.retry, instead):
                raise owner.drained(refused)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> bool:
        try:
            await self._passage.aexit(error)
            return self._owner.settle(error)
        except BaseException as raised:  # by a rule of the user's
            self._owner.judge.finished(self._owner.call, raised)
            raise


class Attempts:
    """The attempts of one logical call, in a `for` or `async for` loop."""

    def __init__(self, name: str, policies: Sequence[PolicyBase], judge: Judge, clock: Clock) -> None:
        _refuse(name, "attempts", policies, {"guard", "queue", "loop"})
        _refuse(name, "attempts", [policy for policy in policies if policy.kind == "fallback"], set())
        first = policies[0] if policies else None
        if not isinstance(first, Retry):
            raise ConfigurationError(f'Pipeline "{name}".attempts(): there is no Retry in it; use permit()')
        if first.retry_result is not None:
            raise ConfigurationError(
                f'Pipeline "{name}".attempts(): a block has no value that `retry_result` could look at; '
                "raise an error in the block instead"
            )
        self.retry = first
        self.inner = policies[1:]
        self.judge = judge
        self.call = Call(name, _nothing, (), {}, clock, judge)
        self.run = self.retry.start(self.call)
        self._delay: float | None = 0.0  # before the next attempt; None when there is none
        self._error: Exception | None = None  # what the attempt before raised

    def begin(self, number: int) -> None:
        """An attempt is entered: the first one counts the call among those in flight.

        Raises:
            ShuttingDownError: if the program is shutting down.
        """
        if number > 1 or self.call.counted:
            return
        try:
            self.judge.enter(self.call)
        except RejectedError as refusal:
            self.judge.finished(self.call, refusal)
            raise

    def settle(self, error: BaseException | None) -> bool:
        """Decide what follows; True swallows the error, because another attempt will come."""
        self._delay = None
        if error is None or isinstance(error, Exception):
            step = self.run.after(self.call, error)
            if step is not None:
                self._delay = step.delay
                self._error = error
                return True
        self.judge.finished(self.call, error)
        return False

    def refused(self, refusal: RejectedError) -> BaseException | float:
        """What follows when an attempt was refused: seconds to wait before asking again, or what ends the loop."""
        try:
            step = self.run.after(self.call, refusal)
        except BaseException as raised:  # by a rule of the user's
            self.judge.finished(self.call, raised)
            raise
        if step is not None:
            return step.delay
        return self.over(refusal)

    def over(self, refusal: RejectedError) -> BaseException:
        """What ends the loop when an attempt was refused for good."""
        raised = self.call.surfacing(refusal)
        self.judge.finished(self.call, raised)
        return raised

    def drained(self, error: Exception) -> BaseException:
        """What ends the loop when the program is going away: the end of the attempt before."""
        self.run.drained(self.call, error)
        if isinstance(error, RejectedError):
            return self.over(error)
        self.judge.finished(self.call, error)
        return error

    def __iter__(self) -> Iterator[Attempt]:
        number = 0
        while self._delay is not None:
            if not sync.pause(self.run, self.retry, self._delay) and self._error is not None:
                raise self.drained(self._error)
            self._delay = None
            number += 1
            yield Attempt(self, number)

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        from seawall.drive import aio  # late: it imports asyncio

        number = 0
        while self._delay is not None:
            if not await aio.pause(self.run, self.retry, self._delay) and self._error is not None:
                raise self.drained(self._error)
            self._delay = None
            number += 1
            yield Attempt(self, number)
