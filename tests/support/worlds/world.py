"""A world built from a scenario: pipelines, decorated functions that do as they are told, a log of all that is seen."""

import asyncio
import re
from collections.abc import Callable
from random import Random

import seawall
from seawall import CircuitOpenError, Pipeline, Registry, RetryBudget, Verdict
from tests.support.worlds.script import Plan

_ID = re.compile(r"\b([rt])-[0-9a-f]{6,16}\b")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


class Stop(BaseException):
    """What no `except Exception` holds."""


class Busy(Exception):
    """What a client library raises for a 429."""

    status_code = 429
    retry_after = 0.2


class Response:
    """An answer over HTTP."""

    def __init__(self, status, wait):
        self.status_code = status
        self.headers = {"Retry-After": wait} if wait else {}

    def __repr__(self):
        return f"Response({self.status_code})"


ERRORS: dict[str, Callable[[], BaseException]] = {
    "connection": lambda: ConnectionError("no route"),
    "value": lambda: ValueError("bad"),
    "type": lambda: TypeError("a bug"),
    "timeout": lambda: TimeoutError("slow"),
    "busy": lambda: Busy("too many"),
    "refused": lambda: CircuitOpenError("further inside", policy="circuit_breaker", name="inner", retry_after=0.1),
    "stop_iteration": StopIteration,
    "interrupt": KeyboardInterrupt,
    "stop": lambda: Stop("stop"),
    "exit": lambda: SystemExit(3),
    "cancelled": asyncio.CancelledError,
}


