"""Transactions through a pipeline on a real PostgreSQL."""

import asyncio
import os
import signal
import threading
import time

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import seawall
from seawall import Bulkhead, Deadline, Pipeline, Retry, TimedOutError, Timeout
from seawall.backoff import Constant
from seawall.integrations.psycopg import (
    AsyncSeawallConnection,
    SeawallConnection,
    arun_in_transaction,
    run_in_transaction,
)
from tests.support.policies import Watch
from tests.support.servers import postgres

pytestmark = pytest.mark.integration
LIMIT = 0.5


@pytest.fixture(scope="module")
def server():
    with postgres() as running:
        with psycopg.connect(address(running)) as connection:
            connection.execute("CREATE TABLE counter (name text PRIMARY KEY, value int NOT NULL)")
            connection.execute("INSERT INTO counter VALUES ('a', 0), ('b', 0), ('n', 0)")
        yield running


def address(server):
    return f"host={server.path} user=test dbname=postgres"


def tries(attempts=5):
    return Retry(attempts, backoff=Constant(base=0.001), budget=None)


class Play:
    """Runs statements in one transaction, in either colour."""

    def __init__(self, colour, server):
        self.colour, self.server = colour, server
        self.watch, self.room = Watch(), Bulkhead(10)

    def pipeline(self, *policies):
        return Pipeline("database", *policies, self.watch, self.room, registry=None)

    def run(self, pipeline, *statements, hook=None, bound=None, idempotent=False):
        """`hook` is called, with the connection, before the first statement; gives the rows of the last one."""
        if self.colour == "sync":
            with ConnectionPool(
                address(self.server), connection_class=SeawallConnection, min_size=1, max_size=2, open=True
            ) as pool:
                pool.wait()

                def plain(connection):
                    if hook:
                        hook(connection)
                    *first, last = statements
                    for statement in first:
                        connection.execute(statement)
                    cursor = connection.execute(last)
                    return cursor.fetchall() if cursor.description else None

                with seawall.deadline(bound or 60):
                    return timed(lambda: run_in_transaction(pool, pipeline, plain, idempotent=idempotent))

        async def run():
            async with AsyncConnectionPool(
                address(self.server), connection_class=AsyncSeawallConnection, min_size=1, max_size=2, open=False
            ) as pool:
                await pool.wait()

                async def coroutine(connection):
                    if hook:
                        hook(connection)
                    *first, last = statements
                    for statement in first:
                        await connection.execute(statement)
                    cursor = await connection.execute(last)
                    return await cursor.fetchall() if cursor.description else None

                with seawall.deadline(bound or 60):
                    began = time.monotonic()
                    try:
                        value = await arun_in_transaction(pool, pipeline, coroutine, idempotent=idempotent)
                    except Exception as error:
                        error.took = time.monotonic() - began  # type: ignore[attr-defined]
                        raise
                    return value

        return asyncio.run(run())

    @property
    def verdicts(self):
        return [ended.name for ended, _ in self.watch.ended]


def timed(action):
    """What `action` gives; an error remembers how long it took."""
    began = time.monotonic()
    try:
        return action()
    except Exception as error:
        error.took = time.monotonic() - began  # type: ignore[attr-defined]
        raise


@pytest.fixture(params=["sync", "async"])
def play(request, server):
    made = Play(request.param, server)
    yield made
    assert made.room.snapshot().gauges["in_flight"] == 0


def test_a_transaction_is_committed(play):
    play.run(play.pipeline(), "UPDATE counter SET value = 7 WHERE name = 'a'")
    assert play.run(play.pipeline(), "SELECT value FROM counter WHERE name = 'a'") == [(7,)]
    assert play.verdicts == ["SUCCESS", "SUCCESS"]


@pytest.mark.parametrize(
    "statement, error",
    [
        ("INSERT INTO counter VALUES ('a', 1)", psycopg.errors.UniqueViolation),
        ("SELECT nothing FROM nowhere", psycopg.errors.UndefinedTable),
        ("SELECT 1/0", psycopg.errors.DivisionByZero),
    ],
)
def test_errors_of_data_and_statements_are_neutral_and_not_repeated(play, statement, error):
    with pytest.raises(error):
        play.run(play.pipeline(tries()), statement)
    assert play.verdicts == ["IGNORED"]


