"""Redis commands through a pipeline, against a real Valkey."""

import asyncio
import time
import warnings
from contextlib import ExitStack

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry as OwnRetry

import seawall
from seawall import Bulkhead, Deadline, Pipeline, Retry, TimedOutError, Timeout
from seawall.backoff import Constant
from seawall.integrations.redis import aprotect, protect
from tests.support.policies import Watch
from tests.support.servers import valkey

pytestmark = pytest.mark.integration
LIMIT = 0.5


@pytest.fixture(scope="module")
def server():
    with valkey() as running:
        yield running


def tries(attempts=3):
    return Retry(attempts, backoff=Constant(base=0.001), budget=None)


class Play:
    """A protected client of either colour; `run` gives the answers to commands, in order.

    A function among the commands is called between them.
    """

    def __init__(self, colour, path):
        self.colour, self.path = colour, str(path)
        self.watch, self.room = Watch(), Bulkhead(10)

    def pipeline(self, *policies):
        return Pipeline("cache", *policies, self.watch, self.room, registry=None)

    def run(self, pipeline, *commands, **options):
        if self.colour == "sync":
            client = protect(redis.Redis(unix_socket_path=self.path, **options), pipeline)
            try:
                return [each() if callable(each) else client.execute_command(*each) for each in commands]
            finally:
                client.connection_pool.disconnect()

        async def run():
            client = aprotect(redis.asyncio.Redis(unix_socket_path=self.path, **options), pipeline)
            try:
                return [each() if callable(each) else await client.execute_command(*each) for each in commands]
            finally:
                await client.connection_pool.disconnect()

        return asyncio.run(run())

    @property
    def verdicts(self):
        return [ended.name for ended, _ in self.watch.ended]


@pytest.fixture(params=["sync", "async"])
def play(request, server):
    made = Play(request.param, server.path)
    yield made
    assert made.room.snapshot().gauges["in_flight"] == 0


def test_commands_work_as_ever(play):
    answers = play.run(play.pipeline(), ("SET", "a", "1"), ("GET", "a"), ("DEL", "list"), ("LPUSH", "list", "x"))
    assert answers == [True, b"1", answers[2], 1]
    assert play.verdicts == ["SUCCESS"] * 4


def test_an_answer_of_the_server_about_the_command_is_neutral_and_not_repeated(play):
    play.run(play.pipeline(), ("SET", "text", "x"))
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        play.run(play.pipeline(tries()), ("LLEN", "text"))
    assert play.verdicts == ["SUCCESS", "IGNORED"]


def test_a_server_that_is_not_there_is_tried_again_even_for_commands_that_are_not_idempotent(play, tmp_path):
    """R-RT3: nothing was sent."""
    play.path = str(tmp_path / "nobody")
    with pytest.raises(redis.ConnectionError):
        play.run(play.pipeline(tries()), ("INCR", "n"))
    assert play.verdicts == ["FAILURE"] * 3


@pytest.mark.alone
@pytest.mark.parametrize("command, sent", [(("GET", "a"), 2), (("INCR", "n"), 1), (("SET", "a", "1", "NX"), 1)])
def test_commands_that_are_not_idempotent_are_not_repeated_once_sent(play, server, command, sent):
    """R-RT3"""
    with ExitStack() as stack, pytest.raises(redis.RedisError):
        play.run(
            play.pipeline(tries(2)), ("PING",), lambda: stack.enter_context(server.hung()), command, socket_timeout=0.2
        )
    assert play.verdicts[:2] == ["SUCCESS", "DROPPED"]
    assert len(play.verdicts) == 1 + sent


@pytest.mark.alone
def test_a_command_that_did_not_get_past_the_handshake_is_tried_again(play, server):
    """R-RT3: it was not sent."""
    with server.hung(), pytest.raises(redis.RedisError):
        play.run(play.pipeline(tries(2)), ("INCR", "n"), socket_timeout=0.2)
    assert len(play.verdicts) == 2


