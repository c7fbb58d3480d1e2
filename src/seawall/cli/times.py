"""Durations on the command line."""

from __future__ import annotations

from seawall.config.values import duration
from seawall.core.errors import ConfigurationError


def seconds_of(text: str, option: str) -> float:
    """Seconds from the command line: "30", "30s", "5min".

    Raises:
        ConfigurationError: naming the option and the value.
    """
    try:
        found = duration(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError:
        found = 0.0
    if found <= 0:
        raise ConfigurationError(f'{option} {text}: must be a duration above 0, such as 30 (seconds), "90s" or "5min".')
    return found
