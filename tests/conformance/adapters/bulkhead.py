"""Bulkhead vectors against the public policy."""

from typing import Any

from seawall import Bulkhead
from seawall.core.permit import Ask, Parked, Permit, Waiter
from seawall.core.verdict import Verdict
from seawall.testing import VirtualClock
from tests.conformance.adapters import readings
from tests.conformance.language import Keys, NotBuiltError, Vector, needs

BUILT = frozenset({"queue", "cancellation", "cancel", "wait", "concurrency"})


class _Standing(Waiter):
    """One who stands in line here is looked at after each step, and needs no waking."""

    def wake(self) -> bool:
        return True


class BulkheadAdapter:
    """Runs one vector; the bulkhead's decisions have no colour."""

    def __init__(self, vector: Vector, clock: VirtualClock, colour: str) -> None:
        del colour
        needs(vector, BUILT)
        self.vector, self.clock = vector, clock
        config = vector.config
        self.queue = config.take("max_queue", 0)
        self.limit = config.take("max_concurrent")
        self.bulkhead = Bulkhead(self.limit, queue=self.queue, max_wait=config.take("max_wait", None), name="vector")
        config.done()
        self.inside: dict[str, Permit] = {}
        self.line: dict[str, Parked] = {}
        self.counts = {"rejected": 0, "completed": 0, "cancelled": 0, "timed_out": 0}
        self.number = 0

    def run(self) -> None:
        for data in self.vector.steps:
            step = Keys(data, "step")
            readings.move(self.clock, step, 0.0)
            self.proceed()
            self.act(step)
            self.proceed()
            self.check(step)
            step.done()

    def proceed(self) -> None:
        """Those in line look at their places."""
        for name, place in list(self.line.items()):
            state = self.bulkhead.claim(place)
            if isinstance(state, Parked):
                continue
            del self.line[name]
            if isinstance(state, Permit):
                self.inside[name] = state
            else:
                self.counts["rejected"] += 1
                self.counts["timed_out"] += 1

    def enter(self, name: str | None = None) -> str:
        """Ask for a slot; says what became of it."""
        self.number += 1
        name = name or f"call {self.number}"
        granted = self.bulkhead.enter(Ask(), _Standing)
        if isinstance(granted, Permit):
            self.inside[name] = granted
            return "admitted"
        if isinstance(granted, Parked):
            self.line[name] = granted
            return "queued"
        self.counts["rejected"] += 1
        return "rejected"

    def leave(self, name: str, counted: str) -> None:
        """A call ends, or one who waits goes away."""
        if name in self.inside:
            self.bulkhead.leave(self.inside.pop(name), Verdict.SUCCESS)
        else:
            self.bulkhead.abandon(self.line.pop(name))
        self.counts[counted] += 1

    def act(self, step: Keys) -> None:
        """Enter, leave, cancel."""
        if (name := step.take("enter")) is not None:
            said = self.enter(name)
            if isinstance(step._left.get("expect"), str):
                assert said == step.take("expect")
        for _ in range(step.take("enter_many", 0)):
            self.enter()
        if (name := step.take("leave")) is not None:
            self.leave(name, "completed")
        if (name := step.take("cancel")) is not None:
            self.leave(name, "cancelled")
        if step.take("finish_one"):
            self.leave(next(iter(self.inside)), "completed")
        if (which := step.take("cancel_one")) is not None:
            self.leave(next(iter(self.line if which == "queued" else self.inside)), "cancelled")

    def check(self, step: Keys) -> None:
        """What is expected after a step."""
        gauges = self.bulkhead.snapshot().gauges
        executing, queued = gauges["in_flight"], gauges["queued"]
        assert (executing, queued) == (len(self.inside), len(self.line))
        actual: dict[str, Any] = {
            "executing": executing,
            "queued": queued,
            "free": self.limit - executing,
            "queue_free": self.queue - queued,
            **self.counts,
        }
        expected = dict(step.take("expect", {}))
        for key, name in (("expect_free", "free"), ("expect_inside", "executing")):
            if key in step:
                expected[name] = step.take(key)
        for name, value in expected.items():
            if name not in actual:
                raise NotBuiltError(f"expected {name}")
            assert actual[name] == value, f"{name} is {actual[name]}, expected {value}"
