"""What the documentation shows is run."""

import ast
import asyncio
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seawall import default_registry

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_the_first_tutorial_prints_what_its_page_says():
    result = subprocess.run(
        [sys.executable, ROOT / "docs/tutorial/first_call.py"], capture_output=True, text=True, check=True, timeout=60
    )
    lines = result.stdout.splitlines()
    assert "A-100: about 40.00 - degraded - 0 attempts" in lines
    assert lines[-2:] == [
        "sent and failed: the price service does not answer",
        "never sent, may be tried again in 30 s",
    ]
    assert result.stdout.count('Circuit "prices" closed: trial calls succeeded, after 30 s.') == 1
    assert result.stderr.count("opened") == 2  # one warning per transition, and nothing else with it


@pytest.mark.parametrize("number", range(len(BLOCK.findall((ROOT / "README.md").read_text()))))
def test_every_snippet_of_the_readme_runs(number, capsys):
    source = BLOCK.findall((ROOT / "README.md").read_text())[number]
    code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)

    async def last_known_product(sku):
        return sku

    async def load(sku):
        return sku

    names = {"Product": str, "last_known_product": last_known_product, "load": load}
    with default_registry.isolated():
        pending = eval(code, names)
        if inspect.isawaitable(pending):

            async def run():
                await pending

            asyncio.run(run())


def test_the_tests_that_the_how_to_shows_pass():
    page = ROOT / "docs/how-to/virtual_time_test.py"
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", page],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "2 passed" in result.stdout, result.stdout


def test_the_circuit_breakers_that_the_how_to_shows_do_what_it_says():
    page = ROOT / "docs/how-to/circuit_breaker.py"
    result = subprocess.run([sys.executable, page], capture_output=True, text=True, timeout=60, check=True)
    rules, growth, path, sent, state = result.stdout.splitlines()
    assert rules.startswith(
        "1. CircuitBreaker, now closed: opens on FailureCount(threshold=5, window=60.0), or FailureRate("
    )
    assert (growth, path, sent, state) == ("2.0", "/still/served", "sent", "feed is open")


@pytest.mark.parametrize(
    "page, lines",
    [
        (
            "retry.py",
            [
                "read: A-100: 40.00 after 2 calls",
                "write: ordered A-100 with 1 key in 3 attempts",
                "careful: TimeoutError -> TimeoutError",
                "a dead dependency saw 1.22 times the load",
            ],
        ),
        (
            "deadlines.py",
            [
                "Worst case: 3 calls of the dependency; time at most 12 s.",
                "gave up after 12 s: timeout of 2 s",
                "polite code ended after 2 s",
                "no time left: it was never called",
                "shares of nine seconds: [3, 4, 9]",
            ],
        ),
        (
            "streams.py",
            [
                "the tide is coming in (2 attempts)",
                "the tide is … and then it broke (3 delivered)",
                "the tide is coming in",
                "silent for too long: idle timeout",
            ],
        ),
        (
            "fallback.py",
            [
                "A-100: about 40.00 (ConnectionError) | degraded: True | from: function-2",
                "12 left | degraded: True | from: stale | calls so far: 2",
                "unknown | degraded: True | from: value | calls so far: 3",
            ],
        ),
        (
            "override.py",
            [
                "by day: 2.0 s",
                "by night: 60.0 s",
                "with the override: 1 call; they asked us not to retry",
                "after it: 3 calls",
            ],
        ),
        ("move_from_others.py", ["loaded", "never sent; may be tried again in 60 s"]),
        (
            "rate_limit.py",
            [
                "call 2 may go in 1 s",
                "three patient calls took 2 s",
                "strict: 5 of 6; next in 10.0 s",
                "ann again: RateLimitedError",
                "after the update: True",
            ],
        ),
        (
            "bulkhead.py",
            [
                "with a third slot: 0",
                "ann inside, then ann and bob: ['BulkheadFullError', 'NoneType']",
                "isolated: done in a worker",
                "in shadow mode: both passed {'requests.allowed': 1, 'requests.shadow_rejected': 1}",
            ],
        ),
    ],
)
def test_the_pages_of_the_how_to_do_what_they_say(page, lines):
    """R-DC1"""
    result = subprocess.run(
        [sys.executable, ROOT / "docs/how-to" / page], capture_output=True, text=True, check=True, timeout=60
    )
    assert [line for line in lines if line not in result.stdout.splitlines()] == []


@pytest.mark.parametrize(
    "page, lines",
    [
        ("with_httpx.py", ["201 after 3 attempts with 1 key"]),
        ("with_requests.py", ["status 200"]),
        ("web_framework.py", ["about 3 s left", "429 come back in 60 s", "drained: True 503"]),
        ("databases.py", ["balance 10"]),
    ],
)
def test_the_adapters_of_the_how_to_do_what_their_pages_say(page, lines):
    result = subprocess.run(
        [sys.executable, ROOT / "docs/how-to" / page], capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout.splitlines() == lines
