"""What all adapters share: the missing extra, the warning about other retries, waits cut to what remains."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from seawall.core.context import remaining
from seawall.core.errors import ConfigurationError

if TYPE_CHECKING:
    from seawall.core.verdict import Verdict

LEAST = 0.001  # seconds: several libraries take 0 for "no limit" or "do not block"


class SeawallWarning(UserWarning):
    """Something works, and not as well as it looks: two retries inside one another, a wait that cannot be cut short."""


def missing(extra: str, error: ImportError) -> ConfigurationError:
    """The error for an adapter whose library is not installed; names the extra."""
    return ConfigurationError(
        f'seawall.integrations.{extra} needs a library that is not installed ({error}): pip install "seawall[{extra}]"'
    )


def warn(text: str) -> None:
    """Warn at the line of the program that made the adapter."""
    warnings.warn(text, SeawallWarning, stacklevel=3)


def clamped(limit: float | None) -> float | None:
    """The smaller of `limit` and what remains of the ambient deadline; seconds, never 0; None if neither bounds."""
    left = remaining()
    if left is None:
        return limit
    return max(LEAST, left) if limit is None else max(LEAST, min(limit, left))


def judged(error: Exception, verdict: Verdict | None, *, unsent: bool = False) -> None:
    """Leave on an error what only its adapter knows: the verdict, and whether anything was sent."""
    if verdict is not None:
        error.__seawall_verdict__ = verdict  # type: ignore[attr-defined]
    if unsent:
        error.__seawall_unsent__ = True  # type: ignore[attr-defined]


def time_is_up() -> bool:
    """True once the ambient deadline has come; a socket's timer may be a tick early."""
    left = remaining()
    return left is not None and left <= LEAST
