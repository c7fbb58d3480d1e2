"""Protect a call, break what it depends on, and watch it come back: the program of the first tutorial."""

from seawall import CircuitBreaker, Fallback, Pipeline, RejectedError, Retry, default_registry
from seawall.backoff import Exponential
from seawall.testing import virtual_time

broken = False


def price_of(sku: str) -> str:
    """The dependency: answers, or fails while it is broken."""
    if broken:
        raise ConnectionError("the price service does not answer")
    return f"{sku}: 42.00"


def last_known_price(sku: str) -> str:
    """What to say when the dependency cannot be asked."""
    return f"{sku}: about 40.00"


with virtual_time() as clock:
    prices = Pipeline(
        "prices",
        Fallback(last_known_price),
        Retry(attempts=2, backoff=Exponential(base=0.1)),
        CircuitBreaker(failure_threshold=4, recovery_timeout=30.0, success_threshold=1),
    )
    print(prices.explain())

    print(prices.call(price_of, "A-100"))

    broken = True
    for _ in range(3):
        outcome = prices.call_outcome(price_of, "A-100")
        print(outcome.value, "- degraded" if outcome.degraded else "", "-", outcome.attempts, "attempts")

    broken = False
    clock.advance(30.0)
    print(prices.call(price_of, "A-100"))

    for entry in default_registry.bus.journal:
        print(entry)

    guarded = Pipeline("prices, bare", CircuitBreaker(failure_threshold=1))
    broken = True
    for _ in range(2):
        try:
            guarded.call(price_of, "A-100")
        except RejectedError as refusal:
            print(f"never sent, may be tried again in {refusal.retry_after:.0f} s")
        except ConnectionError as error:
            print(f"sent and failed: {error}")
