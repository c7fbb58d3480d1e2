"""Block forms: the same guards, queues and retries around a `with` block instead of a function."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING, Self, cast

from seawall.core.errors import ConfigurationError, RejectedError
from seawall.drive import sync
from seawall.drive.call import Call
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
        "retry": "a block runs once; use `for attempt in pipeline.attempts()`",
        "timeout": "a block of plain code cannot be cut short; protect a function instead",
        "deadline": "a block of plain code cannot be cut short; protect a function instead",
    }
    for policy in policies:
        if policy.shape not in allowed:
            why = reasons.get(policy.kind, "it acts on functions only")
            raise ConfigurationError(f'Pipeline "{name}".{form}(): {type(policy).__name__} cannot act here: {why}')


class _Passage:
    """One way through guards and queues, in either colour; entered and left once."""

    def __init__(self, policies: Sequence[PolicyBase], call: Call) -> None:
        self._policies = policies
        self._call = call
        self._held: ExitStack | AsyncExitStack

    def enter(self) -> None:
        """Acquire everything, or nothing."""
        with ExitStack() as stack:
            for policy in self._policies:
                guard = sync.Guarded if policy.shape == "guard" else sync.Queued
                stack.enter_context(guard(policy, self._call))  # type: ignore[arg-type]  # the shape says which
            self._call.begin()
            self._held = stack.pop_all()

    async def aenter(self) -> None:
        """Acquire everything, or nothing."""
        from seawall.drive import aio  # late: it imports asyncio

        async with AsyncExitStack() as stack:
            for policy in self._policies:
                if policy.shape == "guard":
                    stack.enter_context(sync.Guarded(policy, self._call))  # type: ignore[arg-type]
                else:
                    await stack.enter_async_context(aio.Queued(policy, self._call))  # type: ignore[arg-type]
            self._call.begin()
            self._held = stack.pop_all()

    def exit(self, error: BaseException | None) -> None:
        """Give everything back."""
        self._ended(error)
        cast("ExitStack", self._held).__exit__(type(error) if error else None, error, None)

    async def aexit(self, error: BaseException | None) -> None:
        """Give everything back."""
        self._ended(error)
        await cast("AsyncExitStack", self._held).__aexit__(type(error) if error else None, error, None)

    def _ended(self, error: BaseException | None) -> None:
        """The block has ended."""
        if error is not None:
            self._call.failed(error)
        self._call.on_attempt(self._call, error, self._call.judge(error, None))


class PermitBlock:
    """One pass through the guards and queues of a pipeline, as a sync or async context manager."""

    def __init__(self, name: str, policies: Sequence[PolicyBase], judge: Judge, clock: Clock) -> None:
        _refuse(name, "permit", policies, {"guard", "queue"})
        self._judge = judge
        self._call = Call(name, _nothing, (), {}, clock, judge)
        self._passage = _Passage(policies, self._call)

    def __enter__(self) -> None:
        try:
            self._passage.enter()
        except BaseException as refusal:
            self._judge.finished(self._call, refusal)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._passage.exit(error)
        self._judge.finished(self._call, error)

    async def __aenter__(self) -> None:
        try:
            await self._passage.aenter()
        except BaseException as refusal:
            self._judge.finished(self._call, refusal)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._passage.aexit(error)
        self._judge.finished(self._call, error)


class Attempt:
    """One attempt at a block; `number` counts from 1."""

    def __init__(self, owner: Attempts, number: int) -> None:
        self._owner = owner
        self._passage = _Passage(owner.inner, owner.call)
        self.number = number

    def __enter__(self) -> Self:
        owner = self._owner
        while True:
            try:
                self._passage.enter()
            except RejectedError as refusal:
                instead = owner.refused(refusal)
                if instead is refusal:
                    raise
            except BaseException as error:
                owner.judge.finished(owner.call, error)
                raise
            else:
                return self
            if isinstance(instead, BaseException):
                raise instead  # outside the handler: `from None` would wipe out the cause the dependency gave it
            sync.pause(owner.run, owner.retry, instead)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        self._passage.exit(error)
        return self._owner.settle(error)

    async def __aenter__(self) -> Self:
        from seawall.drive import aio  # late: it imports asyncio

        owner = self._owner
        while True:
            try:
                await self._passage.aenter()
            except RejectedError as refusal:
                instead = owner.refused(refusal)
                if instead is refusal:
                    raise
            except BaseException as error:
                owner.judge.finished(owner.call, error)
                raise
            else:
                return self
            if isinstance(instead, BaseException):
                raise instead  # outside the handler: `from None` would wipe out the cause the dependency gave it
            await aio.pause(owner.run, owner.retry, instead)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> bool:
        await self._passage.aexit(error)
        return self._owner.settle(error)


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

    def settle(self, error: BaseException | None) -> bool:
        """Decide what follows; True swallows the error, because another attempt will come."""
        self._delay = None
        if error is None or isinstance(error, Exception):
            step = self.run.after(self.call, error)
            if step is not None:
                self._delay = step.delay
                return True
        self.judge.finished(self.call, error)
        return False

    def refused(self, refusal: RejectedError) -> BaseException | float:
        """What follows when an attempt was refused: seconds to wait before asking again, or what ends the loop."""
        step = self.run.after(self.call, refusal)
        if step is not None:
            return step.delay
        raised = self.call.surfacing(refusal)
        self.judge.finished(self.call, raised)
        return raised

    def __iter__(self) -> Iterator[Attempt]:
        number = 0
        while self._delay is not None:
            sync.pause(self.run, self.retry, self._delay)
            self._delay = None
            number += 1
            yield Attempt(self, number)

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        from seawall.drive import aio  # late: it imports asyncio

        number = 0
        while self._delay is not None:
            await aio.pause(self.run, self.retry, self._delay)
            self._delay = None
            number += 1
            yield Attempt(self, number)
