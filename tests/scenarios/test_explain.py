"""Why a call was refused, told from journal and snapshot of the program itself."""

import pytest

from seawall import Bulkhead, CircuitBreaker, ConfigurationError, Fallback, Manager, RejectedError, Retry
from seawall.backoff import Constant
from seawall.events.ids import refusal_id
from seawall.events.types import CallRejected, CheckChanged, ProcessExited
from seawall.testing import Scripted, virtual_time

DOWN = [(0.1, ConnectionError("secret-argument"))]


class Outage:
    """A dependency that fails until it is mended; one program that calls it."""

    def __init__(self, clock, *extra):
        self.clock = clock
        self.manager = Manager()
        self.bus = self.manager.registry.bus
        retry = Retry(2, backoff=Constant(base=1.0, jitter="none"))
        breaker = CircuitBreaker(4, recovery_timeout=30.0, success_threshold=1)
        self.pipeline = self.manager.add("db", *extra, retry, breaker)
        self.began = clock.wall()

    def fail(self, calls=1):
        for _ in range(calls):
            self.pipeline.call_outcome(Scripted(DOWN), "secret-argument")

    def refusal(self):
        self.clock.advance(5.0)
        outcome = self.pipeline.call_outcome(Scripted(DOWN))
        return outcome.error or outcome.cause

    def mend(self):
        self.clock.advance(30.0)
        self.pipeline.call(Scripted(["fine"]))


def relations(explanation):
    return [step.relation for step in explanation.steps]


def texts(explanation, relation):
    return [step.text for step in explanation.steps if step.relation == relation]


def test_a_refusal_is_traced_to_the_failures_and_to_what_changed_before_them():
    """R-PL4"""
    with virtual_time() as clock:
        outage = Outage(clock, Fallback("x"))
        outage.bus.publish((ProcessExited, 1, clock.now(), "payments", 7, "killed by SIGKILL", 60.0, 4.0))
        clock.advance(1.0)
        outage.fail(2)
        refusal = outage.refusal()
        during = outage.manager.explain(refusal.id)
        outage.mend()
        after = outage.manager.explain(refusal.id)
    assert isinstance(refusal, RejectedError)
    assert during.found
    assert during.steps[0].id == refusal.id
    opened, *failures = texts(during, "because")
    assert opened.startswith('Circuit "db" opened: 4 calls in a row failed (4 × ConnectionError).')
    assert "5 s before this call; the next trial was due at" in opened
    assert failures == ['Call to "db" failed after 0.1 s: ConnectionError.'] * 4
    walls = [step.wall - outage.began for step in during.steps if step.relation == "because"]
    assert walls[1:] == pytest.approx([1.1, 2.2, 2.3, 3.4])
    assert texts(during, "before") == [
        'Process "payments" (pid 7) ended after 60 s: killed by SIGKILL. Restart in 4 s.'
    ]
    assert texts(during, "now") == ['Circuit "db" is open; next trial in 25 s.']
    assert texts(after, "then")[-1] == 'Circuit "db" closed: trial calls succeeded, after 35 s.'
    assert any("answered by the fallback instead" in text for text in texts(after, "then"))
    assert "now" not in relations(after)
    assert "secret-argument" not in str(after) + repr(after.as_json())


def test_a_name_tells_state_reason_and_next_trial_and_later_when_it_was_last_open():
    """R-PL4, R-UI3"""
    with virtual_time() as clock:
        outage = Outage(clock)
        outage.fail(2)
        opened = outage.manager.explain("db")
        outage.mend()
        closed = outage.manager.explain("db")
    assert opened.headline.startswith('Circuit "db" is open since ')
    assert opened.headline.endswith(": 4 calls in a row failed (4 × ConnectionError).")
    assert texts(opened, "now")[0] == 'Circuit "db" is open; next trial in 30 s.'
    assert closed.headline.startswith('Circuit "db" is closed. It was last open from ')
    assert texts(closed, "then")[-1].startswith('Circuit "db" closed')


def test_a_transition_is_explained_by_the_id_that_the_log_shows(caplog):
    """R-PL4, R-PL6"""
    with virtual_time() as clock:
        outage = Outage(clock)
        outage.fail(2)
        shown = caplog.records[0].getMessage().partition("seawall explain ")[2].rstrip(")")
        explanation = outage.manager.explain(shown)
    assert explanation.kind == "transition"
    assert explanation.steps[0].text.startswith('Circuit "db" opened')
    assert len(texts(explanation, "because")) == 4


