"""One WARNING per transition, through stdlib logging; no arguments of calls, ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.events.ids import hint, long_id_of
from seawall.events.types import TRANSITIONS, RetryGaveUp, RetryScheduled
from seawall.events.words import describe

if TYPE_CHECKING:
    from seawall.events.bus import Bus, Subscription


def log_events(bus: Bus) -> Subscription:
    """Write the events of `bus` to the logger "seawall".

    Transitions are a WARNING each, with the id that `seawall explain` takes. A call whose retry gave up is one INFO,
    and what it tried meanwhile is DEBUG: the error itself is raised to the caller, who knows how bad it is.
    """

    def write(event: Any) -> None:
        """Log one event."""
        import logging  # late: loaded when the first policy was made

        final = type(event) is RetryGaveUp and event.reason != "nested"  # then the retry inside has said it
        level = logging.WARNING if type(event) in TRANSITIONS else logging.INFO if final else logging.DEBUG
        logger = logging.getLogger("seawall")
        if logger.isEnabledFor(level):
            logger.log(level, "%s%s", describe(event), hint(long_id_of(event, bus.journal.worker)))

    return bus.listen(write, (*TRANSITIONS, RetryScheduled, RetryGaveUp))
