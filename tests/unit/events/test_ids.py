"""Short ids of refusals and transitions."""

import pickle
import re

import pytest

from seawall import BulkheadFullError, CircuitBreaker, CircuitOpenError, Pipeline, RateLimiter, Registry, RejectedError
from seawall.events.ids import is_id, refusal_id
from seawall.events.journal import Journal
from seawall.events.types import CallRejected, CircuitClosed
from seawall.testing import virtual_time


def refused(pipeline):
    with pytest.raises(RejectedError) as caught:
        pipeline.call(int)
    return caught.value


def test_a_refusals_id_is_that_of_its_entry_in_the_journal():
    """R-PL4"""
    with virtual_time():
        registry = Registry()
        breaker = CircuitBreaker(1)
        pipeline = Pipeline("db", breaker, registry=registry)
        breaker.trip()
        errors = [refused(pipeline) for _ in range(3)]
    entries = [entry for entry in registry.bus.journal if isinstance(entry.event, CallRejected)]
    assert [error.id for error in errors] == [entry.id for entry in entries]
    assert len({error.id for error in errors}) == 3
    assert all(re.fullmatch("r-[0-9a-f]{6}", error.id) for error in errors)
    assert all(entry.long_id.startswith(entry.id) for entry in entries)


def test_every_policy_that_refuses_gives_its_refusals_an_id_that_ends_the_text():
    """R-PL4"""
    with virtual_time():
        registry = Registry()
        limited = Pipeline("limited", RateLimiter("1/second", burst=1), registry=registry)
        limited.call(int)
        error = refused(limited)
    assert str(error).endswith(f"; nothing was sent. (explain: seawall explain {error.id})")
    assert error.id == registry.bus.journal.entries()[-1].id


def test_an_error_keeps_its_id_when_it_is_pickled():
    """R-PL4"""
    error = CircuitOpenError("no", id="r-7f3a1c", policy="circuit_breaker", name="db", retry_after=3.0)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (CircuitOpenError, "no", vars(error))
    assert BulkheadFullError("full").id == ""


def test_two_workers_that_count_alike_have_ids_of_their_own():
    """R-PL4"""
    assert refusal_id("bulkhead", "db", 1, "7-00000001") != refusal_id("bulkhead", "db", 1, "7-00000002")
    assert Journal().worker != Journal().worker


@pytest.mark.parametrize(
    "one, other",
    [(("db", 1), ("db", 2)), (("db1", 1), ("db", 11))],
)
def test_names_and_numbers_do_not_run_into_each_other(one, other):
    assert refusal_id("bulkhead", one[0], one[1], "w") != refusal_id("bulkhead", other[0], other[1], "w")


def test_a_child_of_a_fork_gives_other_ids_and_its_parents_keep_theirs():
    """R-PL4"""
    journal = Journal()
    journal.append(1.0, (CircuitClosed, 1, 0.0, "db", "manual", 1.0))
    [before] = journal
    journal.after_fork()
    journal.append(2.0, (CircuitClosed, 1, 0.0, "db", "manual", 1.0))
    [same, other] = journal
    assert same.id == before.id
    assert other.id not in {"", before.id}


@pytest.mark.parametrize(
    "text, known",
    [("r-7f3a1c", True), ("t-7f3a1c", True), ("r-7f3a1c52d0", True), ("r-7f3a1", False), ("payments", False),
     ("r-7F3A1C", False), ("x-7f3a1c", False), ("r-" + "0" * 17, False)],
)  # fmt: skip
def test_an_id_is_known_by_its_form(text, known):
    assert is_id(text) is known
