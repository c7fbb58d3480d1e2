"""The journal keeps the last of everything, in bounded memory."""

import json

import pytest

from seawall.events.journal import Entry, Journal, entry_from_json
from seawall.events.types import EVENTS, CallFailed, CallRejected, CircuitClosed, inflate


def failed(number, name="n"):
    return (CallFailed, number, float(number), name, "failure", "ValueError", 0.1)


def test_the_oldest_entries_give_way_and_all_are_counted():
    """R-PL4"""
    journal = Journal(capacity=3)
    for number in range(10):
        journal.append(float(number), failed(number))
    assert [entry.event.number for entry in journal] == [7, 8, 9]
    assert len(journal) == 3
    assert journal.appended == 10


def test_entries_are_found_by_name_and_by_time():
    """R-PL4"""
    journal = Journal()
    for number in range(6):
        journal.append(float(number), failed(number, "even" if number % 2 == 0 else "odd"))
    assert [entry.event.number for entry in journal.entries(name="odd")] == [1, 3, 5]
    assert [entry.event.number for entry in journal.entries(since=3.0)] == [4, 5]
    assert [entry.event.number for entry in journal.entries(name="even", since=1.0)] == [2, 4]


@pytest.mark.parametrize("limit, found", [(None, 4), (2, 2), (1, 1), (0, 0), (9, 4)])
def test_a_limit_keeps_the_last_entries_and_a_limit_of_none_keeps_none(limit, found):
    journal = Journal()
    for number in range(4):
        journal.append(0.5, failed(number))
    entries = journal.entries(limit=limit)
    assert [entry.event.number for entry in entries] == list(range(4))[4 - found :]


def test_successes_are_counted_by_the_second_and_only_for_so_many_seconds():
    """R-PL4"""
    journal = Journal(seconds=2)
    for wall in (1.0, 1.9, 2.0, 5.5, 5.6, 5.7):
        journal.count_success(wall)
    assert journal.successes() == [(2, 1), (5, 3)]


def test_an_entry_survives_json_and_takes_the_program_it_came_from():
    event = CallRejected(4, 1.5, "n", "bulkhead", "full", None, {"limit": 2})
    entry = Entry(100.0, "", event)
    data = json.loads(json.dumps(entry.as_json()))
    assert entry_from_json(data) == entry
    assert entry_from_json(data, "worker-1") == Entry(100.0, "worker-1", event)


def test_a_reported_entry_is_kept_with_its_source():
    journal = Journal()
    entry = Entry(100.0, "worker-1", CallFailed(*failed(1)[1:]))
    journal.add_entry(entry)
    assert journal.entries() == [entry]


def test_an_unknown_event_is_refused_with_the_list_of_known_ones():
    with pytest.raises(ValueError, match=r"unknown event 'CircuitExploded': known are CallFailed, CallRejected"):
        entry_from_json({"event": "CircuitExploded"})


def test_an_event_without_one_of_its_fields_is_refused_by_the_fields_name():
    with pytest.raises(ValueError, match="CallFailed lacks the field 'cause'"):
        entry_from_json({"event": "CallFailed", "number": 1, "at": 0.0, "name": "n", "verdict": "failure"})


def test_every_kind_of_event_begins_with_number_moment_and_name():
    for kind in EVENTS.values():
        assert kind._fields[:3] == ("number", "at", "name"), kind


def test_a_raw_event_becomes_its_named_tuple():
    assert inflate(failed(3)) == CallFailed(3, 3.0, "n", "failure", "ValueError", 0.1)


def test_a_flood_of_refusals_washes_neither_failures_nor_transitions_away():
    """R-PL4"""
    journal = Journal(capacity=3)
    journal.append(1.0, failed(1))
    journal.append(2.0, (CircuitClosed, 1, 0.0, "n", "manual", 1.0))
    for number in range(10):
        journal.append(10.0 + number, (CallRejected, number, 0.0, "n", "bulkhead", "full", None, {}))
    assert [type(entry.event).__name__ for entry in journal] == ["CallFailed", "CircuitClosed", *["CallRejected"] * 3]
    assert dict(journal.fallen) == {"CallRejected": 7}
    assert journal.fallen_until == 16.0


def test_what_came_after_a_look_is_found_whatever_has_given_way():
    """R-PL4"""
    journal = Journal(capacity=2)
    journal.append(1.0, (CircuitClosed, 1, 0.0, "n", "manual", 1.0))
    seen = journal.appended
    for number in range(5):
        journal.append(2.0, failed(number))
    assert [entry.event.number for entry in journal.entries(after=seen)] == [3, 4]


class Refusing:
    """What gives the events of refusals, in place of a circuit."""

    def event(self, number, at):
        return (CallRejected, number, at, "n", "circuit_breaker", "open", None, {})


def lot(*numbers):
    return [(number, number / 10, Refusing()) for number in numbers]


def test_refusals_that_come_in_lots_stand_in_their_places_with_their_wall_times():
    """R-PL4"""
    journal = Journal()
    journal.append(100.0, failed(1))
    journal.append_refusals(lot(2, 3, 4), epoch=100.0)
    seen = journal.appended
    journal.append(101.0, failed(5))
    assert [entry.event.number for entry in journal] == [1, 2, 3, 4, 5]
    assert [entry.wall for entry in journal.entries(since=100.0)] == [100.2, 100.3, 100.4, 101.0]
    assert [entry.event.number for entry in journal.entries(after=seen)] == [5]
    assert {entry.worker for entry in journal} == {journal.worker}
    assert len(journal) == journal.appended == 5


@pytest.mark.parametrize("sizes", [[1] * 9, [2, 3, 4], [9], [4, 5]])
def test_of_refusals_in_lots_no_more_are_kept_than_there_is_room_for_and_the_rest_is_counted(sizes):
    """R-PL4"""
    journal, number = Journal(capacity=5), 0
    for size in sizes:
        journal.append_refusals(lot(*range(number, number + size)), epoch=100.0)
        number += size
    kept = [entry.event.number for entry in journal]
    assert kept == list(range(number - len(kept), number))
    assert 0 < len(kept) <= 5
    assert len(kept) + journal.fallen["CallRejected"] == number
    assert journal.fallen_until == pytest.approx(100.0 + (number - len(kept) - 1) / 10)
    assert journal.appended == number
