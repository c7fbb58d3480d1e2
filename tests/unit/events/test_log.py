"""What goes to the logger "seawall"."""

import logging

from seawall.events.bus import Bus
from seawall.events.ids import long_id_of
from seawall.events.log import log_events
from seawall.events.types import CallRejected, CircuitClosed, RetryScheduled

CLOSED = (CircuitClosed, 1, 0.0, "db", "manual", 3.0)
RETRY = (RetryScheduled, 1, 0.0, "db", 1, 0.5, "503")


def test_a_transition_is_one_warning_and_a_retry_a_debug_line(caplog):
    """R-PL6"""
    bus = Bus()
    log_events(bus)
    with caplog.at_level(logging.DEBUG, "seawall"):
        bus.publish(CLOSED)
        bus.publish(RETRY)
        bus.publish((CallRejected, 1, 0.0, "db", "bulkhead", "full", None, {}))
    moved = long_id_of(CircuitClosed(*CLOSED[1:]), bus.journal.worker)[:8]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", f'Circuit "db" closed: reset by hand, after 3 s. (explain: seawall explain {moved})'),
        ("DEBUG", 'Attempt 1 of "db" failed (503); the next one starts in 0.5 s.'),
    ]


def test_a_level_nobody_wants_writes_nothing(caplog):
    """R-PL6"""
    bus = Bus()
    subscription = log_events(bus)
    with caplog.at_level(logging.ERROR, "seawall"):
        bus.publish(CLOSED)
        bus.publish(RETRY)
    assert caplog.records == []
    subscription.cancel()
