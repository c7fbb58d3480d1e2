"""Protects every command of a Redis or Valkey client.

    client = protect(redis.Redis(…), pipeline)                 # plain code
    client = aprotect(redis.asyncio.Redis(…), pipeline)        # coroutines

Needs the extra `seawall[redis]`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

from seawall.core.context import remaining
from seawall.core.errors import TimedOutError
from seawall.integrations._common import LEAST, clamped, judged, missing, time_is_up, warn
from seawall.integrations._redis_commands import MARGIN, blocks_for, repeatable, within_deadline
from seawall.integrations._sockets import ClampedSocket

try:
    import redis
    import redis.asyncio
    from redis import exceptions
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError as error:
    raise missing("redis", error) from error

from seawall.core.verdict import Verdict

if TYPE_CHECKING:
    from seawall.pipeline.compose import Pipeline

__all__ = ["AsyncSeawallRedis", "SeawallRedis", "aprotect", "protect"]

_OVERLOAD = (exceptions.BusyLoadingError, exceptions.MaxConnectionsError, exceptions.OutOfMemoryError)
_STATE = (exceptions.ReadOnlyError, exceptions.MasterDownError, exceptions.ClusterDownError, exceptions.TryAgainError)


def protect(client: redis.Redis, pipeline: Pipeline) -> SeawallRedis:
    """A client over the same pool of connections whose every command goes through a pipeline.

    * Errors of the connection are failures, timeouts and overload are dropped, the server's own answers such as
      WRONGTYPE are neutral.
    * Every wait for a socket ends with the deadline. Blocking commands (BLPOP, XREAD BLOCK, …) may take their own
      timeout and a second more, whatever `socket_timeout` says; a nearer deadline shortens the timeout that is sent, so
      that nothing is popped for a caller that has gone.
    * Commands that do harm when done twice (INCR, LPUSH, SET NX, EVAL, …) are not repeated once sent.
    * A command that is cut short takes its connection with it: its answer never reaches the next caller.
    * The client's own retries are switched off, with a warning if they are not the library's default.
    * `pipeline()` gives batches that go through the pipeline as one, and are repeated only if nothing was sent. PubSub
      is not protected.

    Args:
        client: made as usual; its pool is used, and its present connections are closed.
        pipeline: what commands go through.

    Returns:
        A `redis.Redis`.

    Raises:
        ConfigurationError: if a `Timeout` of the pipeline has no mode.
    """
    pipeline._check_sync()
    pool: Any = client.connection_pool
    _no_retries(client, redis.Redis().get_retry(), Retry(NoBackoff(), 0))
    kind = pool.connection_class
    if not issubclass(kind, _Clamped):
        pool.connection_class = type(kind.__name__, (_Clamped, kind), {})
        pool.reset()
    protected = SeawallRedis(connection_pool=pool)
    protected._seawall = pipeline
    return protected


def aprotect(client: redis.asyncio.Redis, pipeline: Pipeline) -> AsyncSeawallRedis:
    """A client for coroutines whose every command goes through a pipeline; see `protect`.

    Args:
        client: made as usual; its pool is used.
        pipeline: what commands go through.

    Returns:
        A `redis.asyncio.Redis`.
    """
    _no_retries(client, redis.asyncio.Redis().get_retry(), AsyncRetry(NoBackoff(), 0))
    protected = AsyncSeawallRedis(connection_pool=client.connection_pool)
    protected._seawall = pipeline
    return protected


class SeawallRedis(redis.Redis):
    """What `protect` gives."""

    _seawall: Pipeline

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command; called by all methods for commands."""
        calls = self._seawall.with_options(idempotent=_may_repeat(self._seawall, repeatable(args)))
        return calls.call(self._once, args, options)

    def _once(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """One attempt."""
        sent = _Sent()
        with _judging(args[0], sent):
            base: Any = super()
            return base.execute_command(*within_deadline(args), _seawall_sent=sent, **options)

    def _send_command_parse_response(self, conn: Any, command_name: str, *args: Any, **options: Any) -> Any:
        """Send and wait, on a connection that is not used again if the wait is cut short."""
        sent: _Sent = options.pop("_seawall_sent")
        with _patience(getattr(conn, "_sock", None), blocks_for(args)):
            sent.sent = True
            try:
                base: Any = super()
                return base._send_command_parse_response(conn, command_name, *args, **options)
            except BaseException as error:
                if not isinstance(error, exceptions.ResponseError):
                    conn.disconnect()
                raise

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> Any:  # noqa: FBT002  # as in redis-py
        """A batch of commands; see `protect`."""
        batch = _Batch(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        batch._seawall = self._seawall
        return batch


class AsyncSeawallRedis(redis.asyncio.Redis):
    """What `aprotect` gives."""

    _seawall: Pipeline

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run one command; called by all methods for commands."""
        calls = self._seawall.with_options(idempotent=_may_repeat(self._seawall, repeatable(args)))
        return await calls.acall(self._once, args, options)

    async def _once(self, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """One attempt."""
        sent = _Sent()
        with _judging(args[0], sent):
            async with _bounded():
                base: Any = super()
                return await base.execute_command(*within_deadline(args), _seawall_sent=sent, **options)

    async def _send_command_parse_response(self, conn: Any, command_name: str, *args: Any, **options: Any) -> Any:
        """Send and wait, on a connection that is not used again if the wait is cut short."""
        sent: _Sent = options.pop("_seawall_sent")
        before = conn.socket_timeout
        blocking = blocks_for(args)
        if blocking is not None:
            conn.socket_timeout = blocking + MARGIN if blocking else None
        sent.sent = True
        try:
            base: Any = super()
            return await base._send_command_parse_response(conn, command_name, *args, **options)
        except BaseException as error:
            if not isinstance(error, exceptions.ResponseError):
                await conn.disconnect(nowait=True)
            raise
        finally:
            conn.socket_timeout = before

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:  # noqa: FBT001, FBT002  # as there
        """A batch of commands; see `protect`."""
        batch = _AsyncBatch(self.connection_pool, self.response_callbacks, transaction, shard_hint)
        batch._seawall = self._seawall
        return batch


class _Batch(redis.client.Pipeline):
    """Commands that are sent together."""

    _seawall: Pipeline

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # as in redis-py
        """Send what was collected, through the pipeline."""
        stack = list(self.command_stack)

        def once() -> list[Any]:
            self.command_stack = list(stack)
            with _judging("batch", _Sent(sent=True)):
                found: list[Any] = super(_Batch, self).execute(raise_on_error)
                return found

        return self._seawall.with_options(idempotent=False).call(once)


class _AsyncBatch(redis.asyncio.client.Pipeline):
    """Commands that are sent together."""

    _seawall: Pipeline

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002  # as in redis-py
        """Send what was collected, through the pipeline."""
        stack = list(self.command_stack)

        async def once() -> list[Any]:
            self.command_stack = list(stack)
            with _judging("batch", _Sent(sent=True)):
                async with _bounded():
                    found: list[Any] = await super(_AsyncBatch, self).execute(raise_on_error)
                    return found

        return await self._seawall.with_options(idempotent=False).acall(once)


class _Sent:
    """Whether an attempt got as far as a connection."""

    __slots__ = ("sent",)

    def __init__(self, *, sent: bool = False) -> None:
        self.sent = sent


class _Clamped:
    """Mixed into a class of connections: their sockets end every wait with the deadline."""

    socket_connect_timeout: float | None

    def _connect(self) -> Any:
        before = self.socket_connect_timeout
        self.socket_connect_timeout = clamped(before)
        try:
            return ClampedSocket(super()._connect())  # type: ignore[misc]  # of the class it is mixed into
        finally:
            self.socket_connect_timeout = before


@contextmanager
def _judging(command: Any, sent: _Sent) -> Iterator[None]:
    """Leave the verdict on errors, and turn those that the deadline made into timeouts."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        late = isinstance(error, exceptions.TimeoutError | TimeoutError)
        if late and time_is_up():
            raise _late(command) from error
        judged(error, _verdict(error), unsent=not sent.sent)
        raise


def _verdict(error: Exception) -> Verdict | None:
    """What an error of the client says about the server; None for the default rules."""
    if isinstance(error, _OVERLOAD):
        return Verdict.DROPPED
    if isinstance(error, exceptions.ResponseError) and not isinstance(error, _STATE):
        return Verdict.IGNORED
    return None


def _late(command: Any) -> TimedOutError:
    """The error for a command that the deadline cut short."""
    return TimedOutError(
        f"Command {command} was cut short by the deadline. It may have been executed.", policy="deadline"
    )


def _may_repeat(pipeline: Pipeline, harmless: bool) -> bool:  # noqa: FBT001  # its only argument besides
    """Whether a command may be sent twice; a retry that says it may not keeps its word."""
    return harmless and all(getattr(policy, "idempotent", True) is not False for policy in pipeline.policies)


@contextmanager
def _patience(sock: Any, blocking: float | None) -> Iterator[None]:
    """Let a socket wait as long as a blocking command says, 0 being without limit."""
    if blocking is None or not isinstance(sock, ClampedSocket):
        yield
        return
    before = sock.limit
    sock.settimeout(blocking + MARGIN if blocking else None)
    try:
        yield
    finally:
        if sock.fileno() >= 0:  # it may have been closed meanwhile
            sock.settimeout(before)


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    """Cut off what is awaited inside at the ambient deadline, which need not be one of the pipeline's own."""
    left = remaining()
    limit = asyncio.timeout(None if left is None else max(LEAST, left))
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if limit.expired():
            raise _late("") from error
        raise


def _no_retries(client: Any, usual: Any, none: Any) -> None:
    """Switch off the client's own retries."""
    own = client.get_retry()
    if own is not None and own.get_retries() != 0 and own != usual:
        warn(
            f"redis client: its own {own.get_retries()} retries are switched off, as they multiply the pipeline's and "
            "repeat commands that do harm when done twice; use Retry in the pipeline"
        )
    client.set_retry(none)
