"""The shape of a cache, in both colours: look first, and let one caller fetch for all.

It is no loop, because it may answer without any call, and no queue, because those who wait get a value and no permit.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from seawall.core.context import deadline_on

if TYPE_CHECKING:
    from collections.abc import Hashable

    from seawall.drive.call import Call

_MISS = object()


def _known(policy: Any, call: Call, look: Any) -> Any:
    """The value of a look that needs no call; `_MISS` if it needs one."""
    if look.what == "fresh":
        call.value = look.value
        return look.value
    if look.what == "stale":
        policy.mark(call, "refresh")
        call.value = look.value
        return look.value
    return _MISS


def _landed(policy: Any, call: Call, key: Hashable, flight: Any) -> Any:
    """What a follower makes of a flight that has landed; `_MISS` if it has to look again."""
    if flight.ok:
        call.value = flight.value
        call.degraded, call.source, call.cause = flight.answer
        return flight.value
    if flight.error is None:
        return _MISS  # the leader was cancelled
    held = policy.instead(call, key, flight.error)
    if held is not None:
        return held[0]
    raise flight.error


def _took(policy: Any, call: Call, key: Hashable, flight: Any, value: Any) -> Any:
    """What a leader makes of the value it got."""
    try:
        good = policy.good(call)
    except BaseException as error:  # the user's rule: who waits must not wait for ever
        policy.fail(key, flight, error)
        raise
    if good:
        policy.land(key, flight, value)
        return value
    flight.answer = call.degraded, call.source, call.cause  # first: whoever waits looks when it has landed
    policy.land_without(key, flight, value)
    held = None if call.degraded else policy.instead(call, key, None)
    return value if held is None else held[0]


def cache(policy: Any, inner: Callable[[Call], Any]) -> Callable[[Call], Any]:
    """Look, call or wait: plain code."""
    from seawall.drive.sync import ThreadWaiter  # late: it imports this module

    def caching(call: Call) -> Any:
        key = policy.key_of(call)
        while True:
            look = policy.look(key)
            value = _known(policy, call, look)
            if value is not _MISS:
                return value
            if look.what == "follow":
                waiter = ThreadWaiter()
                deadline = deadline_on(policy.clock)
                if policy.follow(look.flight, waiter) and not policy.clock.wait(waiter.event, deadline):
                    raise policy.late()
                value = _landed(policy, call, key, look.flight)
                if value is not _MISS:
                    return value
                continue
            try:
                value = inner(call)
            except BaseException as error:
                policy.fail(key, look.flight, error)
                held = policy.instead(call, key, error) if isinstance(error, Exception) else None
                if held is None:
                    raise
                return held[0]
            return _took(policy, call, key, look.flight, value)

    return caching


def acache(policy: Any, inner: Callable[[Call], Awaitable[Any]]) -> Callable[[Call], Awaitable[Any]]:
    """Look, await or wait: coroutines."""
    import asyncio

    from seawall.drive.aio import TaskWaiter  # late: it imports this module, and asyncio

    async def caching(call: Call) -> Any:
        key = policy.key_of(call)
        while True:
            look = policy.look(key)
            value = _known(policy, call, look)
            if value is not _MISS:
                return value
            if look.what == "follow":
                waiter = TaskWaiter()
                deadline = deadline_on(policy.clock)
                if policy.follow(look.flight, waiter):
                    at = None
                    if deadline is not None and math.isfinite(deadline):
                        at = policy.clock.loop_time(waiter.loop, deadline)
                    limit = asyncio.timeout_at(at)
                    try:
                        async with limit:
                            await waiter.future
                    except TimeoutError:
                        if not limit.expired():
                            raise
                        raise policy.late() from None
                value = _landed(policy, call, key, look.flight)
                if value is not _MISS:
                    return value
                continue
            try:
                value = await inner(call)
            except BaseException as error:
                policy.fail(key, look.flight, error)
                held = policy.instead(call, key, error) if isinstance(error, Exception) else None
                if held is None:
                    raise
                return held[0]
            return _took(policy, call, key, look.flight, value)

    return caching
