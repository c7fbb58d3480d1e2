"""Plays a scenario and gives the log: with plain calls, with tasks, or with threads that run one at a time."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import contextmanager
from random import Random
from typing import Any

import seawall
from seawall.core.clock import using_clock
from seawall.testing import compiled, run_async, virtual_time
from tests.support.worlds.turns import Turns
from tests.support.worlds.world import World, told


def play(scenario, generated):
    """All that was seen, in order; `generated` says whether decorated functions are."""
    with compiled(generated):
        if scenario.mode == "threads":
            clock = Turns(Random(scenario.seed))
            with using_clock(clock):
                world = World(scenario, clock)
                actors = _by_actor(scenario.steps)
                clock.run(*[lambda steps=steps: act(world, steps) for steps in actors.values()])
                return _closed(world)
        with virtual_time() as virtual:
            world = World(scenario, virtual)
            if scenario.mode == "calls":
                act(world, scenario.steps)
            else:
                run_async(_together(world, _by_actor(scenario.steps)))
            return _closed(world)


def _by_actor(steps):
    actors: dict = {}
    for step in steps:
        actors.setdefault(step.actor, []).append(step)
    return actors


def _closed(world):
    """The log, once all is over."""
    world.look()
    journal = world.registry.bus.journal
    world.log.append(("journal", journal.appended, journal.successes(), world.registry.bus.listener_errors))
    world.log.append(("budgets", [dict(one.budget.counts()) for one in world.made if getattr(one, "budget", None)]))
    world.log.append(("left", world.registry.shutdown(timeout=0)))
    return world.log


# ---------------------------------------------------------------- plain code


def act(world, steps):
    """One actor in plain code."""
    for step in steps:
        try:
            value = _do(world, step)
        except BaseException as error:
            world.raised(_name(step), error)
        else:
            world.gave(_name(step), value)


def _do(world, step):
    if step.what == "call":
        plan = step.value
        value = world.functions[plan.where][plan.function](plan, key=plan.key)
        if not inspect.isawaitable(value):
            return value
        return run_async(_awaited(value))
    if step.what == "sleep":
        return world.clock.sleep(step.value)
    if not step.steps:
        return _at_once(world, step)
    with _block(world, step):
        return act(world, step.steps)


async def _awaited(value):
    return await value


def _at_once(world, step):
    """What neither waits nor calls."""
    return world.look() if step.what == "look" else change(world, *step.value)


@contextmanager
def _block(world, step):
    if step.what == "permit":
        with world.pipelines[step.value].permit():
            yield
    elif step.what == "deadline":
        with seawall.deadline(step.value):
            yield
    else:
        where, changes = step.value
        with seawall.override(None if where is None else world.pipelines[where].name, **changes):
            yield


def _name(step):
    return step.value.number if step.what == "call" else step.what


# --------------------------------------------------------------------- tasks


async def _together(world, actors):
    """Each actor in a task of its own."""
    tasks: dict = {}
    for actor, steps in actors.items():
        tasks[actor] = asyncio.create_task(_aact(world, steps, tasks))
    # one that was cancelled before it began has not even seen that
    world.gave("tasks", [str(one) for one in await asyncio.gather(*tasks.values(), return_exceptions=True)])


async def _aact(world, steps, tasks):
    for step in steps:
        try:
            value = await _ado(world, step, tasks)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                tasks[step.actor].uncancel()
            world.raised(_name(step), error)
        else:
            world.gave(_name(step), value)


async def _ado(world, step, tasks):
    if step.what == "call":
        plan = step.value
        value = world.functions[plan.where][plan.function](plan, key=plan.key)
        return await value if inspect.isawaitable(value) else value
    if step.what == "sleep":
        return await asyncio.sleep(step.value)
    if step.what == "cancel":
        return step.value in tasks and tasks[step.value].cancel()
    if not step.steps:
        return _at_once(world, step)
    if step.what == "permit":
        async with world.pipelines[step.value].permit():
            return await _aact(world, step.steps, tasks)
    with _block(world, step):
        return await _aact(world, step.steps, tasks)


# ------------------------------------------------------------------- changes


def change(world, name, where, argument):
    """Other settings while calls are made; without the policy they are for, nothing."""
    if name in _ON_POLICY:
        kind, act_on = _ON_POLICY[name]
        policy = world.policy(where, kind)
        return None if policy is None else act_on(policy, argument)
    pipeline, bus = world.pipelines[where], world.registry.bus
    if name in {"drain", "resume"}:
        getattr(world.registry, name)()
    elif name == "override":
        world.overrides.append((pipeline, pipeline.override(owner="o", reason="r", expires_in=0.5, **argument)))
    elif name == "lift" and world.overrides:
        one, override = world.overrides.pop()
        return one.lift(override)
    elif name == "record":
        bus.recording = Kept(world) if argument else None
    elif name == "listen":
        bus.listen(_broken)
    return None


_ON_POLICY: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "trip": ("CircuitBreaker", lambda breaker, _: breaker.trip()),
    "half_open": ("CircuitBreaker", lambda breaker, _: breaker.half_open()),
    "reset": ("CircuitBreaker", lambda breaker, _: breaker.reset()),
    "release": ("CircuitBreaker", lambda breaker, _: breaker.release()),
    "force": ("CircuitBreaker", lambda breaker, state: breaker.force(state, owner="o", reason="r", expires_in=0.3)),
    "rate": ("RateLimiter", lambda limiter, rate: limiter.update(rate)),
    "burst": ("RateLimiter", lambda limiter, burst: limiter.update(burst=burst)),
    "forget_rate": ("RateLimiter", lambda limiter, _: limiter.reset()),
    "resize": ("Bulkhead", lambda bulkhead, slots: bulkhead.resize(slots)),
    "retryable": ("Retry", lambda retry, rule: setattr(retry, "retryable", rule)),
}


def _broken(event):
    raise RuntimeError("a listener with a bug")


class Kept:
    """A recording that is kept in the log."""

    def __init__(self, world):
        self._world = world

    def ended(self, name, call, outcome, error, now):
        attempts = [list(one) for one in call.log]
        self._world.log.append(("recorded", name, outcome, None if error is None else told(error), now, attempts))

    def stop(self):
        self._world.registry.bus.recording = None
