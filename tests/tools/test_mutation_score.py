"""The score of a mutation run is read right."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(folder, *options):
    return subprocess.run(
        [sys.executable, ROOT / "tools/mutation_score.py", folder, *options],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path):
    codes = {"a__1": 1, "a__2": 1, "a__3": 36, "a__4": 0, "a__5": 33, "a__6": None}
    (tmp_path / "breaker.py.meta").write_text(json.dumps({"exit_code_by_key": codes}), "utf-8")
    return tmp_path


def test_what_survived_or_has_no_test_lowers_the_score(folder):
    """R-QA1"""
    result = run(folder, "--survivors")
    assert "60.0%  all: 3 of 5 noticed, 1 not run" in result.stdout
    assert "a__4" in result.stdout
    assert result.returncode == 1
    assert run(folder, "--least", "0.6").returncode == 0


def test_without_a_run_it_says_what_to_do(tmp_path):
    result = run(tmp_path)
    assert result.returncode == 2
    assert "make mutants" in result.stderr
