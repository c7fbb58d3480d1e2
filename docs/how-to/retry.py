"""Every part of a retry on one page; run it with `python retry.py`."""

import uuid

import seawall
from seawall import Pipeline, Retry, RetryBudget
from seawall.backoff import Exponential
from seawall.testing import Scripted, virtual_time

with virtual_time() as clock:
    # reading: doing it twice does no harm
    catalogue = Pipeline("catalogue", Retry(3, backoff=Exponential(base=0.1, cap=2.0)))
    product = Scripted([ConnectionError("reset"), "A-100: 40.00"])  # fails once, then answers
    print("read:", catalogue.call(product), "after", product.calls, "calls")

    # writing: one key for all attempts of one order, so that the shop can tell a second try from a second order
    orders = Pipeline("orders", Retry(3, idempotent="key", backoff=Exponential(base=0.1)))
    seen: list[str | None] = []

    def place_order(sku: str) -> str:
        seen.append(seawall.idempotency_key())  # send this along, as the header Idempotency-Key
        if len(seen) < 3:
            raise TimeoutError("no answer: it may have been placed")
        return f"ordered {sku}"

    print("write:", orders.call(place_order, "A-100"), "with", len(set(seen)), "key in", len(seen), "attempts")
    assert uuid.UUID(seen[0]).version == 4

    # writing without a key: only what was certainly not sent is tried again
    careful = Pipeline("careful", Retry(3, idempotent=False))
    for error in (ConnectionRefusedError("nobody listens"), TimeoutError("no answer")):
        shop = Scripted([error, "placed"])
        outcome = careful.call_outcome(shop)
        print("careful:", type(error).__name__, "->", outcome.value or type(outcome.error).__name__)

    # only some kinds of trouble; may be set anew while the program runs
    picky = Retry(3, retryable=["network", "rate_limit"])
    picky.retryable = ["network", "rate_limit", "server_error", LookupError]

    # two pipelines in front of one dependency share one budget
    budget = RetryBudget(0.2, floor=0.1, window=10.0, minimum=2)
    reads = Pipeline("reads", Retry(3, budget=budget))
    writes = Pipeline("writes", Retry(3, budget=budget, idempotent="key"))
    dead = Scripted([ConnectionError("dead")])
    for _ in range(100):
        reads.call_outcome(dead)
        writes.call_outcome(dead)
        clock.advance(0.1)
    print("a dead dependency saw", round(dead.calls / 200, 2), "times the load")
