"""The bus hands events to listeners, in order, and survives them."""

from typing import Any

import pytest

from seawall.core.clock import SYSTEM_CLOCK
from seawall.drive.virtual import VirtualClock
from seawall.events.bus import Bus
from seawall.events.types import CallFailed, CircuitClosed, RetryGaveUp

FAILED = (CallFailed, 1, 0.0, "n", "failure", "ValueError", 0.1)
CLOSED = (CircuitClosed, 2, 0.0, "n", "trials_succeeded", 3.0)


def test_a_listener_gets_named_tuples_in_the_order_of_publishing():
    bus = Bus()
    seen: list[Any] = []
    bus.listen(seen.append)
    bus.publish(FAILED)
    bus.publish(CLOSED)
    assert seen == [CallFailed(*FAILED[1:]), CircuitClosed(*CLOSED[1:])]
    assert [type(event) for event in seen] == [CallFailed, CircuitClosed]


def test_a_listener_of_some_kinds_gets_only_those():
    bus = Bus()
    seen: list[Any] = []
    bus.listen(seen.append, [CircuitClosed, RetryGaveUp])
    bus.publish(FAILED)
    bus.publish(CLOSED)
    assert [type(event) for event in seen] == [CircuitClosed]


def test_what_a_listener_raises_is_counted_and_the_others_still_hear():
    bus = Bus()
    seen: list[Any] = []

    def broken(event):
        raise RuntimeError("listener")

    bus.listen(broken)
    bus.listen(seen.append)
    bus.publish(FAILED)
    bus.publish(CLOSED)
    assert bus.listener_errors == 2
    assert len(seen) == 2


def test_an_interrupt_in_a_listener_is_not_swallowed():
    bus = Bus()

    def interrupted(event):
        raise KeyboardInterrupt

    bus.listen(interrupted)
    with pytest.raises(KeyboardInterrupt):
        bus.publish(FAILED)
    assert bus.listener_errors == 0


def test_a_cancelled_subscription_hears_nothing_more_however_often_it_is_cancelled():
    bus = Bus()
    seen: list[Any] = []
    subscription = bus.listen(seen.append)
    other = bus.listen(seen.append)
    subscription.cancel()
    subscription.cancel()
    bus.publish(FAILED)
    assert len(seen) == 1
    other.cancel()
    bus.publish(FAILED)
    assert len(seen) == 1


def test_a_listener_may_cancel_itself_and_add_others_while_it_listens():
    bus = Bus()
    seen: list[Any] = []

    def once(event):
        subscription.cancel()
        bus.listen(seen.append)

    subscription = bus.listen(once)
    bus.publish(FAILED)
    assert seen == []
    bus.publish(CLOSED)
    assert len(seen) == 1


def test_every_event_is_in_the_journal_with_the_wall_time_of_the_buss_clock():
    """R-PL4"""
    clock = VirtualClock(epoch=1000.0)
    bus = Bus(clock=clock)
    bus.publish(FAILED)
    clock.advance(2.0)
    bus.publish(CLOSED)
    assert [entry.wall for entry in bus.journal] == [1000.0, 1002.0]


def test_a_bus_made_outside_virtual_time_is_on_the_systems_clock():
    assert Bus().clock is SYSTEM_CLOCK
