"""Block forms: the same guards, queues and retries around a `with` block instead of a function."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from types import TracebackType

from seawall.core.clock import Clock
from seawall.core.errors import ConfigurationError, RejectedError
from seawall.drive import sync
from seawall.drive.call import Call
from seawall.pipeline.judge import Judge
from seawall.policies.base import PolicyBase
from seawall.policies.retry import Retry


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


class PermitBlock:
    """One pass through the guards and queues of a pipeline, as a sync or async context manager."""

    def __init__(self, name: str, policies: Sequence[PolicyBase], judge: Judge, clock: Clock) -> None:
        _refuse(name, "permit", policies, {"guard", "queue"})
        self._policies = policies
        self._judge = judge
        self._call = Call(name, _nothing, (), {}, clock, judge)
        self._stack: ExitStack | AsyncExitStack

    def __enter__(self) -> None:
        try:
            with ExitStack() as stack:
                for policy in self._policies:
                    guard = sync.Guarded if policy.shape == "guard" else sync.Queued
                    stack.enter_context(guard(policy, self._call))  # type: ignore[arg-type]  # the shape says which
                self._call.begin()
                self._stack = stack.pop_all()
        except RejectedError as refusal:
            self._judge.finished(self._call, refusal)
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._done(error)
        assert isinstance(self._stack, ExitStack)
        self._stack.__exit__(kind, error, tb)

    async def __aenter__(self) -> None:
        from seawall.drive import aio  # late: it imports asyncio

        try:
            async with AsyncExitStack() as stack:
                for policy in self._policies:
                    if policy.shape == "guard":
                        stack.enter_context(sync.Guarded(policy, self._call))  # type: ignore[arg-type]
                    else:
                        await stack.enter_async_context(aio.Queued(policy, self._call))  # type: ignore[arg-type]
                self._call.begin()
                self._stack = stack.pop_all()
        except RejectedError as refusal:
            self._judge.finished(self._call, refusal)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._done(error)
        assert isinstance(self._stack, AsyncExitStack)
        await self._stack.__aexit__(kind, error, tb)

    def _done(self, error: BaseException | None) -> None:
        """The block has ended."""
        call, judge = self._call, self._judge
        if error is not None:
            call.failed(error)
        judge.on_attempt(call, error, judge.judge(error, None))
        judge.finished(call, error)


class Attempt:
    """One attempt at a block; `number` counts from 1."""

    def __init__(self, owner: Attempts, number: int) -> None:
        self._owner = owner
        self.number = number
        self._stack: ExitStack | AsyncExitStack

    def __enter__(self) -> Attempt:
        owner = self._owner
        try:
            with ExitStack() as stack:
                for policy in owner.inner:
                    guard = sync.Guarded if policy.shape == "guard" else sync.Queued
                    stack.enter_context(guard(policy, owner.call))  # type: ignore[arg-type]
                owner.call.begin()
                self._stack = stack.pop_all()
        except RejectedError as refusal:
            # nothing ran: as a block cannot be skipped from here, the refusal ends the loop
            raise owner.give_up(refusal) from None
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        self._owner.attempted(error)
        assert isinstance(self._stack, ExitStack)
        self._stack.__exit__(kind, error, tb)
        return self._owner.settle(error)

    async def __aenter__(self) -> Attempt:
        from seawall.drive import aio  # late: it imports asyncio

        owner = self._owner
        try:
            async with AsyncExitStack() as stack:
                for policy in owner.inner:
                    if policy.shape == "guard":
                        stack.enter_context(sync.Guarded(policy, owner.call))  # type: ignore[arg-type]
                    else:
                        await stack.enter_async_context(aio.Queued(policy, owner.call))  # type: ignore[arg-type]
                owner.call.begin()
                self._stack = stack.pop_all()
        except RejectedError as refusal:
            raise owner.give_up(refusal) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> bool:
        self._owner.attempted(error)
        assert isinstance(self._stack, AsyncExitStack)
        await self._stack.__aexit__(kind, error, tb)
        return self._owner.settle(error)


class Attempts:
    """The attempts of one logical call, in a `for` or `async for` loop."""

    def __init__(self, name: str, policies: Sequence[PolicyBase], judge: Judge, clock: Clock) -> None:
        _refuse(name, "attempts", policies, {"guard", "queue", "loop"})
        _refuse(name, "attempts", [policy for policy in policies if policy.kind == "fallback"], set())
        first = policies[0] if policies else None
        if not isinstance(first, Retry):
            raise ConfigurationError(f'Pipeline "{name}".attempts(): there is no Retry in it; use permit()')
        self.retry = first
        self.inner = policies[1:]
        self.judge = judge
        self.call = Call(name, _nothing, (), {}, clock, judge)
        self._run = self.retry.start(self.call)
        self._delay: float | None = 0.0  # before the next attempt; None when there is none

    def attempted(self, error: BaseException | None) -> None:
        """The block of an attempt has ended."""
        if error is not None:
            self.call.failed(error)
        self.judge.on_attempt(self.call, error, self.judge.judge(error, None))

    def settle(self, error: BaseException | None) -> bool:
        """Decide what follows; True swallows the error, because another attempt will come."""
        self._delay = None
        if error is None or isinstance(error, Exception):
            step = self._run.after(self.call, error)
            if step is not None:
                self._delay = step.delay
                return True
        self.judge.finished(self.call, error)
        return False

    def give_up(self, refusal: RejectedError) -> BaseException:
        """What ends the loop when an attempt was refused."""
        self._delay = None
        self._run.after(self.call, refusal)
        raised = self.call.surfacing(refusal)
        self.judge.finished(self.call, raised)
        return raised

    def __iter__(self) -> Iterator[Attempt]:
        number = 0
        while self._delay is not None:
            sync.pause(self._run, self.retry, self._delay)
            self._delay = None
            number += 1
            yield Attempt(self, number)

    async def __aiter__(self) -> AsyncIterator[Attempt]:
        from seawall.drive import aio  # late: it imports asyncio

        number = 0
        while self._delay is not None:
            await aio.pause(self._run, self.retry, self._delay)
            self._delay = None
            number += 1
            yield Attempt(self, number)