def test_a_moment_tells_what_was_open_held_and_failing_then():
    """R-PL4, R-UI3"""
    with virtual_time() as clock:
        outage = Outage(clock)
        outage.pipeline.override(owner="ann", reason="slow day", attempts=2)
        outage.bus.publish((CheckChanged, 1, clock.now(), "disk", "healthy", "critical", "full"))
        outage.fail(2)
        clock.advance(10.0)
        at = clock.wall()
        outage.mend()
        clock.advance(100.0)
        then = outage.manager.explain(at)
        before = outage.manager.explain(outage.began - 1000.0)
    standing = texts(then, "now")
    assert [text.split(" ")[:2] for text in standing] == [
        ['"db"', "overridden"], ["Check", '"disk"'], ["Circuit", '"db"'],
    ]  # fmt: skip
    assert any("This and 3 more like it" in text for text in texts(then, "then"))
    assert "nothing was open" in before.headline
    assert relations(before)[0] == "gap", "the journal began later, and it says so"


def test_where_the_journal_has_lost_the_cause_it_says_so_and_does_not_guess():
    """R-PL4"""
    with virtual_time() as clock:
        outage = Outage(clock)
        outage.fail(2)
        refusal = outage.refusal()
        for ring in (outage.bus.journal._changes, outage.bus.journal._failures):
            ring.clear()
        explanation = outage.manager.explain(refusal.id)
    assert texts(explanation, "because") == []
    assert any(text.startswith('When and why circuit "db" left the closed state is not known') for text in
               texts(explanation, "gap"))  # fmt: skip
    assert texts(explanation, "now") == ['Circuit "db" is open; next trial in 25 s.']


def test_failures_that_gave_way_are_counted_as_missing():
    """R-PL4"""
    with virtual_time() as clock:
        outage = Outage(clock)
        outage.fail(2)
        refusal = outage.refusal()
        outage.bus.journal._failures.popleft()
        explanation = outage.manager.explain(refusal.id)
    assert any(text.startswith("Of the 4 calls that it counted, 1 are not in the journal") for text in
               texts(explanation, "gap"))  # fmt: skip


def test_a_full_bulkhead_is_explained_by_what_it_counted():
    """R-PL4"""
    with virtual_time():
        manager = Manager()
        pipeline = manager.add("db", Bulkhead(1))
        with pipeline.permit(), pytest.raises(RejectedError) as caught:
            pipeline.call(int)
        explanation = manager.explain(caught.value.id)
    assert texts(explanation, "because")[0].startswith('The bulkhead "db" decided so by itself (')


@pytest.mark.parametrize(
    "asked, remedy",
    [
        ("dc", "Known names are: db."),
        ("dbb", 'Did you mean "db"?'),
        ("r-000000", "The journal holds none with this id"),
    ],
)
def test_what_nobody_knows_is_answered_with_a_remedy(asked, remedy):
    """R-PL4"""
    with virtual_time() as clock:
        outage = Outage(clock)
        outage.fail()
        explanation = outage.manager.explain(asked)
    assert not explanation.found
    assert remedy in explanation.remedy


def test_ids_that_collide_are_all_told_with_a_longer_one_each():
    """R-PL4"""
    with virtual_time() as clock:
        outage = Outage(clock)
        journal = outage.bus.journal
        seen: dict[str, int] = {}
        number = 1
        while (short := refusal_id("bulkhead", "db", number, journal.worker)) not in seen:
            seen[short] = number
            number += 1
        for one in (seen[short], number):
            journal.append(clock.wall(), (CallRejected, one, 0.0, "db", "bulkhead", "full", None, {}))
        explanation = outage.manager.explain(short)
        assert len(explanation.others) == 1
        longer = explanation.others[0].partition(":")[0]
        alone = outage.manager.explain(longer)
    assert alone.found
    assert alone.others == ()
    assert alone.steps[0].evidence["event"] == "CallRejected"


@pytest.mark.parametrize("around", [0.0, -1.0, float("nan")])
def test_a_time_around_it_that_is_none_is_refused(around):
    with pytest.raises(ConfigurationError, match=r"explain\.around"):
        Manager().explain("db", around=around)
