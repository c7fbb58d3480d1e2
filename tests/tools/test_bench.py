"""The bench counts and compares right; what it measures is not judged here."""

import asyncio
import importlib
import json

import pytest

from bench import __main__ as command
from bench import page, peers
from bench.figures import ROOT, Figure, Report
from bench.harness import LEAST, Candidate, Effort, Timer, fresh, measure_inside, turns_for
from bench.table import number
from bench.targets import TARGETS, Target
from bench.verdict import Verdict, compare, compare_all, exit_code, table


def figure(id="q.a", value=100.0, ratio=None, **rest):
    return Figure(id, "a thing", "ns", value, ratio, **rest)


def verdict(target, *figures):
    return compare(target, {one.id: one for one in figures}).verdict


def ticking(*spent):
    """A loop that claims to have taken so many nanoseconds a turn, one after another."""
    claims = iter(spent)

    def loop(function, turns):
        del function
        return next(claims) * sum(1 for _ in turns)

    return loop


def report(*figures, python="CPython 3.11.7", versions=None):
    return Report(python, "Linux x86_64, 2 CPUs", "abc", "full", versions or {"seawall": "1"}, list(figures))


# ------------------------------------------------------------------ time


def test_the_turns_of_a_sample_follow_from_what_some_have_taken():
    assert turns_for(1e6, 100, 200_000) == 500
    assert turns_for(1e6, 100, 1) == 1000  # ten times as many at most: the first turns are slow
    assert turns_for(1e3, 100, 1_000_000) == LEAST


def test_every_loop_has_a_code_object_of_its_own():
    def loop(function, turns):
        return 0

    assert fresh(loop).__code__ is not loop.__code__
    assert fresh(loop).__code__.co_code == loop.__code__.co_code


def test_a_sample_is_what_one_turn_took():
    timer = Timer(ticking(7, 30), print)
    timer.turns = 200
    assert asyncio.run(timer.sample()) == 30  # the 7 were of the warming up


def test_the_empty_loop_is_subtracted_from_both_sides_of_the_ratio(monkeypatch):
    costs = {print: 30, repr: 110}

    async def sample(self):
        return costs.get(self.function, 10)  # what is neither of them is the empty loop

    async def calibrate(self, seconds):
        return None

    monkeypatch.setattr(Timer, "sample", sample)
    monkeypatch.setattr(Timer, "calibrate", calibrate)
    (found,) = asyncio.run(measure_inside([Candidate("q.a", "a", repr, print)], Effort(9, 0.001)))
    assert (found.value, found.ratio) == (100, 5.0)
    assert (found.low, found.high) == (5.0, 5.0)


def test_a_measurement_of_nothing_much_gives_a_number():
    def op(x):
        return x

    (found,) = asyncio.run(measure_inside([Candidate("q.a", "a", op, op)], Effort(9, 0.0005)))
    assert (found.value or 0) > 0
    assert 0 < (found.ratio or 0) < 100


# -------------------------------------------------------------- comparing


@pytest.mark.parametrize(
    "bound, measured, expected",
    [
        ("at most", 4.9, Verdict.MET),
        ("at most", 5.0, Verdict.MET),
        ("at most", 5.1, Verdict.SHORT),
        ("at least", 5.1, Verdict.MET),
        ("at least", 5.0, Verdict.MET),
        ("at least", 4.9, Verdict.SHORT),
    ],
)
def test_exactly_the_limit_passes(bound, measured, expected):
    assert verdict(Target("q.a", bound, 5), figure(ratio=measured)) is expected


def test_a_target_on_the_value_does_not_look_at_the_ratio():
    target = Target("q.a", "at most", 450, "value", "ns")
    assert verdict(target, figure(value=400, ratio=900, low=800, high=1000)) is Verdict.MET
    assert compare(target, {"q.a": figure(value=400, ratio=9, low=300, high=500)}).by == ""


def test_what_was_not_measured_says_why_and_fails_nothing():
    row = compare(Target("q.a", "at most", 5), {"q.a": figure(value=None, note="not there yet")})
    assert (row.verdict, row.by) == (Verdict.NONE, "not there yet")
    assert verdict(Target("q.b", "at most", 5), figure()) is Verdict.NONE
    assert exit_code([row]) == 0