def test_a_whole_transaction_is_repeated_after_a_serialization_failure(play, server):
    """R-RT3: what was done before is rolled back and done again."""
    interfered: list[bool] = []

    def interfere():
        if not interfered:
            interfered.append(True)
            with psycopg.connect(address(server), autocommit=True) as other:
                other.execute("UPDATE counter SET value = value + 1 WHERE name = 'b'")

    before = play.run(play.pipeline(), "SELECT value FROM counter WHERE name = 'b'")[0][0]
    play.run(
        play.pipeline(tries()),
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SELECT value FROM counter",
        "SELECT pg_sleep(0.3)",
        "UPDATE counter SET value = value + 10 WHERE name = 'b' AND pg_sleep(0) IS NOT NULL",
        hook=lambda _: threading.Timer(0.1, interfere).start(),
    )
    assert play.verdicts == ["SUCCESS", "THROTTLED", "SUCCESS"]
    assert play.run(play.pipeline(), "SELECT value FROM counter WHERE name = 'b'") == [(before + 11,)]


def test_a_transaction_whose_connection_is_lost_before_its_commit_is_repeated(play, server):
    """R-RT3: nothing of it remains."""
    killed: list[bool] = []

    def kill():
        if not killed:
            killed.append(True)
            with psycopg.connect(address(server), autocommit=True) as other:
                other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE query LIKE '%pg_sleep(0.4)%' AND pid <> pg_backend_pid()"
                )

    before = play.run(play.pipeline(), "SELECT value FROM counter WHERE name = 'n'")[0][0]
    play.run(
        play.pipeline(tries()),
        "UPDATE counter SET value = value + 1 WHERE name = 'n'",
        "SELECT pg_sleep(0.4)",
        hook=lambda _: threading.Timer(0.15, kill).start(),
    )
    assert play.verdicts == ["SUCCESS", "FAILURE", "SUCCESS"]
    assert play.run(play.pipeline(), "SELECT value FROM counter WHERE name = 'n'") == [(before + 1,)]


@pytest.mark.alone
@pytest.mark.parametrize("bound", ["timeout", "deadline", "ambient"])
def test_a_slow_query_ends_at_its_limit_on_the_server_too(play, server, bound):
    """R-TM1, R-TM2"""
    bounds = {"timeout": [play.room, Timeout(LIMIT, mode="cooperative")], "deadline": [Deadline(LIMIT), play.room]}
    pipeline = Pipeline("database", *bounds.get(bound, [play.room]), registry=None)
    with pytest.raises(TimedOutError) as caught:
        play.run(pipeline, "SELECT pg_sleep(20)", bound=LIMIT if bound == "ambient" else None)
    assert LIMIT - 0.05 <= caught.value.took <= LIMIT + 0.1  # type: ignore[attr-defined]
    end = time.monotonic() + 5
    with psycopg.connect(address(server), autocommit=True) as other:
        count = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(20)%' AND pid <> pg_backend_pid()"
        count += " AND state = 'active'"
        while other.execute(count).fetchone() != (0,) and time.monotonic() < end:
            time.sleep(0.02)
        assert other.execute(count).fetchone() == (0,)


@pytest.mark.alone
def test_a_server_that_hangs_is_left_at_the_deadline(play, server):
    """R-TM2: no answer comes, not even to a cancel."""

    def stop(connection):
        pid = connection.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(1.0, os.kill, (pid, signal.SIGCONT)).start()

    with pytest.raises(TimedOutError) as caught:
        play.run(play.pipeline(Deadline(LIMIT)), "SELECT pg_sleep(20)", hook=stop)
    assert caught.value.took <= LIMIT + 0.15  # type: ignore[attr-defined]
    time.sleep(1.0)  # the process goes on before the server is ended


async def test_a_cancelled_transaction_leaves_no_broken_connection_in_the_pool(server):
    """Seen with other clients: the next caller gets the rest of somebody else's answer."""
    async with AsyncConnectionPool(
        address(server), connection_class=AsyncSeawallConnection, min_size=1, max_size=1, open=False
    ) as pool:
        pipeline = Pipeline("database", registry=None)

        async def slow(connection):
            return await (await connection.execute("SELECT pg_sleep(5), 'other'")).fetchall()

        async def quick(connection):
            return await (await connection.execute("SELECT 'mine'")).fetchone()

        for delay in (0.0, 0.01, 0.05, 0.1):
            task = asyncio.ensure_future(arun_in_transaction(pool, pipeline, slow))
            await asyncio.sleep(delay)
            began = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert time.monotonic() - began < 0.5
            assert await arun_in_transaction(pool, pipeline, quick) == ("mine",)


def test_a_pool_without_such_connections_warns(server):
    from seawall.integrations.http import SeawallWarning

    pool = ConnectionPool(address(server), min_size=1, max_size=1, open=True)
    with pool, pytest.warns(SeawallWarning, match="SeawallConnection"):
        run_in_transaction(pool, Pipeline("database", registry=None), lambda connection: None)
