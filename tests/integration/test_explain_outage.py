"""`seawall explain` tells the true story of an outage of the quickstart: from an id, from a name, from a moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.core.clock import SYSTEM_CLOCK
from tests.integration.test_quickstart import Quickstart


class Told:
    """What `seawall explain WHAT --json` said."""

    def __init__(self, quickstart, what, *more):
        command = [Path(sys.executable).with_name("seawall"), "explain", what, *more, "--json"]
        result = subprocess.run(command, cwd=quickstart.folder, capture_output=True, text=True, timeout=60, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        self.body = json.loads(result.stdout)
        self.steps = self.body["steps"]

    def wall(self, event, last=False, **fields):
        """When something happened that it tells of."""
        found = [
            step["wall"]
            for step in self.steps
            if step["evidence"].get("event") == event
            and all(step["evidence"].get(key) == value for key, value in fields.items())
        ]
        assert found, (event, fields, [step["text"] for step in self.steps])
        return found[-1] if last else found[0]

    def count(self, key):
        return next(step["evidence"][key] for step in self.steps if key in step["evidence"])


def lines_since(quickstart, began, kind):
    """Lines of the page's timeline that say something of payments."""
    lines = quickstart.state()["timeline"]
    return [one for one in lines if one["wall"] > began and (one["kind"], one["name"]) == (kind, "payments")]


def closed_since(quickstart, began):
    """Whether the circuit has opened and closed."""
    opened, closed = (lines_since(quickstart, began, kind) for kind in ("CircuitOpened", "CircuitClosed"))
    return opened and closed and closed[-1]["wall"] > opened[0]["wall"]


@pytest.fixture(scope="module")
def outage(tmp_path_factory):
    """A quickstart whose payments were killed and came back: the quickstart, the victim and the times around it."""
    running = Quickstart(tmp_path_factory.mktemp("explain") / "it")
    try:
        killed = running.pid("payments")
        began = SYSTEM_CLOCK.wall()
        os.kill(killed, signal.SIGKILL)
        asyncio.run(running.customers(2.0))
        middle = SYSTEM_CLOCK.wall()
        asyncio.run(running.customers(2.0))
        running.wait(lambda: closed_since(running, began), 60.0)
        yield running, killed, began, middle
    finally:
        running.stop()


@pytest.mark.integration
@pytest.mark.timeout(180)
@pytest.mark.alone
class TestAnOutageExplained:
    def test_a_refusal_leads_back_to_the_process_that_was_killed(self, outage):
        """R-PL4, R-UI3"""
        quickstart, killed, began, _ = outage
        refusals = lines_since(quickstart, began, "CallRejected")
        told = Told(quickstart, refusals[0]["explain"])
        assert told.body["answered"]
        assert told.steps[0]["relation"] == "asked"
        died = told.wall("ProcessExited", name="payments", pid=killed)
        failed = told.wall("CallTimedOut", name="payments")
        opened = told.wall("CircuitOpened", name="payments", reason="tripped")
        refused = told.wall("CallRejected", name="payments")
        closed = told.wall("CircuitClosed", last=True, name="payments")
        assert began - 0.1 <= died <= failed <= opened <= refused <= closed
        # the daemon keeps the socket of a dead process open, so calls are not refused by the kernel: nobody answers
        failures = [step for step in told.steps if step["evidence"].get("event") in {"CallTimedOut", "CallFailed"}]
        missing = [step for step in told.steps if step["text"].startswith("Of the 5 calls that it counted")]
        assert len(failures) == 5 or missing
        print("\n".join(step["text"] for step in told.steps))  # noqa: T201 - shown when a later line fails
        assert told.count("fallbacks") > 0
        assert all(step["utc"] for step in told.steps if step["wall"] is not None)

    def test_the_name_tells_what_is_now_and_when_it_was_last_open(self, outage):
        """R-PL4, R-UI3"""
        quickstart, killed, _, _ = outage
        told = Told(quickstart, "payments")
        assert told.body["headline"].startswith('Circuit "payments" is closed. It was last open from ')
        assert told.wall("ProcessExited", pid=killed) <= told.wall("CircuitOpened", name="payments")
        assert told.wall("CircuitOpened", name="payments") < told.wall("CircuitClosed", last=True, name="payments")

    def test_the_moment_tells_what_was_down_and_open_then(self, outage):
        """R-PL4, R-UI3"""
        quickstart, killed, _, middle = outage
        told = Told(quickstart, repr(middle), "--around", "10")
        standing = [step["evidence"]["event"] for step in told.steps if step["relation"] == "now"]
        assert "CircuitOpened" in standing or "CircuitHalfOpened" in standing, told.body["headline"]
        order = [
            told.wall("ProcessExited", pid=killed),
            told.wall("CallTimedOut", name="payments"),
            told.wall("CircuitOpened", name="payments"),
            told.wall("CallRejected", name="payments"),
            told.wall("CircuitClosed", last=True, name="payments"),
        ]
        assert order == sorted(order)

    def test_the_story_is_still_there_when_the_daemon_is_dead(self, outage):
        """R-PL4, R-UI3"""
        quickstart, killed, began, _ = outage
        refusal = lines_since(quickstart, began, "CallRejected")[0]["explain"]
        before = Told(quickstart, refusal)
        saved = quickstart.folder / ".seawall" / "journal.json"
        quickstart.wait(lambda: "CircuitClosed" in saved.read_text())
        quickstart.process.kill()
        quickstart.process.wait()
        after = Told(quickstart, refusal)
        assert not after.body["answered"]
        assert after.wall("ProcessExited", pid=killed) == before.wall("ProcessExited", pid=killed)
        assert [step["wall"] for step in after.steps if step["relation"] == "because"] == [
            step["wall"] for step in before.steps if step["relation"] == "because"
        ]
