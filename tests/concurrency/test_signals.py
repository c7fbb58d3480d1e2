"""Signals: a handler that makes protected calls, or raises, wherever it gets into one.

The signal is sent before each bytecode instruction of the call that may notice it, one after the other; where a handler
may run is documented in CPython's source (`CHECK_EVAL_BREAKER`), see `tests.support.signalled`. Another round sends
thousands at random moments. Everything runs in processes of its own, as signals need a main thread.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: A call of a function that was just decorated asks all machines; on the quiet path there are far fewer places.
LEAST = {"decorated": 20, "quiet": 3}
WORLDS = (
    "bulkhead",
    "crowded",
    "rate-limit",
    "waiting-rate-limit",
    "keyed-rate-limit",
    "waiting-keyed-rate-limit",
    "closed",
    "half-open",
    "retry",
    "all",
)

pytestmark = [
    pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers"),
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="signals between two instructions of CPython"),
]


def signalled(*words):
    """How many signals got into calls of a world, and what was wrong after which."""
    command = [sys.executable, "-m", "tests.support.signal_worlds", *words]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if run.returncode:
        raise RuntimeError(run.stdout + run.stderr)  # no known failure hides that
    count, wrong = json.loads(run.stdout)
    return count, "\n".join(f"{place}: {words}" for place, words in wrong.items())


@pytest.mark.parametrize("way", ["decorated", "quiet"])
@pytest.mark.parametrize("world", WORLDS)
def test_a_handler_that_raises_anywhere_in_a_call_leaves_nothing_held(world, way):
    count, wrong = signalled(world, "raises", "everywhere", way)
    assert count > LEAST[way]
    assert not wrong, wrong


@pytest.mark.parametrize("way", ["decorated", "quiet"])
@pytest.mark.parametrize("world", WORLDS)
def test_a_handler_that_calls_anywhere_in_a_call_neither_wedges_nor_loses_anything(world, way):
    count, wrong = signalled(world, "calls", "everywhere", way)
    assert count > LEAST[way]
    assert not wrong, wrong


def test_a_handler_that_raises_anywhere_in_a_call_that_is_not_decorated_leaves_nothing_held():
    _, wrong = signalled("all", "raises", "everywhere", "call")
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize("world", ["bulkhead", "half-open", "all"])
def test_thousands_of_interruptions_leave_every_slot_free_and_every_count_right(world):
    count, wrong = signalled(world, "raises", "often", "decorated")
    assert count > 500
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize("world", ["bulkhead", "closed", "all"])
def test_thousands_of_calls_from_handlers_are_all_counted(world):
    count, wrong = signalled(world, "calls", "often", "decorated")
    assert count > 500
    assert not wrong, wrong
