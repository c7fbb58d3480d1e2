"""Plain calls in threads of their own (R-BH1)."""

import threading

import seawall
from seawall import Pipeline, RejectedError, Timeout
from seawall.testing import run_threads


def test_threads_without_a_limit_isolate_plain_calls_in_a_bounded_number():
    """R-BH1: a slow dependency takes its own threads and no others, however long it takes."""
    isolated = Timeout(mode="thread", max_threads=2)
    pipeline = Pipeline("isolated", isolated, registry=None)
    names, started = [], threading.Barrier(2)

    def work():
        names.append(threading.current_thread().name)
        started.wait(10)
        return seawall.remaining()

    def calling():
        return pipeline.call(work)

    assert run_threads(calling, calling) == [None, None]
    assert set(names) == {f"seawall-{pipeline.name}"}
    assert isolated.snapshot().counters["abandoned"] == 0


def test_a_call_beyond_the_threads_of_an_isolated_pipeline_is_refused_at_once():
    """R-BH1"""
    pipeline = Pipeline("isolated", Timeout(mode="thread", max_threads=1), registry=None)

    def outer():
        return pipeline.call_outcome(int).error

    assert isinstance(pipeline.call(outer), RejectedError)
