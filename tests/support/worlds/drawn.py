"""Pipelines as the dice have it: data from which the same world can be built any number of times.

Windows, bursts and queues are small, so that their borders are met often.
"""

from typing import Any, NamedTuple

from seawall import ConsecutiveFailures, FailureCount, FailureRate, Limit, SlowRate
from seawall.backoff import Backoff, Constant, Exponential

RATES = {"5/second": 0.2, "20/second": 0.05, "100/second": 0.01, "10/2s": 0.2, "3/second": 1 / 3, "4/s": 0.25}
ORDER = ("Fallback", "Deadline", "Retry", "CircuitBreaker", "RateLimiter", "Bulkhead", "Timeout")


class Spec(NamedTuple):
    """A policy: its class by name, what it is made with, and whether it is the one of the first pipeline."""

    kind: str
    given: tuple[Any, ...] = ()
    options: dict[str, Any] = {}  # noqa: RUF012 - read only
    shared: bool = False

    def __repr__(self):
        words = [repr(one) for one in self.given] + [f"{key}={value!r}" for key, value in self.options.items()]
        return f"{'the same ' if self.shared else ''}{self.kind}({', '.join(words)})"


class PipelineSpec(NamedTuple):
    """A pipeline: policies, whether it has a rule of its own, and what runs in shadow."""

    policies: list[Spec]
    classify: str
    shadow: list[Spec]


def draw_pipelines(dice, mode):
    """One or two pipelines, and the moments and durations at which something happens in them."""
    borders: list[float] = [0.001, 0.1, 1.0]
    pipelines = [_pipeline(dice, mode, borders)]
    if dice.random() < 0.35:
        second = _pipeline(dice, mode, borders)
        first = {spec.kind: spec for spec in pipelines[0].policies}
        for at, spec in enumerate(second.policies):
            if spec.kind in first and dice.random() < 0.5:
                second.policies[at] = first[spec.kind]._replace(shared=True)
        pipelines.append(second)
    return pipelines, borders


def _pipeline(dice, mode, borders):
    chances = {"Fallback": 0.15, "Deadline": 0.25, "Retry": 0.55, "CircuitBreaker": 0.75, "RateLimiter": 0.6,
               "Bulkhead": 0.6, "Timeout": 0.25}  # fmt: skip
    kinds = [kind for kind in ORDER if dice.random() < chances[kind]] or [dice.choice(ORDER[2:6])]
    keyed = dice.random() < 0.08
    policies = [_DRAW[kind](dice, mode, borders, keyed) for kind in kinds]
    classify = dice.choice(["odd", "raises"]) if dice.random() < 0.1 else ""
    shadow = []
    if dice.random() < 0.06:
        shadow = [_DRAW[dice.choice(("CircuitBreaker", "RateLimiter"))](dice, mode, borders, False)]
    return PipelineSpec(policies, classify, shadow)


def _fallback(dice, mode, borders, keyed):
    options = {"cooldown": dice.choice([0.0, 1.0])}
    if dice.random() < 0.2:
        options["on"] = ConnectionError
    return Spec("Fallback", dice.choice([("instead",), ("gives",), ("fails", "instead")]), options)


def _deadline(dice, mode, borders, keyed):
    limit = dice.choice([0.25, 1.0, 5.0])
    borders.append(limit)
    return Spec("Deadline", (limit,))


def _retry(dice, mode, borders, keyed):
    pause = dice.choice([0.0, 0.05, 0.25])
    jitter = dice.choice(["none", "full"])
    backoff: Backoff = Constant(base=pause, jitter=jitter)
    if pause and dice.random() < 0.3:
        backoff = Exponential(base=pause, cap=1.0, jitter=jitter)
    options = {"backoff": backoff, "budget": dice.choice(["own", "own", None, "joint"])}
    _maybe(dice, options, 0.2, "retryable", [ConnectionError, "transient", "network"])
    _maybe(dice, options, 0.15, "idempotent", [False, "key"])
    _maybe(dice, options, 0.1, "max_time", [0.1, 0.5])
    _maybe(dice, options, 0.2, "retry_after_cap", [0.0, 0.1])
    _maybe(dice, options, 0.1, "nested", [True])
    return Spec("Retry", (dice.choice([1, 2, 3, 3, 4]),), options)


