"""Every promise has tests that are there."""

import ast
from pathlib import Path

import pytest

from tests.architecture.promises import PROMISES

TESTS = Path(__file__).resolve().parents[1]


def names_in(path):
    """The tests of a file, those in classes too."""
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("promise", PROMISES)
def test_a_promise_has_its_tests(promise):
    """Each named defect, and each theme of what users suffer from that one program can do something about."""
    assert PROMISES[promise]
    for test in PROMISES[promise]:
        file, _, name = test.partition("::")
        path = TESTS / file
        assert path.exists(), test
        found = names_in(path)
        assert name in found if name else found or "TestCase" in path.read_text("utf-8"), test
