"""Slots of a bulkhead are lent to generated code as they are used, and every one of them can be had."""

import pytest

from seawall import Bulkhead, BulkheadFullError, Pipeline, Registry
from seawall.policies.bulkhead import LENT_AT_ONCE
from seawall.testing import compiled


@pytest.fixture
def nested():
    """A bulkhead of 100 and a function that calls itself until so many calls are inside at once."""
    bulkhead = Bulkhead(100)
    with compiled(True):

        @Pipeline("p", bulkhead, registry=Registry())
        def nest(depth: int) -> float:
            return nest(depth - 1) if depth > 1 else bulkhead.snapshot().gauges["in_flight"]

    return bulkhead, nest


def test_a_large_bulkhead_lends_few_slots_at_first(nested):
    bulkhead, nest = nested
    assert nest(1) == nest(1) == 1
    assert bulkhead._machine.lent == LENT_AT_ONCE


@pytest.mark.parametrize("depth", [LENT_AT_ONCE, LENT_AT_ONCE + 1, 40, 99, 100])
def test_as_many_more_are_lent_as_are_used(nested, depth):
    bulkhead, nest = nested
    for _ in range(3):
        assert nest(depth) == depth
    assert bulkhead._machine.lent <= max(LENT_AT_ONCE, 2 * depth)
    assert bulkhead.snapshot().gauges["in_flight"] == 0


def test_all_slots_can_be_had_and_no_more(nested):
    bulkhead, nest = nested
    for _ in range(5):
        with pytest.raises(BulkheadFullError):
            nest(101)
        assert nest(100) == 100
    assert bulkhead._machine.lent <= 100
    assert bulkhead.snapshot().counters["requests.rejected"] == 5
