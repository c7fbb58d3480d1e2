"""The diagrams of states are what the machines do."""

from tools.state_diagrams import PAGE, arrows, page


def test_the_page_is_the_one_that_the_machines_draw():
    assert PAGE.read_text("utf-8") == page(), "run: .venv/bin/python tools/state_diagrams.py --write"


def test_late_and_neutral_ends_of_calls_lead_nowhere():
    """R-CB5"""
    neutral = [arrow for arrow in arrows() if "late" in arrow.what or "cancelled" in arrow.what]
    assert len(neutral) == 7
    assert [arrow for arrow in neutral if arrow.was != arrow.now] == []


def test_a_circuit_is_closed_only_by_a_trial_or_by_hand():
    """R-CB4"""
    closing = {(arrow.was, arrow.what) for arrow in arrows() if arrow.now == "closed" and arrow.was != "closed"}
    assert closing == {("half-open", "a call succeeds"), ("half-open", "reset()"), ("open", "reset()")}
