"""Answers in place of failed calls; run it with `python fallback.py`."""

from seawall import CircuitBreaker, Fallback, Pipeline, StaleCache
from seawall.testing import Scripted, virtual_time


def from_the_mirror(sku: str) -> str:
    raise ConnectionError("the mirror is down too")


def estimate(sku: str, error: BaseException) -> str:
    return f"{sku}: about 40.00 ({type(error).__name__})"


with virtual_time() as clock:
    # tried in order; the mirror is left out for 30 s once it has failed
    prices = Pipeline("prices", Fallback(from_the_mirror, estimate, timeout=0.5), CircuitBreaker(5))
    outcome = prices.call_outcome(Scripted([ConnectionError("down")]), "A-100")
    print(outcome.value, "| degraded:", outcome.degraded, "| from:", outcome.source)

    # the last good value of each key, for ten minutes; fresh for five seconds
    stock = Pipeline("stock", Fallback("unknown"), StaleCache(600.0, fresh=5.0, key="sku", spread=0.0), CircuitBreaker(5))
    source = Scripted(["12 left", ConnectionError("down")])

    def look_up(sku: str) -> str:
        return str(source())

    for after in (0.0, 4.0, 60.0, 600.0):
        clock.advance(after)
        outcome = stock.call_outcome(look_up, "A-100")
        print(f"{outcome.value} | degraded: {outcome.degraded} | from: {outcome.source} | calls so far: {source.calls}")
