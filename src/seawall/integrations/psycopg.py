"""Protects PostgreSQL through psycopg: transactions through a pipeline, on connections whose waits end in time.

    pool = ConnectionPool(conninfo, connection_class=SeawallConnection)
    run_in_transaction(pool, pipeline, lambda connection: connection.execute("…").fetchall())

Needs the extra `seawall[psycopg]`.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

from seawall.core.context import remaining
from seawall.core.errors import TimedOutError
from seawall.integrations._common import clamped, judged, missing, time_is_up, warn
from seawall.integrations._postgres import near_deadline, rolled_back, statement_timeout, verdict_of_state

try:
    import psycopg
    import psycopg_pool
    from psycopg import errors, sql, waiting
except ImportError as error:
    raise missing("psycopg", error) from error

from seawall.core.verdict import Verdict

if TYPE_CHECKING:
    from seawall.pipeline.compose import Pipeline

__all__ = ["AsyncSeawallConnection", "SeawallConnection", "arun_in_transaction", "run_in_transaction"]

T = TypeVar("T")

_LOOK = 0.02  # seconds between two looks at the deadline while waiting: how late a sync wait may end
_LIMIT = sql.SQL("SET LOCAL statement_timeout = {}")  # no query: SET TRANSACTION may still follow
_CANCELS = threading.BoundedSemaphore(4)  # requests to cancel that are under way: a hung server holds up no more


class SeawallConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends with the ambient deadline.

    One that is cut short is closed, so that a pool replaces it: nobody gets the rest of somebody else's answer. The
    server is asked, in the background, to stop the query. `connect_timeout` is at most what remains, in whole seconds.
    """

    @classmethod
    def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Connect; see `psycopg.Connection.connect`."""
        return super().connect(conninfo, **_connect_options(options))

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server, until the deadline; called by psycopg.

        Raises:
            TimedOutError: the deadline has come.
        """
        extra = {} if timeout is None else {"timeout": timeout}
        try:
            return waiting.wait(_bounded(gen), self.pgconn.socket, interval=_interval(interval), **extra)
        except (KeyboardInterrupt, TimedOutError):
            _abandon(self)
            raise


