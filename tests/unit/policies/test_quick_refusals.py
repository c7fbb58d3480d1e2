"""Refusals that generated code raises by itself: told later, and like those of the drivers in all else."""

import pickle

import pytest

from seawall import CircuitBreaker, CircuitOpenError, Deadline, Fallback, Pipeline, Registry, Retry, deadline
from seawall.events.types import CallRejected, CircuitHalfOpened, CircuitReleased
from seawall.policies.circuit_refusing import QuickCircuitOpenError
from seawall.testing import compiled, virtual_time

REFUSALS = 40


class World:
    """A circuit that a function of a pipeline is behind, with a journal of its own."""

    def __init__(self, *policies):
        self.registry = Registry()
        self.policies = policies or (Retry(3), CircuitBreaker(1, recovery_timeout=30.0))
        self.breaker = next(one for one in self.policies if isinstance(one, CircuitBreaker))
        self.pipeline = Pipeline("p", *self.policies, registry=self.registry)
        self.function = self.pipeline(self.work)
        self.ran = 0

    def work(self):
        self.ran += 1
        return 1

    def refused(self):
        with pytest.raises(CircuitOpenError) as caught:
            self.function()
        return caught.value


@pytest.fixture
def clock():
    with virtual_time() as clock, compiled(True):
        yield clock


def told(error, journal):
    """What an error says, without what differs between two processes alike."""
    number = next(one.event.number for one in journal if one.id == error.id)
    return (
        type(error).__name__,
        str(error).partition(" (explain")[0],
        error.retry_after,
        error.evidence,
        error.policy,
        number,
    )


@pytest.mark.parametrize("force", [None, 7.5, "for ever"])
def test_refusals_of_generated_code_say_count_and_leave_the_same_as_those_of_the_drivers(clock, force):
    """R-CB6, R-PL4"""
    seen = []
    for on in (True, False):
        clock.advance(100.0 - clock.now() % 100.0)
        with compiled(on):
            world = World()
        if force is None:
            world.breaker.trip()
        else:
            expires = None if force == "for ever" else force
            world.breaker.force("open", owner="me", reason="a test", expires_in=expires)
        errors = []
        for _ in range(REFUSALS):
            errors.append(world.refused())
            clock.advance(0.1)
        assert isinstance(errors[-1], QuickCircuitOpenError) is on
        journal = list(world.registry.bus.journal)
        start = clock.now() - REFUSALS * 0.1
        seen.append(
            (
                [
                    (*told(error, journal)[:2], round(error.retry_after or 0, 6), told(error, journal)[5])
                    for error in errors
                ],
                [{**error.evidence, "since": 0} for error in errors],
                [(type(one.event).__name__, one.event.number, round(one.event.at - start, 6)) for one in journal],
                world.breaker.snapshot().counters,
                world.pipeline.snapshot().counters,
                world.pipeline.snapshot().histograms["duration"].counts,
                world.policies[0].snapshot().counters,
                world.ran,
            )
        )
    assert seen[0] == seen[1]


def test_an_error_can_be_pickled_and_read_long_after(clock):
    """R-CB6"""
    world = World()
    world.breaker.trip()
    world.refused()
    error = world.refused()
    clock.advance(10.0)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is CircuitOpenError
    for one in (error, again):
        assert one.retry_after == 30.0
        assert (one.policy, one.name, one.evidence["reason"]) == ("circuit_breaker", "p", "open")
        assert str(one).startswith('Call to "p" rejected: circuit open for another 30 s; nothing was sent.')
        assert one.args == (str(one),)
    assert repr(error).startswith("CircuitOpenError('Call to")
    assert world.registry.explain(error.id).found


def test_what_was_refused_is_told_before_the_circuit_moves(clock):
    """R-PL4"""
    world = World()
    world.breaker.trip()
    for _ in range(5):
        world.refused()
    clock.advance(30.0)
    assert world.function() == 1
    kinds = [type(one.event) for one in world.registry.bus.journal]
    assert kinds.index(CircuitHalfOpened) == 1 + 5
    assert kinds[1:6] == [CallRejected] * 5
    numbers = [one.event.number for one in world.registry.bus.journal]
    assert numbers == sorted(numbers)


