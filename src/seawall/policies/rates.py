"""What a rate limiter is told: rates as text, limits, algorithms, checked and turned into settings of machines."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from seawall.core.errors import ConfigurationError
from seawall.core.validate import number
from seawall.machines.shared import RateOptions, WindowOptions
from seawall.policies.queueing import DAY

if TYPE_CHECKING:
    from seawall.machines.waiting import Line

Algorithm = Literal["token_bucket", "gcra", "sliding_log", "sliding_counter", "fixed_window"]

BY_RATE = ("token_bucket", "gcra")
_UNITS = {"s": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hour": 3600.0, "d": DAY, "day": DAY}
_RATE = r"\s*(\d+(?:\.\d+)?)\s*(?:/|\bper\b)\s*(?:(\d+(?:\.\d+)?)\s*)?(s|min|h|d|(?:second|minute|hour|day)s?)\s*"


def parse_rate(text: str) -> tuple[float, float]:
    """(calls, seconds) of a rate such as "60/minute", "5/10s" or "5 per 10 seconds".

    Raises:
        ConfigurationError: naming the text and the form it must have.
    """
    found = re.fullmatch(_RATE, text) if isinstance(text, str) else None
    calls, many, unit = (found[1], found[2], found[3]) if found else ("0", "0", "s")
    period = float(many or 1) * _UNITS.get(unit, _UNITS.get(unit.removesuffix("s"), 1.0))
    if not 0 < float(calls) < math.inf or not 0 < period < math.inf:
        raise ConfigurationError(
            f'RateLimiter.rate = {text!r}: must be a number above 0, "/" or "per", and second, minute, hour, day or '
            'so many of them, such as "60/minute", "5/10s" or "5 per 10 seconds"'
        )
    return float(calls), period


class Limit(NamedTuple):
    """One of several limits of a `RateLimiter`.

    Args:
        rate: as in `RateLimiter`.
        burst: as there; None for the default.
        algorithm: as there; None for that of the limiter.
    """

    rate: str
    burst: float | None = None
    algorithm: Algorithm | None = None


def known(algorithm: str) -> None:
    """Refuse an algorithm that is none."""
    if algorithm not in get_args(Algorithm):
        names = ", ".join(get_args(Algorithm))
        raise ConfigurationError(f"RateLimiter.algorithm = {algorithm!r}: must be one of {names}")


@functools.cache
def machine_of(algorithm: str) -> Callable[..., Line]:
    """The machine of an algorithm; loaded when the first limiter that uses it is made."""
    if algorithm == "token_bucket":
        from seawall.machines.token_bucket import TokenBucket

        return TokenBucket
    if algorithm == "gcra":
        from seawall.machines.gcra import Gcra

        return Gcra
    if algorithm == "sliding_log":
        from seawall.machines.sliding_log import SlidingLog

        return SlidingLog
    if algorithm == "sliding_counter":
        from seawall.machines.sliding_counter import SlidingCounter

        return SlidingCounter
    from seawall.machines.fixed_window import FixedWindow

    return FixedWindow


def options_of(rate: str, burst: float | None, algorithm: str, max_wait: float) -> RateOptions | WindowOptions:
    """The settings of one machine."""
    calls, period = parse_rate(rate)
    if algorithm in BY_RATE:
        if burst is None:
            burst = max(1.0, calls / period)
        number("RateLimiter.burst", burst, least=1.0)
        return RateOptions(calls / period, float(burst), max_wait)
    if burst is not None:
        raise ConfigurationError(
            f'RateLimiter.burst = {burst!r}: has no meaning with algorithm = "{algorithm}", whose windows hold the '
            "number of the rate; leave it out"
        )
    if calls < 1:
        raise ConfigurationError(
            f'RateLimiter.rate = {rate!r}: must allow at least 1 call in a window with algorithm = "{algorithm}"; '
            'give a longer time, such as "1/2s" for "0.5/second"'
        )
    return WindowOptions(calls, period, max_wait)


def capacity(parts: list[tuple[str, str, RateOptions | WindowOptions]]) -> float:
    """The largest cost that all of the limits can pay."""
    return min(options.burst if isinstance(options, RateOptions) else options.limit for _, _, options in parts)


def recovery_time(options: RateOptions | WindowOptions) -> float:
    """Seconds in which a spent limit is as good as new."""
    return options.burst / options.rate if isinstance(options, RateOptions) else 2 * options.window
