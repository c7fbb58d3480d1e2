"""Backoff and retry vectors: delays drawn from rules, decisions of the machine, Retry-After."""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from seawall import ConfigurationError, Pipeline, Retry
from seawall.backoff import Backoff, Constant, Custom, Exponential, Fibonacci, Linear
from seawall.core.chance import seeded_chance
from seawall.machines.retry import Ended, GiveUp, RetryOptions, RetryRun
from seawall.testing import VirtualClock
from tests.conformance.adapters import calls
from tests.conformance.language import Keys, NotBuiltError, Vector, close, needs

BUILT = calls.BUILT | {"min_delay", "uniform_jitter", "http_classifier"}

_NO_CAP = 1e300  # a cap that no vector reaches
_JITTERS = ("none", 0.25)  # what "any" stands for where the middle of the range is expected


def build(options: Keys) -> list[Backoff]:
    """The rules of a configuration; a list of strategies or jitters gives all their combinations."""
    strategies, jitters = options.take("strategy", "fixed"), options.take("jitter")
    base, factor, increment = options.take("base", 0.0), options.take("factor", 2.0), options.take("increment")
    cap, floor = options.take("max", _NO_CAP), options.take("min")
    delays = options.take("delays")
    if (delay := options.take("delay")) is not None:
        base = delay
    if (fixed := options.take("delay_fn")) is not None:
        if not str(fixed).startswith("const:"):
            raise NotBuiltError(f"delay_fn = {fixed}")
        strategies, delays = "sequence", [float(fixed.removeprefix("const:"))]
    start = options.take("start", "1,1")
    found = []
    for strategy, words in itertools.product(_list(strategies), _list(jitters)):
        for jitter in _JITTERS if words == "any" else [words]:
            share = _jitter(jitter, base)
            if strategy == "linear" and increment not in {None, base}:
                raise NotBuiltError("linear backoff with an increment of its own")
            rule = _rule(strategy, base, factor, cap, floor, delays, share)
            if isinstance(rule, Fibonacci):
                first, second = (int(number) for number in start.split(","))
                rule = Fibonacci(**{**rule.fields(), "start": (first, second)})
            found.append(rule)
    return found


def _rule(
    strategy: str, base: float, factor: float, cap: float, floor: float | None, delays: list[float] | None, jitter: Any
) -> Backoff:
    """One rule. A chain of delays and a floor are what `Custom` is for."""
    if strategy == "sequence":
        assert delays is not None
        return Custom(rule=lambda n: delays[min(n, len(delays) - 1)], cap=cap, jitter=jitter)
    if strategy == "uniform":
        assert floor is not None
        return Constant(base=floor, cap=_NO_CAP, jitter=(1.0, cap / floor))
    simple: dict[str, Callable[[], Backoff]] = {
        "fixed": lambda: Constant(base=base, cap=cap, jitter=jitter),
        "linear": lambda: Linear(base=base, cap=cap, jitter=jitter),
        "exponential": lambda: Exponential(base=base, cap=cap, multiplier=factor, jitter=jitter),
        "fibonacci": lambda: Fibonacci(base=base, cap=cap, jitter=jitter),
        "decorrelated": lambda: Exponential(base=base, cap=cap, multiplier=factor, jitter="decorrelated"),
    }
    if strategy not in simple:
        raise NotBuiltError(f"strategy {strategy}")
    if cap < base:  # refused in the rules themselves, as it cuts every delay; what a rule of one's own is cut at holds
        longer = _rule(strategy, base, factor, _NO_CAP, floor, delays, "none")
        return Custom(rule=longer.raw, cap=cap, jitter=jitter)
    rule = simple[strategy]()
    if floor is None:
        return rule
    return Custom(rule=lambda n: max(floor, rule.raw(n)), cap=cap, jitter=jitter)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _jitter(words: Any, base: float) -> Any:
    """A jitter in our words."""
    if words is None:
        return "none"
    if isinstance(words, int | float) or words in {"none", "full", "equal", "decorrelated"}:
        return words
    kind, _, value = words.partition(":")
    if kind == "percent":
        return float(value) / 100
    if kind == "plusminus":
        return float(value) / base
    raise NotBuiltError(f"jitter {words}")


def one(rules: list[Backoff]) -> Backoff:
    """The only rule there is."""
    assert len(rules) == 1
    return rules[0]


