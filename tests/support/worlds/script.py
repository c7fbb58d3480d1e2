"""What happens in a world as the dice have it: calls, pauses, changes of settings, blocks around calls, cancellations.

A script is plain data, so that a shorter one can be tried and the shortest shown.
"""

from random import Random
from typing import Any, NamedTuple

from tests.support.worlds.drawn import RATES, PipelineSpec, draw_pipelines

HAPPY = ("value", 0.0, "fine")


class Plan(NamedTuple):
    """What one call goes to, and how each of its attempts ends: (kind, seconds, detail)."""

    number: int
    where: int
    function: str
    key: str
    outcomes: tuple[tuple[str, float, Any], ...]


class Step(NamedTuple):
    """What one actor does next; `value` is a `Plan`, seconds, or what `what` needs; `steps` are inside a block."""

    actor: int
    what: str
    value: Any = None
    steps: "tuple[Step, ...]" = ()


class Scenario(NamedTuple):
    """A world and what happens in it. `mode` is "calls", "tasks" or "threads"."""

    mode: str
    seed: int
    pipelines: list[PipelineSpec]
    steps: list[Step]

    def __str__(self):
        lines = [f"{self.mode}, seed {self.seed}"]
        lines += [f"  {pipeline}" for pipeline in self.pipelines]
        return "\n".join(lines + [f"  {step}" for step in self.steps])


class Weather:
    """How likely trouble is now: mostly calm, stormy for a while now and then."""

    def __init__(self, dice):
        self._dice = dice
        self._trouble = dice.choice([0.0, 0.02, 0.02, 0.3])

    def bad(self):
        if self._dice.random() < 0.03:
            self._trouble = self._dice.choice([0.0, 0.01, 0.02, 0.5, 0.9])
        return self._dice.random() < self._trouble


def draw(mode, seed):
    """The scenario of that mode and seed."""
    dice = Random(f"{mode} {seed}")
    pipelines, borders = draw_pipelines(dice, mode)
    drawing = _Drawing(dice, mode, len(pipelines), borders)
    actors = {"calls": 1, "tasks": dice.choice([2, 3, 5]), "threads": dice.choice([2, 3])}[mode]
    length = {"calls": dice.choice([12, 25, 40]), "tasks": 30, "threads": 18}[mode]
    steps: list[Step] = []
    for _ in range(length):
        steps += drawing.steps(dice.randrange(actors), actors)
    return Scenario(mode, seed, pipelines, steps)


class _Drawing:
    """Draws steps one after the other."""

    def __init__(self, dice, mode, pipelines, borders):
        self._dice = dice
        self._mode = mode
        self._pipelines = pipelines
        self._borders = borders
        self._weather = Weather(dice)
        self._number = 0
        # which functions this scenario calls: mostly few, so that each is called often
        names = ["plain", "method", "loose", "options"] + ["async"] * (mode == "calls")
        names += ["async", "async", "amethod", "gives"] * (mode == "tasks")
        self._functions = dice.sample(names, dice.choice([1, 2, 2, 3]))

    def steps(self, actor, actors):
        """The next thing an actor does, which may be several steps."""
        dice = self._dice
        kind = dice.random()
        if kind < 0.5:
            return [self._call(actor) for _ in range(dice.choice([1, 1, 2, 4, 8]))]
        if kind < 0.78:
            return [Step(actor, "sleep", self._pause())]
        if kind < 0.88:
            return [Step(actor, "change", self._change())]
        if kind < 0.95:
            block = dice.choice(["override", "override", "deadline", "permit", "permit"])
            inside = [self._call(actor) for _ in range(dice.choice([1, 3]))]
            if dice.random() < 0.5:
                inside.insert(dice.randrange(len(inside) + 1), Step(actor, "sleep", self._pause()))
            return [Step(actor, block, self._block(block), tuple(inside))]
        if self._mode == "tasks" and actors > 1:
            return [Step(actor, "cancel", dice.randrange(actors))]
        return [Step(actor, "look")]

    def _pause(self):
        """Often exactly at a border, or just beside it."""
        dice = self._dice
        border = dice.choice(self._borders)
        return max(0.0, dice.choice([0.0, border, border, border / 2, border + 1e-6, border - 1e-6, dice.random() / 4]))

    def _call(self, actor):
        dice = self._dice
        self._number += 1
        outcomes = tuple(self._outcome() for _ in range(4)) if self._weather.bad() else (self._good(),)
        where = dice.randrange(self._pipelines)
        plan = Plan(self._number, where, dice.choice(self._functions), dice.choice("aab"), outcomes)
        return Step(actor, "call", plan)

    def _good(self):
        return HAPPY if self._dice.random() < 0.75 else ("value", self._pause() / 4, "fine")

    def _outcome(self):
        dice = self._dice
        seconds = self._pause() if dice.random() < 0.3 else 0.0
        kind = dice.random()
        if kind < 0.12:
            return "value", self._pause(), "fine"
        if kind < 0.6:
            names = ["connection"] * 5 + ["value", "type", "timeout", "busy", "refused", "stop_iteration"]
            names += ["interrupt", "stop", "exit"] + ["cancelled"] * (self._mode == "tasks")
            return "error", seconds, dice.choice(names)
        if kind < 0.8:
            return "response", seconds, dice.choice([(200, ""), (429, ""), (429, "0.2"), (503, ""), (503, "0.1"), (404, ""), (500, "0.3")])  # fmt: skip # noqa: E501
        if kind < 0.86:
            return "obeys", seconds or 0.1, "timeout"
        if kind < 0.92:
            return "nested", seconds, dice.choice(["fine", "connection"])
        if kind < 0.96 and self._mode != "threads":
            return "awaitable", seconds, dice.choice(["fine", "connection"])
        return "value", seconds, dice.choice(["odd", "raises", "none"])

    def _change(self):
        """(name, pipeline, argument)"""
        dice = self._dice
        name = dice.choice(list(_CHANGES))
        return name, dice.randrange(self._pipelines), dice.choice(_CHANGES[name])

    def _block(self, block):
        dice = self._dice
        if block == "override":
            return dice.choice([None, 0]), dice.choice(_OVERRIDES)
        return dice.choice([0.05, 0.25, 1.0]) if block == "deadline" else dice.randrange(self._pipelines)


_OVERRIDES = [{"attempts": 1}, {"attempts": 2}, {"disable": ("retry",)}, {"disable": ("circuit_breaker", "bulkhead")},
              {"disable": ("rate_limiter",)}, {"timeout": 0.05}, {"deadline": 0.1}]  # fmt: skip

#: Changes by name, with the arguments they may have.
_CHANGES: dict[str, list[Any]] = {
    "rate": list(RATES),
    "burst": [1.0, 4.0, 30.0],
    "forget_rate": [None],
    "resize": [1, 2, 4],
    "override": [*_OVERRIDES, {"rate": "50/second"}, {"max_concurrent": 1}, {"disable": ("fallback", "deadline")}],
    "lift": [None],
    "force": ["open", "closed", "disabled", "observe"],
    "release": [None],
    "trip": [None],
    "half_open": [None],
    "reset": [None],
    "retryable": [None, ConnectionError, "timeout"],
    "drain": [None],
    "resume": [None, None],
    "record": [True, False],
    "listen": [None],
}
