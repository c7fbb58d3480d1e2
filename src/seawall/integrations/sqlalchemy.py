"""Protects databases through SQLAlchemy: whole transactions, and every connect and statement of an engine.

    run_in_transaction(engine, pipeline, lambda connection: connection.execute(text("…")).all())
    protect(engine, pipeline)

Needs the extra `seawall[sqlalchemy]`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

from seawall.core.errors import TimedOutError
from seawall.core.verdict import Verdict
from seawall.drive.passage import Passage
from seawall.integrations._common import judged, missing
from seawall.integrations._postgres import near_deadline, rolled_back, statement_timeout, verdict_of_state

try:
    import sqlalchemy
    from sqlalchemy import event, exc
    from sqlalchemy.util import await_only
except ImportError as error:
    raise missing("sqlalchemy", error) from error

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from seawall.drive.call import Call
    from seawall.pipeline.compose import Pipeline

__all__ = ["arun_in_transaction", "protect", "run_in_transaction"]

T = TypeVar("T")

#: The pipelines a transaction helper has entered here: `protect` does not enter them once more for each statement.
_entered: ContextVar[frozenset[int]] = ContextVar("seawall_sqlalchemy", default=frozenset())


def run_in_transaction(
    engine: sqlalchemy.Engine,
    pipeline: Pipeline,
    fn: Callable[[sqlalchemy.Connection], T],
    *,
    idempotent: bool = False,
) -> T:
    """Run `fn(connection)` in a transaction of its own, through a pipeline.

    The whole transaction is repeated, never a part of it: after a serialization failure, a deadlock, a lost connection
    or a pool without a free connection. If the connection is lost while COMMIT is under way nobody knows whether it was
    committed, and it is repeated only if that does no harm. On PostgreSQL `statement_timeout` is what remains of the
    deadline. A server that does not answer at all is waited for by most drivers: use `Timeout(mode="thread")`, or the
    psycopg adapter.

    Args:
        engine: gives the connection.
        pipeline: what transactions go through; `Timeout` needs a mode.
        fn: takes a connection; what it does outside the transaction may be done more than once.
        idempotent: whether doing all of it twice does no harm.

    Returns:
        What `fn` returned.

    Raises:
        RejectedError: it was refused and never begun.
        TimedOutError: it was cut short by the deadline.
        sqlalchemy.exc.SQLAlchemyError: the last error.
    """

    def once() -> T:
        stage = _Stage()
        with _inside(pipeline, stage), engine.begin() as connection:
            limit = _limit(connection)
            if limit is not None:
                connection.exec_driver_sql(limit)
            value = fn(connection)
            stage.committing = True
        return value

    return pipeline.with_options(idempotent=idempotent).call(once)


async def arun_in_transaction(
    engine: AsyncEngine,
    pipeline: Pipeline,
    fn: Callable[[AsyncConnection], Awaitable[T]],
    *,
    idempotent: bool = False,
) -> T:
    """Run `await fn(connection)` in a transaction of its own, through a pipeline; see `run_in_transaction`."""

    async def once() -> T:
        stage = _Stage()
        with _inside(pipeline, stage):
            async with engine.begin() as connection:
                limit = _limit(connection)
                if limit is not None:
                    await connection.exec_driver_sql(limit)
                value = await fn(connection)
                stage.committing = True
        return value

    return await pipeline.with_options(idempotent=idempotent).acall(once)


def protect(engine: sqlalchemy.Engine | AsyncEngine, pipeline: Pipeline) -> None:
    """Send every statement of an engine through the guards and queues of a pipeline, from now on.

    A statement that is refused is not sent. Nothing is repeated here, as a statement belongs to a transaction: retries
    and fallbacks of the pipeline act in `run_in_transaction`, inside which statements do not enter the pipeline again.
    On PostgreSQL the statements of a transaction are bounded by what remains of the deadline.

    Args:
        engine: an `Engine` or an `AsyncEngine`.
        pipeline: what statements go through.
    """
    plain = isinstance(engine, sqlalchemy.Engine)
    target: Any = engine if plain else engine.sync_engine  # type: ignore[union-attr]
    guards = _Guards(pipeline, asynchronous=not plain)
    event.listen(target, "before_cursor_execute", guards.before)
    event.listen(target, "after_cursor_execute", guards.after)
    event.listen(target, "handle_error", guards.failed)


class _Guards:
    """The permits of statements that are being executed, kept with their execution context."""

    def __init__(self, pipeline: Pipeline, *, asynchronous: bool) -> None:
        self._pipeline = pipeline
        self._asynchronous = asynchronous

    def before(self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: Any) -> None:
        """A statement is about to be sent."""
        if id(self._pipeline) in _entered.get():
            return
        call: Call = self._pipeline._made(self.before, (), {})
        passage = Passage(self._pipeline._parts().inner, call)
        if self._asynchronous:
            await_only(passage.aenter())
        else:
            passage.enter()
        context._seawall = (passage, call)
        limit = _limit(conn)
        if limit is not None and conn.in_transaction():
            cursor.execute(limit)

    def after(self, conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: Any) -> None:
        """It has been executed."""
        self._end(context, None)

    def failed(self, failure: Any) -> None:
        """It has failed, or was never sent."""
        error = failure.sqlalchemy_exception or failure.original_exception
        if isinstance(error, Exception):
            judged(error, _verdict(error))
        self._end(failure.execution_context, error)

    def _end(self, context: Any, error: BaseException | None) -> None:
        """Give the permits back, once."""
        held = getattr(context, "_seawall", None)
        if held is None:
            return
        context._seawall = None
        passage, call = held
        if self._asynchronous:
            await_only(passage.aexit(error))
        else:
            passage.exit(error)
        self._pipeline._judge.finished(call, error)


class _Stage:
    """How far a transaction got."""

    __slots__ = ("committing",)

    def __init__(self) -> None:
        self.committing = False


@contextmanager
def _inside(pipeline: Pipeline, stage: _Stage) -> Iterator[None]:
    """A transaction that has entered the pipeline; its errors carry what they mean."""
    token = _entered.set(_entered.get() | {id(pipeline)})
    try:
        yield
    except exc.SQLAlchemyError as error:
        state = _state_of(error)
        nothing_done = not stage.committing or rolled_back(state)
        if near_deadline() and (state == "57014" or isinstance(error, exc.TimeoutError)):
            late = TimedOutError("A transaction was cut short by the deadline.", policy="deadline", name=pipeline.name)
            judged(late, None, unsent=nothing_done)
            raise late from error
        judged(error, _verdict(error), unsent=nothing_done)
        raise
    finally:
        _entered.reset(token)


def _state_of(error: BaseException) -> str | None:
    """The SQLSTATE of a driver's error, whatever the driver calls it."""
    original = getattr(error, "orig", None)
    for name in ("sqlstate", "pgcode"):
        state = getattr(original, name, None)
        if isinstance(state, str):
            return state
    return None


def _verdict(error: BaseException) -> Verdict | None:
    """What an error says about the database; None for the default rules."""
    if isinstance(error, exc.TimeoutError):  # no connection was free in the pool
        return Verdict.DROPPED
    if getattr(error, "connection_invalidated", False):
        return Verdict.FAILURE
    found = verdict_of_state(_state_of(error))
    if found is not None:
        return found
    if isinstance(error, exc.OperationalError | exc.InterfaceError | exc.InternalError):
        return Verdict.FAILURE
    return Verdict.IGNORED if isinstance(error, exc.SQLAlchemyError) else None


def _limit(connection: Any) -> str | None:
    """The statement that bounds the others of its transaction, where the database has such a thing."""
    if connection.dialect.name != "postgresql":
        return None
    limit = statement_timeout()
    return None if limit is None else f"SET LOCAL statement_timeout = {limit}"