class RetryAdapter:
    """Runs one retry vector: whole calls through a pipeline, the rest against rules and machine."""

    def __init__(self, vector: Vector, clock: VirtualClock, colour: str) -> None:
        needs(vector, BUILT)
        self.vector, self.clock = vector, clock
        self.chance = seeded_chance(1)
        self.whole = None
        if vector.mentions("run"):
            self.whole = calls.CallsAdapter(vector, clock, colour)
            return
        config = vector.config
        self.cases = 1
        base = config.take("base", 0.0)
        self.bases = self.random_bases(base) if isinstance(base, str) else iter([base])
        self.elapsed, self.attempts = config.take("max_elapsed"), config.take("max_attempts")
        self.retries = config.take("max_retries")
        self.longest = config.take("retry_after_max", 60.0)
        self.respected = config.take("respect_retry_after", True)
        self.options = config
        self.rules = [] if isinstance(base, str) else self.build(base)

    def build(self, base: float) -> list[Backoff]:
        """The rules with this base."""
        self.options.take("base")
        data = {**self.vector.data["config"], "base": base}
        rules = build(Keys({key: data[key] for key in data if key in _BACKOFF_KEYS}, "configuration"))
        for key in _BACKOFF_KEYS:
            self.options.take(key)
        self.options.done()
        return rules

    def random_bases(self, text: str) -> Iterator[float]:
        """Bases drawn from "random:low..high"."""
        low, high = (float(each) for each in text.removeprefix("random:").split(".."))
        while True:
            yield low + (high - low) * self.chance()

    def run(self) -> None:
        if self.whole is not None:
            self.whole.run()
            return
        for data in self.vector.steps:
            step = Keys(data, "step")
            if "retry" in step:
                for rule in self.rules:
                    self.check_delay(rule, Keys(data, "step"))
            elif "retry_after" in step:
                self.check_hint(step)
                step.done()
            elif "expect_stop" in step:
                self.check_stop(step)
                step.done()
            elif "property" in step:
                self.check_property(step)
                step.done()
            elif "construct" in step:
                self.check_construct(step)
                step.done()
            else:
                step.done()

    def check_delay(self, rule: Backoff, step: Keys) -> None:
        """The k-th delay, drawn once or often."""
        number = step.take("retry") - 1
        random = step.take("random")
        samples = []
        for _ in range(step.take("samples", 1)):
            previous = None
            if rule.jitter == "decorrelated":  # each delay follows from the one before
                for n in range(number):
                    previous = rule.delay(n, self.chance, previous)
            samples.append(rule.delay(number, self.chance if random is None else lambda: random, previous))
        tolerance = self.vector.tolerance
        if (exact := step.take("expect_delay")) is not None:
            assert all(close(delay, exact, tolerance) for delay in samples), f"{rule}: {samples[0]}, expected {exact}"
        least, most = step.take("expect_delay_min"), step.take("expect_delay_max")
        assert least is None or min(samples) >= least - tolerance, min(samples)
        assert most is None or max(samples) <= most + tolerance, max(samples)
        above, below = step.take("expect_delay_above"), step.take("expect_delay_below")
        assert above is None or min(samples) > above
        assert below is None or max(samples) < below
        if (mean := step.take("expect_mean")) is not None:
            assert close(sum(samples) / len(samples), mean, max(tolerance, mean * 0.1))
        if step.take("expect_finite"):
            assert all(0 <= delay <= _NO_CAP for delay in samples)
        step.done()

    def check_stop(self, step: Keys) -> None:
        """The machine's decision after an attempt."""
        pause = Constant(base=step.take("next_delay", 0.0), cap=_NO_CAP, jitter="none")
        most = self.attempts if self.attempts is not None else (self.retries or 10**6) + 1
        run = RetryRun(RetryOptions(most, pause, self.elapsed), 0.0)
        run.attempt = step.take("attempt", 1)
        stopped = isinstance(run.after(Ended(retryable=True), self.chance, step.take("elapsed", 0.0)), GiveUp)
        assert stopped == step.take("expect_stop")

    def check_hint(self, step: Keys) -> None:
        """The pause that a Retry-After header asks for; chance 0 gives the floor itself."""
        text, status = step.take("retry_after"), step.take("status", 503)
        now = step.take("now")
        if isinstance(now, str):
            now = parsedate_to_datetime(now).timestamp()
        headers = {} if text is None else {"Retry-After": str(text)}
        if now is not None:
            headers["Date"] = format_datetime(datetime.fromtimestamp(now, UTC), usegmt=True)
        response = type("Response", (), {"status_code": status, "headers": headers})()
        error = type("StatusError", (Exception,), {"response": response})("status")
        pauses: list[float] = []
        rule = self.rules[0] if self.rules else Constant(base=0.0, jitter="none")
        policy = Retry(
            2,
            backoff=rule,
            retry_after_cap=self.longest,
            respect_retry_after=self.respected,
            chance=lambda: 0.0,
        )

        def function() -> None:
            pauses.append(self.clock.now())
            if len(pauses) == 1:
                raise error

        outcome = Pipeline("vector", policy, registry=None).call_outcome(function)
        assert outcome.error in {None, error}
        delay = pauses[1] - pauses[0] if len(pauses) > 1 else None
        if "expect_stop" in step:
            assert (delay is None) == step.take("expect_stop")
        if "expect_delay" in step:
            wanted = step.take("expect_delay")
            assert close(delay, wanted, max(self.vector.tolerance, 1e-6)), f"waited {delay}, expected {wanted}"

    def check_property(self, step: Keys) -> None:
        """A law over many retries or many bases."""
        law = step.take("property")
        if law == "strictly_increasing":
            first, last = step.take("retries")
            for rule in self.rules:
                delays = [rule.delay(n - 1, self.chance) for n in range(first, last + 1)]
                assert all(a < b for a, b in itertools.pairwise(delays))
        elif law == "abs(delay/base-1)<=0.25":
            for base in itertools.islice(self.bases, step.take("cases", 100)):
                delay = one(self.build(base)).delay(0, self.chance)
                assert abs(delay / base - 1) <= 0.25 + self.vector.tolerance
        else:
            raise NotBuiltError(f"property {law}")

    def check_construct(self, step: Keys) -> None:
        """A configuration is accepted or refused."""
        overrides, expected = step.take("construct"), step.take("expect")
        options = Keys({**self.vector.data["config"], **overrides}, "configuration")
        attempts = options.take("max_attempts", options.take("max_retries", 2) + 1)
        try:
            Retry(attempts, backoff=one(build(options)))
        except ConfigurationError:
            assert expected == "config_error", overrides
        else:
            options.done()
            assert expected == "ok", overrides


_BACKOFF_KEYS = (
    "strategy", "jitter", "base", "factor", "increment", "max", "min", "delays", "delay", "delay_fn", "start",
)  # fmt: skip