def _rule(dice, borders):
    size = dice.choice([3, 4, 6])
    rate = dice.choice([0.25, 1 / 3, 0.5, 1.0])
    window = {"window": dice.choice([0.5, 1.0, 2.0]), "tumbling": dice.random() < 0.2}
    if dice.random() < 0.5:
        window = {"calls": size + dice.choice([0, 2])}
    borders.append(window.get("window", 0.1) / 10)
    kind = dice.randrange(4)
    if kind == 0:
        return ConsecutiveFailures(dice.choice([1, 2, 3]))
    if kind == 1:
        return FailureCount(dice.choice([1, 2, 3]), window=dice.choice([0.5, 1.0]))
    if kind == 2:
        return FailureRate(rate, min_calls=size, **window)
    slow = dice.choice([0.1, 0.25])
    borders += [slow, slow + 0.01]
    return SlowRate(rate, slower_than=slow, min_calls=size, **window)


def _breaker(dice, mode, borders, keyed):
    recovery = dice.choice([0.0, 0.2, 1.0])
    options: dict[str, Any] = {
        "trip": [_rule(dice, borders) for _ in range(dice.choice([1, 1, 1, 2]))],
        "recovery_timeout": recovery,
        "half_open_max_calls": dice.choice([1, 2, 3]),
        "success_threshold": dice.choice([1, 2]),
    }
    borders.append(recovery)
    if dice.random() < 0.15:
        options |= {"half_open": "rate", "half_open_trials": dice.choice([2, 3])}
    _maybe(dice, options, 0.15, "growth", [2.0])
    _maybe(dice, options, 0.15, "recovery_jitter", [0.3])
    _maybe(dice, options, 0.15, "ramp", [0.5])
    _maybe(dice, options, 0.1, "max_half_open", [0.3])
    _maybe(dice, options, 0.15, "lease", [0.1, 1.0])
    _maybe(dice, options, 0.1, "ignore", [ValueError])
    _maybe(dice, options, 0.1, "record", [ConnectionError])
    _maybe(dice, options, 0.05, "shadow", [True])
    if keyed:
        options |= {"key": dice.choice(["key", "rule"]), "max_keys": 2}
    return Spec("CircuitBreaker", (), options)


def _limiter(dice, mode, borders, keyed):
    algorithm = dice.choice(["token_bucket", "gcra", "fixed_window", "sliding_log", "sliding_counter"])
    rate = dice.choice(list(RATES))
    borders += [RATES[rate], RATES[rate] * dice.randrange(1, 6)]
    options: dict[str, Any] = {"algorithm": algorithm}
    if algorithm in {"token_bucket", "gcra"}:
        options["burst"] = dice.choice([2, 3, 8, 20])
    _maybe(dice, options, 0.35, "max_wait", [0.06, 0.5, 2.0])
    if dice.random() < 0.1:
        options["cost"] = dice.choice([2.0, "rule"])
    _maybe(dice, options, 0.05, "shadow", [True])
    if keyed:
        options |= {"key": dice.choice(["key", "rule"]), "max_keys": 2, "key_ttl": 3600.0}
    given: Any = rate
    if dice.random() < 0.1:
        options.pop("burst", None)
        given = [rate, Limit("40/10s", algorithm="sliding_log")]
    return Spec("RateLimiter", (given,), options)


def _bulkhead(dice, mode, borders, keyed):
    options: dict[str, Any] = {}
    if dice.random() < 0.5:
        options = {"queue": dice.choice([1, 2, 5]), "max_wait": dice.choice([0.1, 0.5, 2.0])}
        options["order"] = dice.choice(["fifo", "fifo", "lifo", "adaptive"])
        options["refuse_early"] = dice.random() < 0.2
    _maybe(dice, options, 0.05, "shadow", [True])
    if keyed:
        options |= {"key": dice.choice(["key", "rule"]), "max_keys": 2}
    return Spec("Bulkhead", (dice.choice([1, 2, 3, 3]),), options)


def _timeout(dice, mode, borders, keyed):
    limit = dice.choice([0.1, 0.25, 1.0])
    borders.append(limit)
    options = {"mode": "cooperative", "share": dice.random() < 0.2}
    if mode == "calls" and dice.random() < 0.1:
        options["mode"] = "thread"
    return Spec("Timeout", (limit,), options)


def _maybe(dice, options, chance, name, values):
    """Sometimes an option."""
    if dice.random() < chance:
        options[name] = dice.choice(values)


_DRAW = {"Fallback": _fallback, "Deadline": _deadline, "Retry": _retry, "CircuitBreaker": _breaker,
         "RateLimiter": _limiter, "Bulkhead": _bulkhead, "Timeout": _timeout}  # fmt: skip