class World:
    """See above.

    Args:
        scenario: what it is built from.
        clock: of all of it; has `sleep` and `turn`.
    """

    def __init__(self, scenario, clock):
        self.clock = clock
        self.log = []
        self.tries = {}
        self.overrides = []
        self.made = []
        self._dice = Random(scenario.seed)
        # a worker thread that is left behind ends when it likes
        self._at_once = "'thread'" in repr(scenario.pipelines)
        self._joint = RetryBudget(minimum=2)
        self.registry = Registry()
        self.registry.bus.listen(self._happened)
        self.pipelines = []
        for number, spec in enumerate(scenario.pipelines):
            policies = [self._first(one) if one.shared else self._make(one) for one in spec.policies]
            classify = {"odd": _odd, "raises": _raises, "": None}[spec.classify]
            shadow = [self._make(one) for one in spec.shadow]
            name = f"pipe{number}"
            self.pipelines.append(Pipeline(name, *policies, classify=classify, registry=self.registry, shadow=shadow))
        self.functions = [self._decorated(pipeline) for pipeline in self.pipelines]

    def _make(self, spec):
        options = dict(spec.options)
        for name in ("key", "cost"):
            if options.get(name) == "rule":
                options[name] = _key if name == "key" else _cost
        if spec.kind in {"Retry", "CircuitBreaker"}:
            options["chance"] = self._dice.random
        if options.get("budget") == "joint":
            options["budget"] = self._joint
        given = [{"gives": _gives, "fails": _fails}.get(str(one), one) for one in spec.given]
        policy = getattr(seawall, spec.kind)(*given, **options)
        self.made.append(policy)
        return policy

    def _first(self, spec):
        """The policy of the first pipeline that is shared."""
        return self.policy(0, spec.kind)

    def policy(self, where, kind):
        """The policy of that class, or None."""
        found = (one for one in self.pipelines[where].policies if type(one).__name__ == kind)
        return next(found, None)

    def _decorated(self, pipeline):
        """The functions of one pipeline, by name."""
        world = self

        @pipeline
        def plain(plan, key="k"):
            return world.work(plan)

        @pipeline
        def loose(*args, **kwargs):
            return world.work(*args)

        @pipeline.with_options(cost=1.5, idempotent=True)
        def options(plan, /, key="k"):
            return world.work(plan)

        @pipeline
        async def coroutine(plan, *, key="k"):
            return await world.awork(plan)

        @pipeline
        def gives(plan, key="k"):
            return world.awork(plan)

        class Client:
            @pipeline
            def method(self, plan, key="k"):
                return world.work(plan)

            @pipeline
            async def amethod(self, plan, key="k"):
                return await world.awork(plan)

        client = Client()
        return {"plain": plain, "loose": loose, "options": options, "async": coroutine, "gives": gives,
                "method": client.method, "amethod": client.amethod}  # fmt: skip

    # ------------------------------------------------------------ the work

    def work(self, plan):
        """One attempt of a plain function."""
        kind, seconds, detail = self._begin(plan)
        if kind == "awaitable":
            return self._later(seconds, detail)
        if kind == "obeys":
            left = seawall.remaining()
            seconds = seconds if left is None else max(0.0, min(seconds, left))
        getattr(self.clock, "turn", int)()
        if seconds:
            self.clock.sleep(seconds)
        if kind == "nested":
            return self.functions[plan.where]["plain"](_inner(plan, detail), key=plan.key)
        return _end(kind, detail)

    async def awork(self, plan):
        """One attempt of a coroutine function."""
        kind, seconds, detail = self._begin(plan)
        if kind == "awaitable":
            return await self._later(seconds, detail)
        if seconds or plan.number % 3:
            await asyncio.sleep(seconds)
        if kind == "nested":
            return await self.functions[plan.where]["async"](_inner(plan, detail), key=plan.key)
        return _end(kind, detail)

    async def _later(self, seconds, detail):
        await asyncio.sleep(seconds)
        return _end("value" if detail == "fine" else "error", detail)

    def _begin(self, plan):
        tries = self.tries[plan.number] = self.tries.get(plan.number, 0) + 1
        key = seawall.idempotency_key() is not None
        self.log.append(("ran", plan.number, tries, self.clock.now(), seawall.remaining(), key))
        kind, seconds, detail = plan.outcomes[min(tries, len(plan.outcomes)) - 1]
        return kind, 0.0 if self._at_once else seconds, detail

    # ----------------------------------------------------------- the log

    def _happened(self, event):
        self.log.append(("event", type(event).__name__, *event[:2], event._asdict()))

    def gave(self, what, value):
        self.log.append(("gave", what, repr(value), self.clock.now(), seawall.remaining()))

    def raised(self, what, error):
        self.log.append(("raised", what, *told(error), self.clock.now(), seawall.remaining()))

    def look(self):
        """All there is to see, as plain data."""
        snapshot = self.registry.snapshot()
        self.log.append(("seen", snapshot.taken_at, snapshot.pipelines, snapshot.policies))


def told(error):
    """An error as plain data, without what differs between two runs."""
    chain = [type(link).__name__ for link in (error.__cause__, error.__context__)]
    words = _ADDRESS.sub("", _ID.sub(r"\1-id", str(error)))
    notes = [_ID.sub(r"\1-id", note) for note in getattr(error, "__notes__", [])]
    evidence = dict(getattr(error, "evidence", {}) or {})
    return type(error).__name__, words, notes, getattr(error, "retry_after", None), evidence, chain


def _inner(plan, detail):
    """A call inside a call."""
    return Plan(-plan.number, plan.where, "", plan.key, (("value" if detail == "fine" else "error", 0.0, detail),))


def _end(kind, detail):
    if kind == "response":
        return Response(*detail)
    if kind in {"error", "obeys"}:
        error = ERRORS[detail]()
        raise error
    return None if detail == "none" else detail


def _odd(error, value):
    """A rule of the user that knows more."""
    return Verdict.FAILURE if value == "odd" or isinstance(error, ValueError) else None


def _raises(error, value):
    """A rule of the user with a bug."""
    if value == "raises":
        raise LookupError("a bug in the rule")


def _key(*args, **kwargs):
    return kwargs["key"]


def _cost(plan, *args, **kwargs):
    return 1 + plan.number % 2


def _gives(*args, **kwargs):
    return "given"


def _fails(*args, error, **kwargs):
    raise OSError("the second choice fails too")
