"""Checks of a circuit breaker's settings: each refusal names the place, the value and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError
from seawall.core.validate import duration, function, number, whole

if TYPE_CHECKING:
    from seawall.machines.breaker_options import HalfOpen
    from seawall.machines.trip import TripRule

_PLACE = "CircuitBreaker"


def trip_rules(failure_threshold: int | None, trip: object) -> Sequence[TripRule]:
    """The rules from the two ways to give them.

    Raises:
        ConfigurationError: if both are given, or what is given is no rule.
    """
    from seawall.machines.breaker_options import USUAL  # late, as both: nothing but a circuit breaker needs them
    from seawall.machines.trip import ConsecutiveFailures

    if failure_threshold is not None and trip is not None:
        raise ConfigurationError(
            "CircuitBreaker: failure_threshold and trip are two ways to say one thing; "
            "add ConsecutiveFailures(n) to trip instead"
        )
    if failure_threshold is not None:
        whole(f"{_PLACE}.failure_threshold", failure_threshold, 1)
        return (ConsecutiveFailures(failure_threshold),)
    if trip is None:
        return USUAL.trip
    if not isinstance(trip, Sequence) or isinstance(trip, str):
        raise ConfigurationError(f"{_PLACE}.trip = {trip!r}: must be a list of rules, such as [FailureRate()]")
    if not trip:
        raise ConfigurationError(f"{_PLACE}.trip = []: without a rule the circuit could never open; add one")
    for rule in trip:
        if not callable(getattr(rule, "tracker", None)):
            raise ConfigurationError(f"{_PLACE}.trip: {rule!r} is no rule; use one such as ConsecutiveFailures(5)")
    return tuple(trip)


def open_options(
    recovery_timeout: float,
    growth: float,
    max_recovery_timeout: float | None,
    recovery_jitter: float,
    max_open: float | None,
) -> dict[str, float]:
    """How long the circuit stays open, checked.

    Raises:
        ConfigurationError: if a value is out of its range, or two do not fit together.
    """
    duration(f"{_PLACE}.recovery_timeout", recovery_timeout, zero=True)
    number(f"{_PLACE}.growth", growth, least=1.0)
    number(f"{_PLACE}.recovery_jitter", recovery_jitter, most=1.0)
    for name, ceiling in (("max_recovery_timeout", max_recovery_timeout), ("max_open", max_open)):
        if ceiling is None:
            continue
        duration(f"{_PLACE}.{name}", ceiling)
        if ceiling < recovery_timeout:
            raise ConfigurationError(
                f"{_PLACE}.{name} = {ceiling!r}: is below recovery_timeout = {recovery_timeout!r} and would never have "
                f"an effect; use {name} >= {recovery_timeout:g}"
            )
    if max_recovery_timeout is not None and growth == 1.0:
        raise ConfigurationError(
            f"{_PLACE}.max_recovery_timeout = {max_recovery_timeout!r}: has no meaning with growth = 1, where the "
            "period never grows; set growth above 1, or leave it out"
        )
    return {
        "recovery_timeout": float(recovery_timeout),
        "growth": float(growth),
        "max_recovery_timeout": float(
            max(120.0, recovery_timeout) if max_recovery_timeout is None else max_recovery_timeout
        ),
        "recovery_jitter": float(recovery_jitter),
        "max_open": float(max(300.0, recovery_timeout) if max_open is None else max_open),
    }


def half_open_options(
    half_open: HalfOpen,
    half_open_max_calls: int,
    success_threshold: int,
    trials: int | None,
    rate: float | None,
    early: bool,
    max_half_open: float | None,
    ramp: float,
) -> dict[str, Any]:
    """How the circuit finds its way back, checked.

    Raises:
        ConfigurationError: if a value is out of its range, or two do not fit together.
    """
    whole(f"{_PLACE}.half_open_max_calls", half_open_max_calls, 1)
    whole(f"{_PLACE}.success_threshold", success_threshold, 1)
    if half_open not in {"consecutive", "rate"}:
        raise ConfigurationError(f'{_PLACE}.half_open = {half_open!r}: must be "consecutive" or "rate"')
    for name, value in (("half_open_trials", trials), ("half_open_failure_rate", rate)):
        if value is not None and half_open != "rate":
            raise ConfigurationError(
                f'{_PLACE}.{name} = {value!r}: has no meaning with half_open = "consecutive"; set half_open="rate", or '
                "leave it out"
            )
    if not early and half_open != "rate":
        raise ConfigurationError(
            f'{_PLACE}.half_open_early = False: has no meaning with half_open = "consecutive"; '
            'set half_open="rate", or leave it out'
        )
    if trials is not None:
        whole(f"{_PLACE}.half_open_trials", trials, 1)
    if rate is not None:
        number(f"{_PLACE}.half_open_failure_rate", rate, above=True, most=1.0)
    if max_half_open is not None:
        duration(f"{_PLACE}.max_half_open", max_half_open)
    duration(f"{_PLACE}.ramp", ramp, zero=True)
    return {
        "half_open": half_open,
        "half_open_max_calls": half_open_max_calls,
        "success_threshold": success_threshold,
        "half_open_trials": 10 if trials is None else trials,
        "half_open_failure_rate": 0.5 if rate is None else float(rate),
        "half_open_early": early,
        "max_half_open": None if max_half_open is None else float(max_half_open),
        "ramp": float(ramp),
    }


def check_keys(key: object, max_keys: int, key_ttl: float) -> None:
    """Refuse settings of keys that cannot work.

    Raises:
        ConfigurationError: if a value is out of its range.
    """
    if key is not None and not callable(key) and not (isinstance(key, str) and key.isidentifier()):
        raise ConfigurationError(
            f"{_PLACE}.key = {key!r}: must be the name of an argument of the protected function, or a function of its "
            'arguments, such as key="host"'
        )
    whole(f"{_PLACE}.max_keys", max_keys, 1)
    duration(f"{_PLACE}.key_ttl", key_ttl)


def check_probe(probe: object, probe_timeout: float | None, key: object, recovery_timeout: float) -> None:
    """Refuse a probe that cannot work.

    Raises:
        ConfigurationError: if a value is out of its range, or does not fit the others.
    """
    if probe_timeout is not None:
        duration(f"{_PLACE}.probe_timeout", probe_timeout)
    if probe is None:
        if probe_timeout is not None:
            raise ConfigurationError(
                f"{_PLACE}.probe_timeout = {probe_timeout!r}: there is no probe to time; give probe, or leave it out"
            )
        return
    function(f"{_PLACE}.probe", probe)
    if key is not None:
        raise ConfigurationError(
            f"{_PLACE}.probe = {probe!r}: cannot stand with key = {key!r}, as it would not know which one to try; "
            "use a breaker for each dependency, or leave the probe out"
        )
    if recovery_timeout == 0:
        raise ConfigurationError(
            f"{_PLACE}.probe = {probe!r}: there is no time to wait with recovery_timeout = 0; set it above 0"
        )
