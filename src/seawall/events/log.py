"""One WARNING per transition, retries at DEBUG, through stdlib logging; no arguments of calls, ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.events.types import TRANSITIONS, RetryGaveUp, RetryScheduled
from seawall.events.words import describe

if TYPE_CHECKING:
    from seawall.events.bus import Bus, Subscription


def log_events(bus: Bus) -> Subscription:
    """Write the events of `bus` to the logger "seawall": transitions as WARNING, retries and giving up as DEBUG.

    The final failure of a call is not logged here: it is raised to the caller, who logs it once.
    """
    return bus.listen(_write, (*TRANSITIONS, RetryScheduled, RetryGaveUp))


def _write(event: Any) -> None:
    """Log one event."""
    import logging  # late: `import seawall` must not load it

    level = logging.WARNING if type(event) in TRANSITIONS else logging.DEBUG
    logger = logging.getLogger("seawall")
    if logger.isEnabledFor(level):
        logger.log(level, "%s", describe(event))
