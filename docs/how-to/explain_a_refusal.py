"""A refusal, and the way back to its cause."""

import logging

import seawall
from seawall import CircuitBreaker, CircuitOpenError, Fallback, Pipeline
from seawall.testing import virtual_time

logging.disable()


def charge(amount: int) -> str:
    raise ConnectionError("the payment service does not answer")


with virtual_time() as clock:
    payments = Pipeline("payments", CircuitBreaker(failure_threshold=3, recovery_timeout=30.0))
    for _ in range(3):
        payments.call_outcome(charge, 100)
        clock.advance(1.0)
    try:
        payments.call(charge, 100)
    except CircuitOpenError as refused:
        print(refused)
        print(seawall.default_registry.explain(refused.id))

    print("---")
    print(seawall.default_registry.explain("payments").headline)
    print(seawall.default_registry.explain(clock.wall() - 2.0).headline)

    why = seawall.default_registry.explain("payments").as_json()
    print([step["relation"] for step in why["steps"]])

    orders = Pipeline("orders", Fallback("unpaid"), CircuitBreaker(failure_threshold=3))
    print(orders.call(charge, 100))