def test_a_pin_that_is_released_lets_calls_through_at_once(clock):
    """R-CB1"""
    world = World()
    world.breaker.force("open", owner="me", reason="a test", expires_in=30.0)
    world.refused()
    assert isinstance(world.refused(), QuickCircuitOpenError)
    world.breaker.release(owner="me")
    assert world.function() == 1
    assert [type(one.event) for one in world.registry.bus.journal][-1] is CircuitReleased


def test_who_listens_hears_of_each_refusal_as_it_happens(clock):
    """R-PL4"""
    world = World()
    heard: list[object] = []
    world.breaker.trip()
    world.refused()
    world.refused()
    subscription = world.registry.bus.listen(heard.append, [CallRejected])
    for count in range(1, 4):
        assert not isinstance(world.refused(), QuickCircuitOpenError)
        assert len(heard) == count
    subscription.cancel()
    late: list[object] = []
    world.registry.bus.listen(late.append, [CallRejected], prompt=False)
    world.refused()
    before = len(late)
    assert isinstance(world.refused(), QuickCircuitOpenError)
    assert len(late) == before
    world.registry.snapshot()
    assert len(late) == before + 1


@pytest.mark.parametrize(
    "policies",
    [
        lambda: (Fallback("instead"), CircuitBreaker(1)),
        lambda: (Deadline(60.0), Retry(3), CircuitBreaker(1, recovery_timeout=100.0)),
        lambda: (Retry(1), CircuitBreaker(1)),
        lambda: (Retry(3, retry_after_cap=1.0), CircuitBreaker(1)),
    ],
    ids=["fallback", "deadline", "one attempt", "too long a pause"],
)
def test_where_more_comes_of_a_refusal_the_drivers_refuse(clock, policies):
    """R-CB6"""
    world = World(*policies())
    world.breaker.trip()
    for _ in range(3):
        outcome = world.pipeline.call_outcome(world.function)
        assert outcome.value == "instead" or type(outcome.error) is CircuitOpenError


def test_under_a_deadline_a_retry_waits_for_the_circuit_as_ever(clock):
    """R-RT3"""
    world = World(Retry(3), CircuitBreaker(1, recovery_timeout=5.0))
    world.breaker.trip()
    world.refused()
    assert isinstance(world.refused(), QuickCircuitOpenError)
    with deadline(60.0):
        assert world.function() == 1


def test_a_question_takes_nothing(clock):
    """R-CB8"""
    breaker = CircuitBreaker(1, recovery_timeout=10.0, half_open_max_calls=1)
    assert breaker.allows()
    breaker.trip()
    assert not breaker.allows()
    clock.advance(10.0)
    assert [breaker.allows() for _ in range(3)] == [True] * 3
    permit = breaker.allow()
    assert not breaker.allows()
    permit.success()
    breaker.force("open", owner="me", reason="a test")
    assert not breaker.allows()
    breaker.force("disabled", owner="me", reason="a test")
    assert breaker.allows()
    assert breaker.snapshot().counters["requests.rejected"] == 0


def test_a_circuit_that_has_opened_again_is_refused_by_generated_code_too(clock):
    """R-CB6"""
    world = World(CircuitBreaker(1, recovery_timeout=30.0))
    fails = True

    def work():
        if fails:
            raise ConnectionError
        return 1

    function = world.pipeline(work)
    for _ in range(3):
        with pytest.raises(ConnectionError):  # the first opens it, the others are trials
            function()
        errors = []
        for _ in range(3):
            with pytest.raises(CircuitOpenError) as caught:
                function()
            errors.append(caught.value)
        assert isinstance(errors[-1], QuickCircuitOpenError)
        clock.advance(30.0)
    fails = False
    assert function() == function() == 1
    assert world.breaker.state == "closed"
