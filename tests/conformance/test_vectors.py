"""Behaviours of the field's reference implementations, run against seawall.

`vectors.json` holds the data with its sources and licences; further files of the same language beside it are run too.
What is skipped says why: a feature that is not there, or a choice that differs and is documented.
"""

from typing import Any

import pytest

from seawall.testing import virtual_time
from tests.conformance.adapters.backoffs import RetryAdapter
from tests.conformance.adapters.breaker import BreakerAdapter
from tests.conformance.adapters.bulkhead import BulkheadAdapter
from tests.conformance.adapters.calls import CallsAdapter
from tests.conformance.adapters.rate import RateAdapter
from tests.conformance.adapters.readings import NOT_KEPT
from tests.conformance.adapters.windows import WindowAdapter
from tests.conformance.choices import DIFFERENT, MISSING_FROM_CORE
from tests.conformance.language import HERE, DiffersError, NotBuiltError, Vector, load
from tests.support.ways import BOTH_WAYS

ADAPTERS: dict[str, Any] = {
    "circuit_breaker": BreakerAdapter,
    "sliding_window": WindowAdapter,
    "retry": RetryAdapter,
    "rate_limit": RateAdapter,
    "bulkhead": BulkheadAdapter,
    "timeout": CallsAdapter,
    "fallback": CallsAdapter,
    "composition": CallsAdapter,
}
COLOURED = {"circuit_breaker", "retry", "timeout", "fallback", "composition"}
VECTORS = load(HERE / "vectors.json", *(file for file in sorted(HERE.glob("*.json")) if file.name != "vectors.json"))


def attempt(vector: Vector, colour: str) -> str:
    """Run one vector; the reason if it has to be skipped, else "". A vector that fails raises."""
    if vector.id in DIFFERENT:
        return f"our choice differs: {DIFFERENT[vector.id]}"
    if vector.pattern == "retry_budget":
        return "not built: a budget by quota or by what is in flight; ours is a share of first attempts"
    if vector.pattern not in ADAPTERS:
        return f"not built: {vector.pattern.replace('_', ' ')}"
    try:
        with virtual_time() as clock:
            ADAPTERS[vector.pattern](vector, clock, colour).run()
    except NotBuiltError as missing:
        return f"not built: {missing}"
    except DiffersError as choice:
        return f"our choice differs: {choice}"
    return ""


CASES = [
    pytest.param(vector, colour, id=f"{vector.id}-{colour}")
    for vector in VECTORS
    for colour in (["sync", "async"] if vector.pattern in COLOURED else ["sync"])
]


@BOTH_WAYS
@pytest.mark.parametrize("vector, colour", CASES)
def test_behaves_as_the_vector_says(vector, colour, way):
    if reason := attempt(vector, colour):
        pytest.skip(reason)


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS if vector.portability == "core"], ids=lambda vector: vector.id
)
def test_no_core_vector_is_skipped_but_for_a_missing_feature(vector):
    if vector.pattern not in ADAPTERS:
        pytest.skip(f"not built: {vector.pattern.replace('_', ' ')}")
    reasons = {attempt(vector, colour) for colour in ("sync", "async")}
    if "" in reasons:  # it runs in at least one colour: plain code cannot be cancelled
        return
    missing = {reason.removeprefix("not built: ") for reason in reasons}
    assert missing & MISSING_FROM_CORE, f"{vector.id}: {reasons}"


def test_no_core_vector_relies_on_a_count_that_we_do_not_keep():
    for vector in VECTORS:
        if vector.portability == "core":
            counts = {name for step in vector.steps for name in step.get("expect_counts", {})}
            assert not counts & NOT_KEPT, vector.id


def test_every_choice_that_differs_names_a_vector_that_is_not_core():
    portability = {vector.id: vector.portability for vector in VECTORS}
    assert not {id for id in DIFFERENT if portability.get(id) == "core"}
    assert not set(DIFFERENT) - set(portability)


def test_every_choice_that_differs_is_explained():
    page = (HERE.parents[1] / "docs" / "explanation" / "choices.md").read_text("utf-8")
    assert not [id for id in DIFFERENT if f"`{id}`" not in page]
