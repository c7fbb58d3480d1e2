"""Checks of options at construction: each refusal names the place, the value and the rule."""

from __future__ import annotations

import math

from seawall.core.errors import ConfigurationError


def text(where: str, value: object) -> None:
    """Refuse what is not a text with something in it.

    Raises:
        ConfigurationError: naming the place, the value and the rule.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(f"{where} = {value!r}: must be a text that is not empty")


def whole(where: str, value: object, least: int) -> None:
    """Refuse what is not a whole number of at least `least`.

    Raises:
        ConfigurationError: naming the place, the value and the rule.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{where} = {value!r}: must be a whole number, at least {least}")


def number(where: str, value: object, *, least: float = 0.0, above: bool = False, most: float = math.inf) -> None:
    """Refuse what is not a finite number from `least` (or above it) to `most`.

    Raises:
        ConfigurationError: naming the place, the value and the rule.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not isinstance(value, int | float) or value < least or (above and value == least) or value > most:
        upper = "" if math.isinf(most) else f" and at most {most:g}"
        raise ConfigurationError(
            f"{where} = {value!r}: must be a finite number {'above' if above else 'of at least'} {least:g}{upper}"
        )


def duration(where: str, value: object, *, zero: bool = False) -> None:
    """Refuse what is not a finite number of seconds above 0 (or from 0 on).

    Raises:
        ConfigurationError: naming the place, the value and the rule.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not isinstance(value, int | float) or value < 0 or (value == 0 and not zero):
        raise ConfigurationError(
            f"{where} = {value!r}: must be a number of seconds, {'at least' if zero else 'above'} 0"
        )


def error_types(where: str, value: object, *, or_function: bool = False) -> None:
    """Refuse what is not an exception type or a tuple of them (or, if that may be, a function).

    `isinstance` and `except` would refuse it too, but only when the first error comes, in place of that error.

    Raises:
        ConfigurationError: naming the place, the value and the rule.
    """
    if or_function and callable(value) and not isinstance(value, type):
        return
    for kind in value if isinstance(value, tuple) else (value,):
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            function_ = " or a function of the error" if or_function else ""
            raise ConfigurationError(
                f"{where} = {value!r}: {kind!r} is no exception type; give one, a tuple of them{function_}"
            )


def function(where: str, value: object) -> None:
    """Refuse what cannot be called.

    Raises:
        ConfigurationError: naming the place, the value and the rule.
    """
    if not callable(value):
        raise ConfigurationError(f"{where} = {value!r}: must be a function")
