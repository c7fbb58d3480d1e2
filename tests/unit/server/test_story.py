"""What the page says: rows, causes with their effects, what works, what is done."""

from __future__ import annotations

import pytest

from seawall.core.snapshot import PolicySnapshot, Snapshot
from seawall.health.base import CheckResult
from seawall.health.history import Minute
from seawall.health.monitor import CheckState
from seawall.machines.health import Status
from seawall.server.history import Track, Tracks, share_digit
from seawall.server.view.moments import Moments
from seawall.server.view.rows import Sources, build_rows, row_json
from seawall.server.view.story import Event, tell
from tests.support.ops import ProcessState, ProgramState, circuit, durations, pipeline

NOW = 1_700_000_000.0


def check(name, status=Status.HEALTHY, reason="", since=NOW - 10, dependency="", kind="http", critical=False):
    last = CheckResult(name, status, 3.0, {}, reason)
    history = (Minute(NOW // 60 * 60, 6, 3, 4.0),)
    return CheckState(
        name,
        kind,
        dependency or name,
        critical,
        10.0,
        status,
        since,
        reason,
        last,
        1.0,
        0,
        6,
        3,
        0.5,
        history,
        durations(6),
    )


def view(*, checks=(), processes=(), programs=(), policies=(), pipelines=(), before=(), changes=(), well_since=None):
    tracks = Tracks()
    if before:
        tracks.observe(Snapshot(NOW - 30, tuple(before[1]), tuple(before[0])), NOW - 30)
    snapshot = Snapshot(NOW, tuple(pipelines), tuple(policies))
    tracks.observe(snapshot, NOW)
    sources = Sources(NOW, snapshot, checks, processes, programs, tracks)
    rows = build_rows(sources)
    return [row_json(row, NOW) for row in rows], tell(rows, sources, changes, well_since)


def test_all_is_well_in_one_line():
    rows, story = view(
        checks=[check("disk", kind="disk")], processes=[ProcessState("payments")], policies=[circuit("payments")]
    )
    assert story["headline"] == "All is well: 2 dependencies, 1 check, 1 process."
    assert (story["level"], story["broken"], story["doing"], story["since"]) == (0, [], [], None)
    assert [(row["id"], row["shape"], row["word"]) for row in rows] == [
        ("disk", "disc", "healthy"),
        ("payments", "disc", "closed"),
    ]


def test_nothing_watched_is_said_so():
    assert view()[1]["headline"].startswith("Nothing is watched yet")


def test_everything_of_one_name_is_one_row_and_the_process_is_the_likely_cause():
    rows, story = view(
        processes=[ProcessState("payments", None, "backing-off", NOW - 4, 2, 3.0, "killed by SIGKILL")],
        checks=[check("payments-http", Status.UNHEALTHY, "connection refused", NOW - 3, "payments")],
        policies=[circuit("payments", "open", retry_after=12.0, reason="5 calls in a row failed", since=NOW - 2)],
    )
    (row,) = rows
    assert (row["id"], row["level"], row["word"], row["reason"]) == ("payments", 2, "down", "killed by SIGKILL")
    assert row["since"] == NOW - 4
    assert row["next"] == {"text": "next start", "at": NOW + 3.0}
    assert [part["kind"] for part in row["parts"]] == ["process", "check", "circuit"]
    assert story["headline"] == "payments is down: killed by SIGKILL."
    (cause,) = story["broken"]
    assert cause["signs"] == ["check payments-http unhealthy", "circuit open"]
    assert [(line["text"], line["at"]) for line in story["doing"]] == [
        ("Restarts payments", NOW + 3.0),
        ("Refuses calls to payments at once, so nobody waits for it; next trial call", NOW + 12.0),
    ]


def test_why_a_process_ended_stays_the_cause_while_it_comes_back():
    rows, story = view(
        processes=[ProcessState("payments", 77, "starting", NOW - 1, 1, None, "killed by SIGKILL")],
        policies=[circuit("payments", "open", retry_after=2.0, reason="5 calls in a row failed", since=NOW - 5)],
    )
    assert story["headline"] == "payments is starting again, after it ended: killed by SIGKILL."
    assert (rows[0]["level"], rows[0]["word"], rows[0]["since"]) == (2, "starting", NOW - 5)


def test_what_a_broken_thing_breaks_is_folded_under_it():
    orders = ProgramState("orders", snapshot=Snapshot(NOW, (), (circuit("payments", "open"),)))
    _, story = view(
        processes=[ProcessState("orders", since=NOW - 900), ProcessState("payments", None, "backing-off", NOW - 60)],
        checks=[
            check("orders", Status.DEGRADED, "slow", NOW - 40),
            check("disk", Status.CRITICAL, "3 % free", NOW - 500, kind="disk"),
        ],
        policies=[circuit("payments", "open", since=NOW - 55)],
        programs=[orders],
    )
    assert [(cause["id"], cause["effects"]) for cause in story["broken"]] == [("disk", []), ("payments", [])]
    # orders is only degraded: it is folded when it is broken
    _, story = view(
        processes=[ProcessState("payments", None, "backing-off", NOW - 60)],
        checks=[check("orders", Status.UNHEALTHY, "answered 503", NOW - 40)],
        policies=[circuit("payments", "open", since=NOW - 55)],
        programs=[orders],
    )
    (cause,) = story["broken"]
    assert cause["effects"] == [{"id": "orders", "text": "orders is unhealthy: answered 503."}]


def test_what_was_broken_earlier_is_no_effect_of_what_broke_later():
    orders = ProgramState("orders", snapshot=Snapshot(NOW, (), (circuit("payments", "open"),)))
    _, story = view(
        checks=[check("orders", Status.UNHEALTHY, "answered 503", NOW - 400)],
        policies=[circuit("payments", "open", since=NOW - 55)],
        programs=[orders],
    )
    assert [cause["id"] for cause in story["broken"]] == ["orders", "payments"]


def test_two_that_need_each_other_do_not_fold_in_a_circle():
    programs = [
        ProgramState("a", snapshot=Snapshot(NOW, (), (circuit("b"),))),
        ProgramState("b", snapshot=Snapshot(NOW, (), (circuit("a"),))),
    ]
    _, story = view(
        policies=[circuit("a", "open", since=NOW - 9), circuit("b", "open", since=NOW - 8)], programs=programs
    )
    assert [(cause["id"], [e["id"] for e in cause["effects"]]) for cause in story["broken"]] == [("a", ["b"])]


@pytest.mark.parametrize(
    "calls,level,text",
    [
        ({"success": 40}, "full", "all calls answered"),
        ({"success": 20, "degraded": 20}, "degraded", "50% of its calls are answered by a fallback"),
        ({"success": 30, "failure": 10}, "degraded", "25% of its calls fail or are refused"),
        ({"rejected": 30, "failure": 10}, "off", "100% of its calls fail or are refused"),
        ({}, "full", "no calls lately"),
    ],
)
def test_what_still_works_is_what_the_callers_get(calls, level, text):
    orders = ProgramState("orders", snapshot=Snapshot(NOW, (pipeline("payments"),), ()))
    _, story = view(
        policies=[circuit("payments")],
        pipelines=[pipeline("payments", **calls)],
        before=([circuit("payments")], [pipeline("payments")]),
        programs=[orders],
    )
    assert story["works"]["capabilities"] == [{"level": level, "name": "orders: payments", "text": text}]


def test_calls_that_fail_are_worth_a_look_before_anything_trips():
    rows, story = view(
        policies=[circuit("payments", good=30, bad=10)],
        before=([circuit("payments")], []),
    )
    (row,) = rows
    assert (row["level"], row["word"], row["reason"]) == (1, "failing", "25% of calls failed in the last 30 s")
    assert (row["error_rate"], row["calls_per_minute"]) == (0.25, 80)
    assert 1.0 < row["p99"] <= 2.5
    assert story["headline"] == "Worth a look: payments: 25% of calls failed in the last 30 s."


def test_a_pin_is_shown_with_who_why_and_until_when():
    pin = {"state": "open", "owner": "ops", "reason": "migration", "expires_at": NOW + 600}
    rows, story = view(policies=[circuit("payments", "forced-open", reason="by ops: migration", forced=pin)])
    assert rows[0]["override"] == {"circuit": "payments", **pin}
    assert (rows[0]["shape"], rows[0]["word"]) == ("diamond", "forced open")
    assert story["headline"] == "Worth a look: Calls to payments are stopped by ops: migration."
    assert story["doing"][-1] == {"id": "payments", "text": "payments is forced open by ops; ends", "at": NOW + 600}


def test_what_changed_just_before_is_told_and_nothing_later():
    changes = [
        Event(NOW - 300, "ProcessStarted", "orders", "old"),
        Event(NOW - 60, "CircuitOpened", "payments", "the trouble itself"),
        Event(NOW - 61, "ProcessExited", "payments", "its end"),
        Event(NOW - 100, "CircuitForced", "orders", "a deploy"),
        Event(NOW - 90, "ProgramLinked", "orders", "a step"),
        Event(NOW, "ProcessStarted", "orders", "later"),
    ]
    _, story = view(policies=[circuit("payments", "open", since=NOW - 60)], changes=changes)
    assert [line["text"] for line in story["changed"]] == ["a deploy", "its end"]


def test_a_policy_without_a_circuit_stands_under_its_pipeline():
    bulkhead = PolicySnapshot("bulkhead", "slots", ("search",), "", {}, {"limit": 4, "in_flight": 4, "oldest": 9.0})
    rows, _ = view(policies=[bulkhead], pipelines=[pipeline("search", ("bulkhead", "slots"))])
    assert (rows[0]["id"], rows[0]["level"]) == ("search", 1)
    assert rows[0]["reason"] == "all 4 slots are in use, the oldest call for 9 s"


def test_a_row_without_calls_draws_its_checks():
    rows, _ = view(checks=[check("disk", kind="disk")])
    assert len(rows[0]["volume"]) == len(rows[0]["bad"]) == 60
    assert (rows[0]["volume"][-1], rows[0]["bad"][-1], rows[0]["bad"][0]) == ("5", "5", ".")


def test_counts_that_went_back_are_counted_from_nothing():
    track = Track()
    from seawall.server.history import Reading

    track.observe(Reading(good=100), NOW)
    track.observe(Reading(good=110), NOW + 10)
    track.observe(Reading(good=4), NOW + 20)
    track.observe(Reading(good=9), NOW + 30)
    assert track.spark(NOW + 30)[1].strip(".") == "0"
    present, span = track.recent(NOW + 30)
    assert (present.good, span) == (5, 10)


def test_the_present_is_about_a_minute_and_the_usual_leaves_it_out():
    from seawall.server.history import Reading

    track = Track()
    for step in range(0, 1800, 5):
        track.observe(Reading(good=step, bad=max(0, step - 1700)), NOW + step)
    present, span = track.recent(NOW + 1795)
    assert 55 <= span <= 65
    assert present.error_rate == pytest.approx(0.5, abs=0.05)
    assert track.normal(NOW + 1795).error_rate == 0


def test_digits_leave_out_the_odd_failure_and_keep_all_apart_from_most():
    assert [share_digit(share) for share in (0, 0.009, 0.01, 0.5, 0.999, 1)] == ["0", "0", "1", "5", "8", "9"]


def test_moments_that_only_jitter_stay_where_they_were():
    def at(since, retry_after):
        rows = build_rows(
            Sources(NOW, Snapshot(NOW, (), (circuit("a", "open", since=since, retry_after=retry_after),)))
        )
        moments.steady(rows)
        return rows[0].pieces[0].since, rows[0].pieces[0].next_at

    moments = Moments()
    assert at(NOW - 5.04, 9.0) == (NOW - 5.0, NOW + 9.0)
    assert at(NOW - 5.9, 10.1) == (NOW - 5.0, NOW + 9.0)
    assert at(NOW - 5.9, 12.0) == (NOW - 5.0, NOW + 12.0)


def test_a_circuit_held_to_watch_is_worth_a_look_and_one_built_so_is_fine():
    """R-CB1"""
    pin = {"state": "observe", "owner": "mia", "reason": "too strict?", "expires_at": NOW + 60}
    rows, story = view(policies=[circuit("payments", "observe", forced=pin, reason="by mia: too strict?")])
    assert "payments is observed only by mia; ends" in str(story)
    assert rows[0]["word"] == "observed"
    assert rows[0]["level"] == 1
    rows, _ = view(policies=[circuit("payments", "observe")])
    assert rows[0]["level"] == 0