class AsyncSeawallConnection(psycopg.AsyncConnection[Any]):
    """A connection for coroutines whose every wait ends with the ambient deadline; see `SeawallConnection`.

    A cancelled wait closes it too, at once: a server that hangs holds up no cancellation.
    """

    @classmethod
    async def connect(cls, conninfo: str = "", **options: Any) -> Self:
        """Connect; see `psycopg.AsyncConnection.connect`."""
        return await super().connect(conninfo, **_connect_options(options))

    async def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server, until the deadline; called by psycopg.

        Raises:
            TimedOutError: the deadline has come.
        """
        extra = {} if timeout is None else {"timeout": timeout}
        try:
            return await waiting.wait_async(_bounded(gen), self.pgconn.socket, interval=_interval(interval), **extra)
        except (asyncio.CancelledError, KeyboardInterrupt, TimedOutError):
            _abandon(self)
            raise


def run_in_transaction(
    pool: psycopg_pool.ConnectionPool[Any],
    pipeline: Pipeline,
    fn: Callable[[Any], T],
    *,
    idempotent: bool = False,
) -> T:
    """Run `fn(connection)` in a transaction of its own, through a pipeline.

    The whole transaction is repeated, never a part of it: after a serialization failure, a deadlock, a lost connection
    or a full pool. If the connection is lost while COMMIT is under way nobody knows whether it was committed, and it is
    repeated only if that does no harm. `statement_timeout` is what remains of the deadline.

    Contention (40001, 40P01, 55P03) counts as throttled: tried again, and neutral for a circuit breaker. Timeouts and
    overload are dropped, a lost connection is a failure, and errors of the data or the statement are neutral.

    Args:
        pool: with `connection_class=SeawallConnection`, without which a hung server is waited for; warns otherwise.
        pipeline: what transactions go through; `Timeout` needs a mode.
        fn: takes a connection; what it does outside the transaction may be done more than once.
        idempotent: whether doing all of it twice does no harm.

    Returns:
        What `fn` returned.

    Raises:
        RejectedError: it was refused and never begun.
        TimedOutError: it was cut short; unless that was at COMMIT nothing of it remains.
        psycopg.Error: the last error.
    """
    if not issubclass(pool.connection_class, SeawallConnection):
        warn("ConnectionPool without connection_class=SeawallConnection: a server that hangs is waited for")

    def once() -> T:
        stage = _Stage()
        with _judging(stage):
            with pool.connection(timeout=clamped(pool.timeout)) as connection:
                stage.connected = True
                limit = statement_timeout()
                if limit is not None:
                    connection.execute(_LIMIT.format(limit))
                value = fn(connection)
                stage.committing = True
            return value

    return pipeline.with_options(idempotent=idempotent).call(once)


async def arun_in_transaction(
    pool: psycopg_pool.AsyncConnectionPool[Any],
    pipeline: Pipeline,
    fn: Callable[[Any], Awaitable[T]],
    *,
    idempotent: bool = False,
) -> T:
    """Run `await fn(connection)` in a transaction of its own, through a pipeline; see `run_in_transaction`."""
    if not issubclass(pool.connection_class, AsyncSeawallConnection):
        warn("AsyncConnectionPool without connection_class=AsyncSeawallConnection: a cancel may have to wait")

    async def once() -> T:
        stage = _Stage()
        with _judging(stage):
            async with pool.connection(timeout=clamped(pool.timeout)) as connection:
                stage.connected = True
                limit = statement_timeout()
                if limit is not None:
                    await connection.execute(_LIMIT.format(limit))
                value = await fn(connection)
                stage.committing = True
            return value

    return await pipeline.with_options(idempotent=idempotent).acall(once)


class _Stage:
    """How far a transaction got."""

    __slots__ = ("committing", "connected")

    def __init__(self) -> None:
        self.connected = False
        self.committing = False


@contextmanager
def _judging(stage: _Stage) -> Iterator[None]:
    """Leave on errors what they mean, and turn those that the deadline made into timeouts."""
    try:
        yield
    except TimedOutError as error:
        judged(error, None, unsent=not stage.committing)
        raise
    except psycopg.Error as error:
        state = error.sqlstate
        late = isinstance(error, errors.QueryCanceled) and near_deadline()
        late = late or (isinstance(error, psycopg_pool.PoolTimeout) and time_is_up())
        nothing_done = not stage.committing or rolled_back(state)
        if late:
            timed_out = _late()
            judged(timed_out, None, unsent=nothing_done)
            raise timed_out from error
        judged(error, _verdict(error, state), unsent=nothing_done)
        raise


def _verdict(error: psycopg.Error, state: str | None) -> Verdict | None:
    """What an error says about the database; None for the default rules."""
    if isinstance(error, psycopg_pool.PoolTimeout | psycopg_pool.TooManyRequests):
        return Verdict.DROPPED
    if isinstance(error, psycopg_pool.PoolClosed):
        return Verdict.IGNORED
    found = verdict_of_state(state)
    if found is not None or isinstance(error, psycopg.OperationalError | psycopg.InternalError):
        return found
    return Verdict.IGNORED if isinstance(error, psycopg.DatabaseError) else None


def _late() -> TimedOutError:
    """The error for what the deadline cut short."""
    return TimedOutError("A database call was cut short by the deadline.", policy="deadline", name="psycopg")


def _bounded(gen: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """A psycopg generator that looks at the deadline whenever nothing has come."""
    try:
        state = next(gen)
        while True:
            ready = yield state
            if not ready and time_is_up():
                gen.close()
                raise _late()
            state = gen.send(ready)
    except StopIteration as end:
        return end.value


def _interval(usual: float) -> float:
    """How often to look."""
    return usual if remaining() is None else min(usual, _LOOK)


def _connect_options(options: dict[str, Any]) -> dict[str, Any]:
    """`connect_timeout` cut to what remains, in whole seconds as libpq has it."""
    left = remaining()
    if left is None:
        return options
    given = options.get("connect_timeout")
    most = max(1, math.ceil(left))
    return {**options, "connect_timeout": most if given in {None, ""} else min(int(given), most)}


def _abandon(connection: Any) -> None:
    """Close a connection in the middle of an answer; the server is told in the background, as it may hang."""
    if connection.closed:
        return
    if _CANCELS.acquire(blocking=False):
        cancel = connection.pgconn.get_cancel()

        def stop() -> None:
            try:
                cancel.cancel()
            except psycopg.Error:
                pass  # it is closed in any case; the server finds out when it writes
            finally:
                _CANCELS.release()

        threading.Thread(target=stop, name="seawall-cancel", daemon=True).start()
    connection.pgconn.finish()