def test_instructions_decide_where_the_quartiles_lie_on_both_sides():
    target = Target("q.a", "at most", 5, instead="i.a")
    noisy = figure(ratio=5.2, low=4.5, high=6.0)
    assert verdict(target, noisy) is Verdict.SHORT
    row = compare(target, {"q.a": noisy, "i.a": figure("i.a", ratio=4.0)})
    assert row.verdict is Verdict.MET
    assert "4 × by instructions" in row.by


def test_instructions_do_not_decide_what_is_plain():
    target = Target("q.a", "at most", 5, instead="i.a")
    assert verdict(target, figure(ratio=7, low=6, high=8), figure("i.a", ratio=4.0)) is Verdict.SHORT


def test_only_the_targets_of_what_was_asked_are_compared():
    rows = compare_all([Target("q.a", "at most", 5), Target("other.a", "at most", 5)], [figure(ratio=1)])
    assert [row.target.figure for row in rows] == ["q.a"]


def test_one_that_falls_short_decides_the_exit_code():
    targets = [Target("q.a", "at most", 5), Target("q.b", "at most", 5)]
    rows = compare_all(targets, [figure(ratio=1), figure("q.b", ratio=6)])
    assert exit_code(rows) == 1
    assert exit_code(rows[:1]) == 0


def test_the_table_shows_figure_target_and_verdict():
    rows = compare_all([Target("q.a", "at most", 5)], [figure(value=1234.5, ratio=6.25)])
    assert table(rows).splitlines()[-1] == "a thing  6.25 × (1,234 ns)   ≤ 5 ×  falls short"
    assert table(rows, as_markdown=True).splitlines()[1] == "| --- | ---: | ---: | --- | --- |"


def test_no_figure_has_two_targets_and_every_target_belongs_to_a_question():
    names = [target.figure for target in TARGETS]
    assert len(names) == len(set(names))
    assert {name.partition(".")[0] for name in names} <= set(command.QUESTIONS)


@pytest.mark.parametrize("value, text", [(0, "0"), (5.0, "5"), (1.234, "1.23"), (12.34, "12.3"), (12345.6, "12,346")])
def test_numbers_have_three_digits_that_matter(value, text):
    assert number(value) == text


@pytest.mark.parametrize("question", command.QUESTIONS)
def test_every_question_is_a_file_that_gives_figures(question):
    assert callable(importlib.import_module(f"bench.{question}").figures)


def test_the_packages_of_the_peers_are_those_that_are_locked():
    wanted = (ROOT / "bench/peers.in").read_text("utf-8").splitlines()
    assert [line for line in wanted if not line.startswith("#")] == list(peers.PACKAGES)


# --------------------------------------------------------------- keeping


def test_a_report_survives_json_with_four_digits():
    kept = Report.from_json(report(figure(value=123.456789, ratio=1.0)).to_json())
    assert kept.figures == [figure(value=123.5, ratio=1.0)]
    assert kept.series == "3.11"


@pytest.mark.parametrize("text", ["{}", "[]", '{"figures": [{"nonsense": 1}]}', "no JSON"])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(ValueError, match=r"no report|Expecting"):
        Report.from_json(text)


def test_the_page_holds_what_other_runs_have_written(tmp_path):
    page.write([report(figure("call_path.sync.stack.measured", ratio=19), python="CPython 3.13.0")], tmp_path)
    page.write([report(figure("call_path.sync.stack.measured", ratio=21))], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cpython-3.11.json", "cpython-3.13.json", "tables.md"]
    text = (tmp_path / "tables.md").read_text("utf-8")
    assert text.index("### CPython 3.11.7") < text.index("### CPython 3.13.0")
    assert "≤ 20 × | falls short |" in text
    assert json.loads((tmp_path / "cpython-3.13.json").read_text("utf-8"))["commit"] == "abc"


def test_the_answers_of_one_interpreter_become_one_report():
    whole = command.joined([report(figure()), report(figure("q.b"), versions={"seawall": "1", "limits": "5"})])
    assert [one.id for one in whole.figures] == ["q.a", "q.b"]
    assert whole.versions == {"seawall": "1", "limits": "5"}


@pytest.mark.parametrize("line", [["nonsense"], ["--write", "--quick"], ["--write", "memory"]])
def test_a_command_line_that_makes_no_sense_is_an_error(line, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(line)
    assert ended.value.code == 2
    assert capsys.readouterr().err
