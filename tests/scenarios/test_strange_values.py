"""Retries, fallbacks and caches around values, errors and rules that are made in strange ways."""

from dataclasses import dataclass

import pytest

from seawall import Pipeline, Retry, StaleCache
from seawall.backoff import Constant
from seawall.drive.call import given_up_since, mark_given_up
from seawall.testing import Scripted, virtual_time
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
