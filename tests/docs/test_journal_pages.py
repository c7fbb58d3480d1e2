"""The pages about explaining, recording and shadow do what they say."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def printed(page):
    """What a program of the how-to prints."""
    result = subprocess.run(
        [sys.executable, ROOT / "docs/how-to" / page], capture_output=True, text=True, check=True, timeout=60
    )
    return result.stdout


def test_the_refusal_of_the_page_leads_back_to_its_failures():
    """R-PL4, R-UI3"""
    out = printed("explain_a_refusal.py")
    assert "nothing was sent. (explain: seawall explain r-" in out
    assert out.count('Call to "payments" failed after 0 ms: ConnectionError.') == 3
    assert "['because', 'because', 'because', 'because', 'gap', 'then', 'now']" in out


def test_the_simulation_of_the_page_prints_the_figures_that_the_page_shows():
    """R-PL3, R-UI3"""
    out = printed("record_and_simulate.py")
    page = (ROOT / "docs/how-to/record-and-simulate.md").read_text()
    shown = page.partition('```\n"payments"')[2].partition("```")[0].splitlines()
    assert len(shown) > 5
    assert [line for line in shown[1:] if line not in out.splitlines()] == []
    assert "607 lines, 0 dropped" in out
    assert "exit code 1" in out


@pytest.mark.parametrize(
    "line", ["8 of 8 answered", "3 would have been rejected by catalogue-shadow", "0 errors in candidates"]
)
def test_the_candidate_of_the_page_refuses_nothing_and_tells(line):
    """R-PL3"""
    assert line in printed("shadow_mode.py").splitlines()