@pytest.mark.alone
@pytest.mark.parametrize("bound", ["timeout", "deadline", "ambient"])
def test_a_command_to_a_server_that_hangs_ends_at_its_limit(play, server, bound, record_property):
    """R-TM1, R-TM2: whatever `socket_timeout` says."""
    bounds = {"timeout": [play.room, Timeout(LIMIT, mode="cooperative")], "deadline": [Deadline(LIMIT), play.room]}
    pipeline = Pipeline("cache", *bounds.get(bound, [play.room]), registry=None)
    with server.hung():
        began = time.monotonic()
        with pytest.raises(TimedOutError):  # noqa: PT012  # the deadline is what is tested
            if bound == "ambient":
                with seawall.deadline(LIMIT):
                    play.run(pipeline, ("GET", "a"), socket_timeout=30)
            else:
                play.run(pipeline, ("GET", "a"), socket_timeout=30)
        took = time.monotonic() - began
    record_property("late_by_s", took - LIMIT)
    assert LIMIT - 0.02 <= took <= LIMIT + 0.15


@pytest.mark.alone
def test_a_blocking_command_may_take_longer_than_the_socket_timeout(play):
    began = time.monotonic()
    assert play.run(play.pipeline(), ("BLPOP", "empty", 0.6), socket_timeout=0.2) == [None]
    assert time.monotonic() - began >= 0.6
    assert play.verdicts == ["SUCCESS"]


@pytest.mark.alone
@pytest.mark.parametrize(
    "command", [("BLPOP", "empty", 0), ("BLPOP", "empty", 30), ("XREAD", "BLOCK", 0, "STREAMS", "none", "$")]
)
def test_a_blocking_command_comes_back_empty_before_the_deadline(play, command):
    """Nothing is popped for a caller that has gone."""
    began = time.monotonic()
    [answer] = play.run(play.pipeline(Deadline(LIMIT)), command)
    assert not answer
    assert LIMIT - 0.2 <= time.monotonic() - began <= LIMIT + 0.05


async def test_a_cancelled_command_never_hands_its_answer_to_the_next_caller(server):
    """The connection goes with it. Seen with redis-py: the answer of another user."""
    pool = redis.asyncio.ConnectionPool(
        connection_class=redis.asyncio.UnixDomainSocketConnection, path=str(server.path), max_connections=1
    )
    client = aprotect(redis.asyncio.Redis(connection_pool=pool), Pipeline("cache", registry=None))
    await client.set("mine", "1")
    await client.set("other", "2")
    for delay in (0.0, 0.0001, 0.0005, 0.001):
        for _ in range(20):
            task = asyncio.ensure_future(client.get("other"))
            await asyncio.sleep(delay)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await client.get("mine") == b"1"
    with server.hung():
        task = asyncio.ensure_future(client.get("other"))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await client.get("mine") == b"1"
    await pool.disconnect()


def test_a_batch_goes_through_the_pipeline_as_one(server):
    watch = Watch()
    client = protect(redis.Redis(unix_socket_path=str(server.path)), Pipeline("cache", watch, registry=None))
    with client.pipeline() as batch:
        assert batch.set("b", 1).incr("b").execute() == [True, 2]
    assert len(watch.ended) == 1
    client.connection_pool.disconnect()


async def test_an_asynchronous_batch_goes_through_the_pipeline_as_one(server):
    watch = Watch()
    client = aprotect(redis.asyncio.Redis(unix_socket_path=str(server.path)), Pipeline("cache", watch, registry=None))
    async with client.pipeline() as batch:
        assert await batch.set("b", 1).incr("b").execute() == [True, 2]
    assert len(watch.ended) == 1
    await client.connection_pool.disconnect()


def test_the_clients_own_retries_are_switched_off_with_a_warning_if_they_were_asked_for():
    """R-RT4"""
    from seawall.integrations.http import SeawallWarning

    pipeline = Pipeline("cache", registry=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quiet = protect(redis.Redis(), pipeline)
    own = quiet.get_retry()
    assert own is not None
    assert own.get_retries() == 0
    with pytest.warns(SeawallWarning, match="own 7 retries"):
        protect(redis.Redis(retry=OwnRetry(NoBackoff(), 7)), pipeline)
