"""An attempt may have its equal share of what the deadline leaves (R-TM1)."""

import threading

import pytest

import seawall
from seawall import ConfigurationError, Deadline, Pipeline, Retry, TimedOutError, Timeout
from seawall.backoff import Constant
from seawall.testing import Scripted, run_async, virtual_time
from tests.support.both import both

NOW = Constant(base=0.0, jitter="none")


@both(lambda: [Deadline(9.0), Retry(3, backoff=NOW, budget=None), Timeout(share=True, mode="cooperative")])
def test_each_attempt_gets_what_is_left_over_the_attempts_that_are_left(driven):
    """R-TM1: a hung first attempt does not use up the time of the others."""
    clock, limits = driven.pipeline.clock, []

    def looking():
        limits.append(seawall.remaining())
        clock.advance(1.0)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        driven.call(looking)
    assert limits == [3.0, 4.0, 7.0]


@both(lambda: [Deadline(9.0), Retry(3, backoff=NOW), Timeout(2.0, share=True, mode="cooperative")])
def test_its_own_limit_holds_if_that_is_shorter(driven):
    assert driven.call(seawall.remaining) == 2.0


@both(lambda: [Retry(3, backoff=NOW), Timeout(2.0, share=True, mode="cooperative")])
def test_without_a_deadline_there_is_nothing_to_share(driven):
    assert driven.call(seawall.remaining) == 2.0


@both(lambda: [Deadline(1.0), Retry(100, backoff=NOW), Timeout(share=True, share_floor=0.25, mode="cooperative")])
def test_a_share_never_falls_below_its_floor(driven):
    assert driven.call(seawall.remaining) == 0.25


@both(lambda: [Deadline(8.0), Timeout(share=True, mode="cooperative")])
def test_without_a_retry_the_one_attempt_has_it_all(driven):
    assert driven.call(seawall.remaining) == 8.0


def test_a_hung_attempt_is_cut_at_its_share_and_the_next_one_succeeds():
    """R-TM1"""
    pipeline = Pipeline("p", Deadline(9.0), Retry(3, backoff=NOW), Timeout(share=True), registry=None)
    with virtual_time(pipeline) as clock:
        assert run_async(pipeline.acall(Scripted([(60.0, 1), "fine"]).acall)) == "fine"
        assert clock.now() == 3.0


def test_a_timeout_that_bounds_streams_only_leaves_plain_calls_alone():
    """R-TM3"""
    pipeline = Pipeline("p", Timeout(idle=1.0), registry=None)
    with virtual_time(pipeline) as clock:
        assert run_async(pipeline.acall(Scripted([(60.0, "late")]).acall)) == "late"
        assert pipeline.call(lambda: "plain") == "plain"
        assert clock.now() == 60.0


def test_a_timeout_in_threads_without_a_limit_cuts_a_silent_stream():
    pipeline = Pipeline("p", Timeout(idle=1.0, mode="thread"), registry=None)

    def silent():
        pipeline.clock.wait(threading.Event(), pipeline.clock.now() + 5.0)
        yield 1

    with virtual_time(pipeline), pytest.raises(TimedOutError):
        list(pipeline.stream(silent))


@pytest.mark.parametrize(
    "make, text",
    [
        (Timeout, "bounds nothing"),
        (lambda: Timeout(0), r"Timeout.limit = 0"),
        (lambda: Timeout(5, first_item=0), r"Timeout.first_item = 0"),
        (lambda: Timeout(5, idle=-1), r"Timeout.idle = -1"),
        (lambda: Timeout(5, min_rate=0), r"Timeout.min_rate = 0"),
        (lambda: Timeout(5, rate_window=0), r"Timeout.rate_window = 0"),
        (lambda: Timeout(share=True, share_floor=0), r"Timeout.share_floor = 0"),
    ],
)
def test_a_mistake_is_refused_with_place_value_and_remedy(make, text):
    with pytest.raises(ConfigurationError, match=text):
        make()
