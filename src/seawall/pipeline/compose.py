"""`Pipeline`: policies in order around a call, the same object for sync and async."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from seawall.core.clock import Clock, current_clock
from seawall.core.errors import ConfigurationError, RejectedError
from seawall.core.fork import renew_after_fork
from seawall.core.validate import number, text
from seawall.drive.call import AwaitableFound, Call, CallOptions
from seawall.pipeline.calling import Bound, Calls
from seawall.pipeline.kinds import label_of
from seawall.pipeline.order import check_order
from seawall.pipeline.overrides import Overridable
from seawall.pipeline.registry import Registry, default_registry
from seawall.policies.circuit_breaker import CircuitBreaker
from seawall.policies.timeout import Deadline, Timeout

if TYPE_CHECKING:
    from seawall.core.snapshot import PipelineSnapshot
    from seawall.drive import sync
    from seawall.drive.stream import StreamPlan
    from seawall.pipeline.blocks import Attempts, PermitBlock
    from seawall.pipeline.judge import Classify
    from seawall.policies.base import PolicyBase

P = ParamSpec("P")
R = TypeVar("R")


class Pipeline(Calls, Overridable):
    """A named set of policies around calls to one dependency.

    Policies are given outermost first: fallback, deadline, retry, circuit breaker, rate limiter, bulkhead, timeout. A
    refusal (`RejectedError`) leaves the pipeline only if no attempt of that call began; otherwise the last real
    exception does. The same object protects plain functions and coroutines, from threads and tasks at once.

    Args:
        name: of the dependency; the label in logs, metrics and on the dashboard. Unique in its registry.
        policies: outermost first. One policy object may stand in several pipelines, which then share its state.
        classify: takes (error or None, value) and gives a `Verdict`, or None for the default rules.
        registry: where it is registered; the default registry if not given.
        shadow: circuit breakers, rate limiters and bulkheads to try on real calls: they count and report what they
            would have done, and never delay or refuse. For calls; blocks and streams go without.
        measure: count and time calls that succeed (default). Without, decorated functions count only what decisions
            need: refusals, failures and transitions are reported as ever, successes are missing from counts, durations
            and the journal. Saves some 0.1 µs a call.

    Raises:
        ConfigurationError: if the name is taken or the order plainly wrong.
    """

    def __init__(
        self,
        name: str,
        *policies: PolicyBase,
        classify: Classify | None = None,
        registry: Registry | None = default_registry,
        shadow: Sequence[PolicyBase] = (),
        measure: bool = True,
    ) -> None:
        # late: what drives calls takes as long to load as all the rest, and no call shall wait for it
        import copy  # noqa: F401 - for overrides

        from seawall.core import outcome  # noqa: F401 - for `call_outcome`
        from seawall.drive import beside, sync_stream  # noqa: F401 - for `sync` and `_stream`
        from seawall.drive.stream import plan
        from seawall.pipeline import blocks  # noqa: F401 - for `permit` and `attempts`
        from seawall.pipeline.explain import slow_limit
        from seawall.pipeline.generated import Generated
        from seawall.pipeline.judge import Judge
        from seawall.pipeline.shadow import Shadows

        text("Pipeline.name", name)
        check_order(name, policies)
        self._shadows = Shadows(name, shadow) if shadow else None
        self.name = name
        self._pipeline = self
        self.policies = policies
        self.clock = current_clock()
        self._sync: sync.Step | None = None
        self._async: Callable[[Call], Awaitable[Any]] | None = None
        self._plan = plan(policies)
        bus = (default_registry if registry is None else registry).bus
        if not isinstance(measure, bool):
            raise ConfigurationError(f"Pipeline.measure = {measure!r}: must be True or False")
        self._judge = Judge(name, bus, self.clock, classify, measure=measure)
        self._judge.overridden = lambda: self._operator
        self._generated = Generated(self)
        before = [(policy, policy.name, policy.pipelines, policy.bus) for policy in (*policies, *self.shadow)]
        self._bind(bus)
        self._judge.slow = slow_limit(policies)
        self.registered = registry is not None
        if registry is not None:
            try:
                registry.add(self)
            except ConfigurationError:
                for policy, was, pipelines, old_bus in before:
                    policy.rebind(was, pipelines, old_bus)
                raise
        renew_after_fork(self._judge)

    def _bind(self, bus: Any) -> None:
        """Give policies without a name this one's, and the breaker the timeout its lease follows from."""
        seen: dict[str, int] = {}
        for policy in self.policies:
            number = seen[policy.kind] = seen.get(policy.kind, 0) + 1
            policy.bind(self.name if number == 1 else f"{self.name}-{number}", bus)
            if self.name not in policy.pipelines:
                policy.pipelines = (*policy.pipelines, self.name)
        limits = [policy.longest_wait for policy in self.policies if type(policy) is Timeout]
        for policy in self.policies:
            if isinstance(policy, CircuitBreaker) and limits and math.isfinite(limits[-1]):
                policy.attempt_timeout(limits[-1])
        for number, policy in enumerate(self.shadow, 1):
            policy.bind(f"{self.name}-shadow{'' if number == 1 else f'-{number}'}", bus)
            policy.pipelines = (self.name,)

    @property
    def shadow(self) -> tuple[PolicyBase, ...]:
        """The candidates that run in shadow."""
        return () if self._shadows is None else self._shadows.candidates

    def _chain(self, policies: Sequence[PolicyBase]) -> Sequence[Any]:
        """Live policies with the candidates among them."""
        return policies if self._shadows is None else self._shadows.among(policies)

    # ----------------------------------------------------------- calling

    def for_key(self, key: Hashable) -> Bound:
        """The same calls, with `key` given to the policies that keep a state for each key."""
        return Bound(self, CallOptions(key=key))

    def with_options(self, *, key: Hashable = None, cost: float | None = None, idempotent: bool | None = None) -> Bound:
        """The same calls, with something said of them in particular.

        Args:
            key: for policies that keep a state for each key, in place of their own rule.
            cost: tokens each call takes of the rate limits; > 0.
            idempotent: whether doing it twice does no harm; overrides what the retry says of itself.

        Raises:
            ConfigurationError: if a value is out of its range.
        """
        if cost is not None:
            number("with_options.cost", cost, above=True)
        return Bound(self, CallOptions(key, cost, idempotent))

    def _parts(self) -> StreamPlan:
        """What stands around a stream now."""
        changed = self._in_force()
        if changed is None:
            return self._plan
        from seawall.drive.stream import plan  # late: loaded when this was made

        return plan(changed)

    def _check_sync(self) -> None:
        """Refuse a plain function under a timeout that does not say how."""
        for policy in self.policies:
            if isinstance(policy, Timeout) and not isinstance(policy, Deadline):
                policy.check_sync()

    def _check_stream(self) -> None:
        """Refuse a stream through a policy that keeps values."""
        for policy in self.policies:
            if policy.shape == "cache":
                raise ConfigurationError(
                    f'Pipeline "{self.name}": {type(policy).__name__} keeps values and has no part in a stream; '
                    "use a pipeline without it, or Fallback"
                )

    def _run(self, call: Call) -> Any:
        """Drive a call, and count it."""
        step = self._sync
        if step is None:
            from seawall.drive import sync  # late: loaded when this was made

            self._check_sync()
            step = self._sync = sync.build(self._chain(self.policies))
        changed = None if call.resumed is not None else self._in_force()
        if changed is not None:
            from seawall.drive import sync

            step = sync.build(self._chain(changed))
        try:
            self._judge.enter(call)
            value = step(call)
        except AwaitableFound as found:
            call.awaitable = found.value
            self._judge.leave(call)
            return self._arun(call)
        except RejectedError as refusal:
            instead = call.surfacing(refusal)
            self._judge.finished(call, instead)
            if instead is refusal:
                raise
        except BaseException as error:
            self._judge.finished(call, error)
            raise
        else:
            self._judge.finished(call, None)
            return value
        finally:
            if call.counted:  # a signal handler has raised on the way
                self._judge.leave(call)
        try:
            raise instead  # outside the handler: `from None` would wipe out the cause the dependency gave it
        finally:
            del instead

    async def _arun(self, call: Call) -> Any:
        """Drive a call, and count it."""
        step = self._async
        if step is None:
            from seawall.drive import aio  # late: it imports asyncio

            step = self._async = aio.build(self._chain(self.policies))
        changed = None if call.resumed is not None else self._in_force()
        if changed is not None:
            from seawall.drive import aio

            step = aio.build(self._chain(changed))
        try:
            self._judge.enter(call)
            value = await step(call)
        except RejectedError as refusal:
            instead = call.surfacing(refusal)
            self._judge.finished(call, instead)
            if instead is refusal:
                raise
        except BaseException as error:
            self._judge.finished(call, error)
            raise
        else:
            self._judge.finished(call, None)
            return value
        finally:
            call.let_go()
            if call.counted:  # a signal handler has raised on the way
                self._judge.leave(call)
        try:
            raise instead  # outside the handler: `from None` would wipe out the cause the dependency gave it
        finally:
            del instead

    # -------------------------------------------------------------- blocks

    def permit(self) -> PermitBlock:
        """`with pipeline.permit(): …` or `async with …`: the block runs under the guards and the bulkhead.

        Raises:
            ConfigurationError: if the pipeline has a policy that cannot act on a block.
        """
        from seawall.pipeline.blocks import PermitBlock  # late: loaded when this was made

        return PermitBlock(self.name, self._in_force() or self.policies, self._judge, self.clock)

    def attempts(self) -> Attempts:
        """`for attempt in pipeline.attempts(): with attempt: …`, or with `async for` and `async with`.

        The block runs again as the retry of the pipeline decides; its last error leaves the loop.

        Raises:
            ConfigurationError: if the pipeline has no retry, or a policy that cannot act on a block.
        """
        from seawall.pipeline.blocks import Attempts  # late: loaded when this was made

        return Attempts(self.name, self._in_force() or self.policies, self._judge, self.clock)

    # -------------------------------------------------------------- people

    def explain(self) -> str:
        """The policies in order, with the longest time and the most calls one call of this pipeline can cause."""
        from seawall.pipeline.explain import explain  # late: loaded when this was made

        return explain(self.name, self.policies)

    def snapshot(self) -> PipelineSnapshot:
        """Counts and durations of logical calls, as plain data."""
        from seawall.core.snapshot import PipelineSnapshot  # late: loaded when this was made

        counters, durations = self._judge.counts()
        if self._shadows is not None:
            counters["shadow.errors"] = self._shadows.errors.total()
        return PipelineSnapshot(
            name=self.name,
            policies=tuple((policy.kind, policy.name) for policy in self.policies),
            counters=counters,
            histograms={"duration": durations},
            overrides=self._shown_overrides(),
        )

    @contextmanager
    def rebound(self, clock: Clock, *, policies: bool = True) -> Iterator[None]:
        """Run on another clock, counting afresh, inside the block; with its policies, unless they are moved already."""
        with ExitStack() as stack:
            for policy in (*self.policies, *self.shadow) if policies else ():
                stack.enter_context(policy.rebound(clock))
            stack.enter_context(self._judge.rebound(clock))
            before, self.clock = self.clock, clock
            try:
                yield
            finally:
                self.clock = before

    def __repr__(self) -> str:
        return f"<Pipeline {self.name!r} {' > '.join(type(policy).__name__ for policy in self.policies)}>"


def alone(policy: PolicyBase, fn: Any) -> Any:
    """Protect `fn` with one policy that stands in no named pipeline."""
    if isinstance(fn, classmethod | staticmethod):
        return type(fn)(alone(policy, fn.__func__))
    pipeline = policy._alone
    if not isinstance(pipeline, Pipeline):
        named = policy.pipelines
        pipeline = policy._alone = Pipeline(policy.name or label_of(fn), policy, registry=None)
        policy.pipelines = named
        default_registry.add_policy(policy)
    return pipeline(fn)
