"""What a program does after it has moved; run it with `python move_from_others.py`."""

from seawall import CircuitBreaker, CircuitOpenError, Pipeline, Retry
from seawall.backoff import Exponential
from seawall.testing import Scripted, virtual_time

with virtual_time() as clock:
    # tenacity: @retry(stop=stop_after_attempt(3), wait=wait_random_exponential(max=10), retry=retry_if_exception_type(OSError))
    # stamina:  @stamina.retry(on=OSError, attempts=3, wait_max=10)
    retry = Retry(3, backoff=Exponential(base=0.1, cap=10.0), retryable=OSError)
    load = retry(Scripted([ConnectionError("reset"), "loaded"]))
    print(load())

    # pybreaker: CircuitBreaker(fail_max=5, reset_timeout=60, exclude=[KeyError])
    breaker = CircuitBreaker(5, recovery_timeout=60.0, ignore=KeyError, half_open_max_calls=1, success_threshold=1)
    orders = Pipeline("orders", breaker)
    for _ in range(5):
        orders.call_outcome(Scripted([ConnectionError("down")]))
    try:
        orders.call(int)
    except CircuitOpenError as refused:
        print("never sent; may be tried again in", round(refused.retry_after or 0), "s")
