"""Guards and queues that run beside a call in shadow: they see it begin and end, and can do nothing to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from seawall.drive import sync

if TYPE_CHECKING:
    from seawall.drive.call import Call

#: A policy in shadow, the call as it sees it, and its place around it.
Held = tuple[Any, "Call", Any]


def enter(shadows: Any, call: Call) -> list[Held]:
    """Ask all candidates; each has a copy of the call, so that nothing they do to it reaches the real one."""
    held: list[Held] = []
    call.started_at = None  # as any guard here would: what is measured begins with this attempt
    for one in shadows.candidates:
        copy = call.fork()
        copy.leased = []
        copy.log = None
        # NB: in shadow a queue gives its answer at once, so the block for plain code serves both colours
        block: Any = sync.Guarded(one, copy) if one.shape == "guard" else sync.Queued(one, copy)
        try:
            block.__enter__()
            for guard, permit in copy.leased:
                guard.begin(permit)
        except Exception as error:
            shadows.failed(one, error)
        else:
            held.append((one, copy, block))
    return held


def leave(shadows: Any, held: list[Held], call: Call, error: BaseException | None) -> None:
    """Tell all candidates how it ended."""
    for one, copy, block in reversed(held):
        copy.absorb(call)
        copy.lingering = call.lingering
        try:
            block.__exit__(type(error) if error is not None else None, error, None)
        except Exception as trouble:
            shadows.failed(one, trouble)


def beside(shadows: Any, inner: Callable[[Call], Any]) -> Callable[[Call], Any]:
    """Plain code with candidates beside it."""

    def watched(call: Call) -> Any:
        held = enter(shadows, call)
        try:
            value = inner(call)
        except BaseException as error:
            leave(shadows, held, call, error)
            raise
        leave(shadows, held, call, None)
        return value

    return watched


def abeside(shadows: Any, inner: Callable[[Call], Awaitable[Any]]) -> Callable[[Call], Awaitable[Any]]:
    """Coroutines with candidates beside them."""

    async def watched(call: Call) -> Any:
        held = enter(shadows, call)
        try:
            value = await inner(call)
        except BaseException as error:
            leave(shadows, held, call, error)
            raise
        leave(shadows, held, call, None)
        return value

    return watched
