"""Sliding window vectors against `seawall.measure`."""

from seawall.measure.windows import CountWindow, TimeWindow
from seawall.testing import VirtualClock
from tests.conformance.adapters import readings
from tests.conformance.language import Keys, NotBuiltError, Vector, close, needs

BUILT = frozenset({"count_window", "time_window", "bucketed_window", "slow_calls", "counts"})


class WindowAdapter:
    """Runs one vector; a window has no colour."""

    def __init__(self, vector: Vector, clock: VirtualClock, colour: str) -> None:
        del colour
        needs(vector, BUILT)
        self.vector, self.clock = vector, clock
        config = vector.config
        mode = config.take("mode")
        if mode == "count_window":
            self.window: CountWindow | TimeWindow = CountWindow(config.take("window_calls"))
        elif mode in {"time_window", "bucketed_window"}:
            seconds = config.take("window")
            buckets = config.take("buckets", seconds / config.take("bucket", seconds / 10))
            self.window = TimeWindow(seconds, round(buckets))
        else:
            raise NotBuiltError(f"mode {mode}")
        self.least = config.take("minimum_calls", 1)
        self.slower_than = config.take("slow_call_duration")
        config.take("slow_by")
        config.take("failure_rate")  # the threshold: nothing is judged here
        config.done()

    def run(self) -> None:
        for data in self.vector.steps:
            step = Keys(data, "step")
            readings.move(self.clock, step, 0.0)
            if (outcome := step.take("call")) is not None:
                took = step.take("took", 0.0)
                slow = outcome.startswith("slow_") or (self.slower_than is not None and took > self.slower_than)
                for _ in range(step.take("n", 1)):
                    self.clock.advance(took)
                    self.window.add(outcome.endswith("fail"), slow, took, self.clock.now())
            self.check(step.take("expect_counts", {}))
            step.done()

    def check(self, expected: dict[str, float | None]) -> None:
        """Compare counts; a share is nothing below the minimum of calls."""
        counts = self.window.counts(self.clock.now())
        judged = counts.calls >= self.least
        actual = {
            "requests": counts.calls,
            "successes": counts.successes,
            "failures": counts.failures,
            "slow": counts.slow,
            "slow_failures": counts.slow_failures,
            "slow_successes": counts.slow - counts.slow_failures,
            "total_duration": counts.duration,
            "failure_rate": counts.failure_rate if judged else None,
            "slow_rate": counts.slow_rate if judged else None,
        }
        for name, value in expected.items():
            assert close(actual[name], value, self.vector.tolerance), f"{name} is {actual[name]}, expected {value}"
