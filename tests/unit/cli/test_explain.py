"""`seawall explain` when no daemon answers, and the times it takes."""

import json

import pytest

from seawall import CircuitBreaker, Manager, RejectedError
from seawall.cli.explain import _moment
from seawall.core.errors import ConfigurationError
from seawall.daemon.folder import Folder, make_private
from seawall.pipeline.why_known import known_of
from seawall.pipeline.why_saved import from_saved, saved_form
from seawall.testing import Scripted, virtual_time
from tests.unit.cli.test_commands import seawall


def outage():
    """What is known after an outage, and the id of a refusal in it."""
    with virtual_time() as clock:
        manager = Manager()
        pipeline = manager.add("db", CircuitBreaker(3))
        for _ in range(3):
            pipeline.call_outcome(Scripted([ConnectionError]))
        refusal = pipeline.call_outcome(int).error
        assert isinstance(refusal, RejectedError)
        bus = manager.registry.bus
        return known_of(bus.journal, manager.snapshot(), clock.wall()), refusal.id


@pytest.fixture
def left(tmp_path):
    """A folder that a dead daemon has left, and the id of a refusal in its journal."""
    (tmp_path / "seawall.toml").write_text("")
    folder = Folder(tmp_path / ".seawall")
    make_private(folder.path)
    known, refusal = outage()
    folder.write_journal(saved_form(known, 100))
    return folder, tmp_path / "seawall.toml", refusal


def test_a_dead_daemons_journal_still_explains(left, capsys):
    """R-UI3, R-PL4"""
    _, file, refusal = left
    code, out, err = seawall(capsys, "explain", refusal, "--file", str(file))
    assert code == 0
    assert 'Circuit "db" opened: 3 calls in a row failed (3 × ConnectionError)' in out
    assert err.startswith("Unknown now: no daemon runs for this file. This is from the journal it left at ")


def test_json_says_whether_the_daemon_answered_and_gives_utc(left, capsys):
    """R-UI3"""
    _, file, refusal = left
    code, out, _ = seawall(capsys, "explain", refusal, "--json", "--file", str(file))
    body = json.loads(out)
    assert (code, body["answered"], body["found"], body["exit_code"]) == (0, False, True, 0)
    assert all(step["utc"] is None or step["utc"].endswith("Z") for step in body["steps"])


@pytest.mark.parametrize("what, says", [("dbx", 'Did you mean "db"?'), ("r-000000", "Ask for the circuit by its name")])
def test_what_is_not_known_is_the_code_3_with_a_remedy(what, says, left, capsys):
    """R-UI3"""
    code, out, err = seawall(capsys, "explain", what, "--file", str(left[1]))
    assert (code, out) == (3, "")
    assert says in err


@pytest.mark.parametrize("spoil", [None, "{", '{"version": 2}', '{"version": 1}'])
def test_a_journal_that_is_missing_or_damaged_is_the_code_3(spoil, left, capsys):
    """R-UI3"""
    folder, file, refusal = left
    folder.journal.unlink()
    if spoil is not None:
        folder.journal.write_text(spoil)
    code, _, err = seawall(capsys, "explain", refusal, "--file", str(file))
    assert code == 3
    assert "seawall up starts the daemon" in err


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["db", "--around", "0"], "--around 0"),
        (["25:00:00"], "is no time"),
        (["2026-13-01"], "is no time"),
        ([" "], "WHAT"),
    ],
)
def test_wrong_use_is_the_code_2(arguments, says, left, capsys):
    """R-UI3"""
    code, _, err = seawall(capsys, "explain", *arguments, "--file", str(left[1]))
    assert code == 2
    assert says in err


def test_a_time_of_day_is_the_last_one_that_has_been():
    now = 1_700_000_000.0
    for text in ("00:00", "12:00:00", "23:59:59"):
        assert now - 86400 < float(_moment(text, now)) <= now
    assert _moment("payments", now) == "payments"
    with pytest.raises(ConfigurationError, match="is no time"):
        _moment("12:99", now)


def test_what_is_saved_comes_back_and_says_what_was_left_out():
    """R-PL4"""
    known, _ = outage()
    again = from_saved(json.loads(json.dumps(saved_form(known, 100))))
    assert again.entries == known.entries
    assert [one.event.name for one in again.entries] == [one.event.name for one in known.entries]
    few = from_saved(saved_form(known, 1))
    assert few.fallen == {"not saved": len(known.entries) - len(few.entries)}
