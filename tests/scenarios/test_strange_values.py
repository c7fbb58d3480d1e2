"""Retries, fallbacks and caches around values, errors and rules that are made in strange ways."""

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from seawall import Bulkhead, Fallback, Pipeline, Retry, StaleCache
from seawall.backoff import Constant
from seawall.drive.marks import given_up_since, mark_given_up
from seawall.testing import Scripted, run_async, run_threads, virtual_time
from tests.support.both import both

NOW = Constant(base=0.0, jitter="none")


class Stubborn:
    """Lets nobody write, and answers whatever is asked of it."""

    def __setattr__(self, name, value):
        raise ValueError(f'"Stubborn" has no field "{name}"')

    def __getattr__(self, name):
        raise KeyError(name) if name.startswith("__") else AttributeError(name)


@both(lambda: [Retry(2, backoff=NOW, retry_result=lambda value: True)])
def test_a_value_that_refuses_a_mark_is_given_up_like_any_other(driven):
    assert isinstance(driven.call(Stubborn), Stubborn)


def test_a_mark_is_found_on_what_refuses_to_be_written_to():
    thing = Stubborn()
    assert not given_up_since(thing, 0)
    mark_given_up(thing)
    assert given_up_since(thing, 0)


class StrangeError(ConnectionError):
    exceptions = None  # no group, though it has the name


@both(lambda: [Retry(2, backoff=NOW)])
def test_an_error_with_exceptions_of_its_own_kind_comes_through(driven):
    with pytest.raises(StrangeError):
        driven.call(Scripted([StrangeError]))


@dataclass(frozen=True)
class FrozenError(ConnectionError):
    code: int = 0


@both(lambda: [Retry(2, backoff=NOW)])
def test_an_error_that_takes_no_note_comes_through(driven):
    with pytest.raises(FrozenError):
        driven.call(Scripted([FrozenError]))


@both(lambda: [Fallback(again, again)])
def test_a_fallback_that_raises_what_it_was_given_makes_no_circle(driven):
    def dead():
        raise ConnectionError("dead")

    with pytest.raises(ConnectionError) as raised:
        driven.call(dead)
    assert raised.value.__cause__ is None


def again(error):
    raise error


def test_a_fetch_whose_worth_cannot_be_judged_is_over_all_the_same():
    judged: list[object] = []

    def classify(error, value):
        judged.append(value)
        if len(judged) == 2:
            raise LookupError("the rule is wrong")

    cache = StaleCache(60.0, fresh=30.0)
    pipeline = Pipeline("p", cache, classify=classify, registry=None)
    with virtual_time():
        with pytest.raises(LookupError):
            pipeline.call(lambda: 1)
        assert not cache._machine._flights


@pytest.mark.parametrize("good", [True, False])
def test_who_waited_for_a_substitute_has_a_substitute(good):
    """R-FB1: degraded answers are counted as such."""
    landed = threading.Event()
    with virtual_time() as clock:

        def fetch():
            clock.sleep(1.0)
            landed.set()
            if good:
                return "real"
            raise ConnectionError

        pipeline = Pipeline("p", StaleCache(60.0, fresh=30.0, key=lambda: 0), Fallback("instead"), registry=None)
        outcomes: list[Any] = run_threads(*[lambda: pipeline.call_outcome(fetch)] * 3)
        assert [one.degraded for one in outcomes] == [not good] * 3
        assert len({one.source for one in outcomes}) == 1
        assert pipeline.snapshot().counters["calls.degraded"] == (0 if good else 3)


async def apermit(pipeline):
    async with pipeline.permit():
        pass


def permit(pipeline):
    with pipeline.permit():
        pass


async def aattempts(pipeline, error=None):
    async for attempt in pipeline.attempts():
        async with attempt:
            if error is not None:
                raise error


def attempts(pipeline, error=None):
    for attempt in pipeline.attempts():
        with attempt:
            if error is not None:
                raise error


def wrong(*args):
    raise LookupError("the rule is wrong")


@pytest.mark.parametrize(
    "run, retries",
    [
        (permit, []),
        (lambda pipeline: run_async(apermit(pipeline)), []),
        (attempts, [Retry(2)]),
        (lambda pipeline: run_async(aattempts(pipeline)), [Retry(2)]),
    ],
    ids=["permit", "async permit", "attempts", "async attempts"],
)
def test_a_block_whose_end_cannot_be_judged_has_ended(run, retries):
    bulkhead = Bulkhead(1)
    pipeline = Pipeline("p", *retries, bulkhead, classify=wrong, registry=None)
    with pytest.raises(LookupError):
        run(pipeline)
    assert (pipeline._judge.running(), bulkhead.snapshot().gauges["in_flight"]) == (0, 0)
    assert pipeline.snapshot().counters["calls.failure"] == 1


@pytest.mark.parametrize(
    "run", [attempts, lambda pipeline, error: run_async(aattempts(pipeline, error))], ids=["sync", "async"]
)
def test_attempts_whose_error_cannot_be_judged_have_ended(run):
    pipeline = Pipeline("p", Retry(2, retryable=wrong), registry=None)
    with pytest.raises(LookupError):
        run(pipeline, ConnectionError())
    assert pipeline._judge.running() == 0
    assert pipeline.snapshot().counters["calls.failure"] == 1
