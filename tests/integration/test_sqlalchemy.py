"""Transactions and statements of SQLAlchemy through a pipeline, on a real PostgreSQL and on SQLite."""

import asyncio
import threading
import time

import pytest
from sqlalchemy import create_engine, exc, text
from sqlalchemy.ext.asyncio import create_async_engine

import seawall
from seawall import Bulkhead, CircuitBreaker, CircuitOpenError, Deadline, Pipeline, Retry, TimedOutError
from seawall.backoff import Constant
from seawall.integrations.sqlalchemy import arun_in_transaction, protect, run_in_transaction
from tests.support.policies import Watch
from tests.support.servers import postgres

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def address():
    with postgres() as running:
        url = f"postgresql+psycopg://test@/postgres?host={running.path}"
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE counter (name text PRIMARY KEY, value int NOT NULL)"))
            connection.execute(text("INSERT INTO counter VALUES ('n', 0)"))
        engine.dispose()
        yield url


@pytest.fixture(params=["sync", "async"])
def run(request, address):
    """Runs statements in one transaction, in either colour; gives the rows of the last one."""

    def execute(pipeline, *statements, hook=None):
        if request.param == "sync":
            engine = create_engine(address)

            def plain(connection):
                if hook:
                    hook()
                *first, last = statements
                for statement in first:
                    connection.execute(text(statement))
                result = connection.execute(text(last))
                return result.all() if result.returns_rows else None

            try:
                return run_in_transaction(engine, pipeline, plain)
            finally:
                engine.dispose()

        async def coroutine():
            engine = create_async_engine(address)

            async def statements_of(connection):
                if hook:
                    hook()
                *first, last = statements
                for statement in first:
                    await connection.execute(text(statement))
                result = await connection.execute(text(last))
                return result.all() if result.returns_rows else None

            try:
                return await arun_in_transaction(engine, pipeline, statements_of)
            finally:
                await engine.dispose()

        return asyncio.run(coroutine())

    return execute


def pipeline_of(*policies):
    watch = Watch()
    return Pipeline("database", *policies, watch, registry=None), watch


def tries():
    return Retry(4, backoff=Constant(base=0.001), budget=None)


def names(watch):
    return [ended.name for ended, _ in watch.ended]


@pytest.mark.parametrize(
    "statement, error",
    [
        ("INSERT INTO counter VALUES ('n', 1)", exc.IntegrityError),
        ("SELECT nothing FROM nowhere", exc.ProgrammingError),
    ],
)
def test_errors_of_data_and_statements_are_neutral_and_not_repeated(run, statement, error):
    pipeline, watch = pipeline_of(tries())
    with pytest.raises(error):
        run(pipeline, statement)
    assert names(watch) == ["IGNORED"]


def test_a_whole_transaction_is_repeated_when_its_connection_is_lost(run, address):
    """R-RT3"""
    killed: list[bool] = []

    def kill():
        if not killed:
            killed.append(True)
            engine = create_engine(address)
            with engine.begin() as other:
                other.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE query LIKE '%pg_sleep(0.4)%' AND pid <> pg_backend_pid()"
                    )
                )
            engine.dispose()

    pipeline, watch = pipeline_of(tries())
    before = run(pipeline, "SELECT value FROM counter")[0][0]
    run(
        pipeline,
        "UPDATE counter SET value = value + 1",
        "SELECT pg_sleep(0.4)",
        hook=lambda: threading.Timer(0.2, kill).start(),
    )
    assert run(pipeline, "SELECT value FROM counter") == [(before + 1,)]
    assert names(watch) == ["SUCCESS", "FAILURE", "SUCCESS", "SUCCESS"]


@pytest.mark.alone
def test_a_slow_statement_ends_at_the_deadline(run):
    """R-TM1: `statement_timeout` is what remains."""
    pipeline, _ = pipeline_of(Deadline(0.6))
    began = time.monotonic()
    with pytest.raises(TimedOutError):
        run(pipeline, "SELECT pg_sleep(20)")
    assert time.monotonic() - began <= 0.6 + 0.3  # making and ending an engine is part of it


def test_a_pool_without_a_free_connection_counts_as_overload_and_was_not_sent(address):
    engine = create_engine(address, pool_size=1, max_overflow=0, pool_timeout=0.05)
    pipeline, watch = pipeline_of(tries())
    with engine.connect(), pytest.raises(exc.TimeoutError):
        run_in_transaction(engine, pipeline, lambda connection: connection)
    assert names(watch) == ["DROPPED"] * 4
    engine.dispose()


class TestProtectedEngine:
    def test_statements_are_judged_and_refused_by_the_guards(self):
        breaker, room = CircuitBreaker(failure_threshold=1), Bulkhead(2)
        pipeline = Pipeline("database", breaker, room, registry=None)
        engine = create_engine("sqlite://")
        protect(engine, pipeline)
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
            with pytest.raises(exc.OperationalError):
                connection.execute(text("SELECT * FROM nowhere"))  # to SQLite an operational error
            with pytest.raises(CircuitOpenError):
                connection.execute(text("SELECT 1"))
        assert room.snapshot().gauges["in_flight"] == 0
        assert room.snapshot().counters["requests.allowed"] == 2
        engine.dispose()

    def test_a_transaction_helper_enters_the_pipeline_once(self):
        room = Bulkhead(1)
        pipeline = Pipeline("database", room, registry=None)
        engine = create_engine("sqlite://")
        protect(engine, pipeline)
        assert run_in_transaction(engine, pipeline, lambda one: one.execute(text("SELECT 1")).scalar()) == 1
        assert room.snapshot().counters["requests.allowed"] == 1
        engine.dispose()

    async def test_an_asynchronous_engine_waits_for_a_slot_without_blocking_the_loop(self, address):
        room = Bulkhead(1, queue=5, max_wait=5.0)
        engine = create_async_engine(address)
        protect(engine, Pipeline("database", room, registry=None))

        async def one():
            async with engine.connect() as connection:
                return (await connection.execute(text("SELECT pg_sleep(0.1)"))).all()

        await asyncio.wait_for(asyncio.gather(one(), one(), one()), 5)
        assert room.snapshot().gauges["in_flight"] == 0
        await engine.dispose()

    def test_a_statement_under_a_deadline_is_bounded_by_it(self, address):
        engine = create_engine(address)
        protect(engine, Pipeline("database", registry=None))
        began = time.monotonic()
        with engine.connect() as connection, seawall.deadline(0.4), pytest.raises(exc.OperationalError):
            connection.execute(text("SELECT pg_sleep(20)"))
        assert time.monotonic() - began < 1.0
        engine.dispose()
