"""Circuit breakers for five tasks; each function is one of them."""

import asyncio
from collections.abc import Callable

from seawall import CircuitBreaker, CircuitOpenError, FailureCount, FailureRate, Pipeline, SlowRate


def choose_rules() -> Pipeline:
    return Pipeline(
        "catalogue",
        CircuitBreaker(
            trip=[
                FailureCount(5, window=60.0),  # little traffic: 5 failures in a minute
                FailureRate(0.5, window=30.0, min_calls=20),  # much traffic: every other of at least 20 calls
                SlowRate(0.8, slower_than=2.0, min_calls=20),  # it answers, but nobody waits that long
            ],
            recovery_timeout=30.0,
        ),
    )


def long_outages() -> Pipeline:
    return Pipeline(
        "warehouse",
        CircuitBreaker(
            5,
            recovery_timeout=10.0,
            growth=2.0,  # 10, 20, 40, 80, 120, 120 … seconds
            max_recovery_timeout=120.0,
            recovery_jitter=0.1,  # a tenth more or less, so that workers do not try in step
            half_open="rate",
            half_open_trials=10,  # it always fails a little: judge ten trials together
            half_open_failure_rate=0.3,
            ramp=60.0,  # a tenth of the calls at first, all of them after a minute
        ),
    )


def each_host(fetch: Callable[[str, str], str]) -> Callable[[str, str], str]:
    hosts = Pipeline("hosts", CircuitBreaker(5, key="host", max_keys=500, public_keys=True))
    return hosts(fetch)


def without_traffic(ping: Callable[[], bool]) -> CircuitBreaker:
    return CircuitBreaker(5, recovery_timeout=10.0, success_threshold=1, probe=ping, probe_timeout=2.0)


def try_a_rule_out() -> Pipeline:
    return Pipeline("search", CircuitBreaker(trip=[FailureRate(0.1)], shadow=True))


def cannot_be_wrapped(breaker: CircuitBreaker, send: Callable[[], None]) -> str:
    try:
        permit = breaker.allow()
    except CircuitOpenError as refusal:
        return f"not sent, again in {refusal.retry_after:.0f} s"
    with permit:
        send()
    return "sent"


class Consumer:
    """A client library calls these methods, and there is no one call to wrap."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.breaker = breaker

    def on_request(self) -> None:
        self.permit = self.breaker.allow()

    def on_answer(self) -> None:
        self.breaker.record_success(self.permit)

    def on_error(self, error: Exception) -> None:
        self.breaker.record_failure(self.permit, error)


async def by_callbacks() -> None:
    breaker = CircuitBreaker(1, name="feed")
    consumer = Consumer(breaker)
    consumer.on_request()
    await asyncio.sleep(0)
    consumer.on_error(ConnectionError("gone"))
    print(breaker.name, "is", breaker.state)


if __name__ == "__main__":
    print(choose_rules().explain().splitlines()[1].strip())
    print(long_outages().policies[0].snapshot().details["options"]["growth"])

    def fetch(host: str, path: str) -> str:
        if host == "down.example":
            raise ConnectionError
        return path

    guarded = each_host(fetch)
    for _ in range(5):
        try:
            guarded("down.example", "/")
        except ConnectionError:
            pass
    print(guarded("up.example", "/still/served"))
    print(cannot_be_wrapped(CircuitBreaker(1), lambda: None))
    asyncio.run(by_callbacks())
