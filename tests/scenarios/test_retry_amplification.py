"""Retries do not multiply: budgets, retries inside retries, and what must not be sent twice (user pains 5 and 21)."""

import asyncio
import itertools
import uuid

import pytest

import seawall
from seawall import CircuitBreaker, CircuitOpenError, Pipeline, Registry, Retry, RetryBudget, TimedOutError, Timeout
from seawall.backoff import Constant
from seawall.events.types import RetryGaveUp
from seawall.testing import Recorder, Scripted, run_async, run_threads, seeded_chance, virtual_time
from tests.support.both import both

NOW = Constant(base=0.0, jitter="none")


def again(attempts=3, **options):
    return Retry(attempts, backoff=options.pop("backoff", NOW), **options)


def nest(layers, innermost):
    """`innermost` protected by retries around one another, each in a pipeline of its own."""
    protected = innermost
    for number, retry in enumerate(layers):
        protected = Pipeline(f"layer-{number}", retry, registry=None)(protected)
    return protected


@both(lambda: [again()])
def test_the_innermost_of_three_retries_acts_and_a_dead_dependency_sees_three_calls(driven):
    """R-RT4. tenacity, stamina and hyx make 27."""
    dependency = Scripted([ConnectionError] * 50)
    protected = nest([again(), again()], dependency.acall if driven.colour == "async" else dependency)
    with pytest.raises(ConnectionError):
        driven.call(protected)
    assert dependency.calls == 3


def test_an_error_raised_from_a_given_up_one_is_final_too():
    """R-RT4"""
    dependency = Scripted([ConnectionError] * 50)
    inner = nest([again()], dependency)

    def wrapping():
        try:
            return inner()
        except ConnectionError as error:
            raise OSError("storage") from error

    with pytest.raises(OSError, match="storage"):
        Pipeline("outer", again(), registry=None).call(wrapping)
    assert dependency.calls == 3


def test_a_given_up_error_in_a_group_is_final_too():
    """R-RT4"""
    calls = []

    def failing():
        calls.append(1)
        raise ConnectionError

    inner = nest([again()], failing)

    async def both():
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(inner))

    with pytest.raises(ExceptionGroup):
        run_async(Pipeline("outer", again(), registry=None).acall(both))
    assert len(calls) == 3


def test_a_retry_that_says_nested_acts_on_what_was_given_up_inside():
    """R-RT4"""
    dependency = Scripted([ConnectionError] * 50)
    with pytest.raises(ConnectionError):
        nest([again(budget=None), again(nested=True)], dependency)()
    assert dependency.calls == 9


def test_a_retry_of_one_attempt_leaves_it_to_the_one_around_it():
    """R-RT4"""
    dependency = Scripted([ConnectionError] * 50)
    with pytest.raises(ConnectionError):
        nest([again(1), again()], dependency)()
    assert dependency.calls == 3


def test_an_error_object_that_is_raised_again_and_again_is_retried_in_every_call():
    """R-RT4: the mark of an earlier call says nothing about this one."""
    only = ConnectionError("one object")
    calls = []

    def failing():
        calls.append(1)
        raise only

    protected = nest([again(budget=None)], failing)
    for _ in range(4):
        with pytest.raises(ConnectionError):
            protected()
    assert len(calls) == 12


def test_an_answer_that_was_given_up_inside_is_final():
    """R-RT4"""

    class Busy:
        status_code = 503
        headers: dict[str, str] = {}  # noqa: RUF012

    calls = []

    def answering():
        calls.append(1)
        return Busy()

    assert isinstance(nest([again(), again()], answering)(), Busy)
    assert len(calls) == 3


@pytest.mark.slow
def test_clients_of_a_dead_dependency_send_at_most_a_quarter_more():
    """R-RT4: 1,000 clients at 10/s each for 12 s, without a breaker. Plain retries would send three times as much."""
    chance = seeded_chance(3)
    load = 0
    with virtual_time() as clock:
        for _ in range(1000):
            load += _one_client(clock, chance)
    assert load <= 1.25 * 1000 * 120


def _one_client(clock, chance):
    """How many calls one client sends; all time is its own, so clients may be played one after another."""
    retry = Retry(3, backoff=Constant(base=0.0, jitter="none"), chance=chance)
    pipeline = Pipeline("dead", retry, registry=None)
    sent = itertools.count()

    def failing():
        next(sent)
        raise ConnectionError

    for _ in range(120):
        clock.advance(0.1)
        pipeline.call_outcome(failing)
    return next(sent)


def test_two_retries_with_one_budget_share_it():
    """R-RT4"""
    budget = RetryBudget(0.0, floor=0.0, minimum=3)
    dependency = Scripted([ConnectionError] * 50)
    for name in ("reads", "writes"):
        with pytest.raises(ConnectionError):
            Pipeline(name, again(3, budget=budget), registry=None).call(dependency)
    assert dependency.calls == 3 + 2  # two retries for the first, one for the second
    assert budget.counts() == {"deposits": 2, "withdrawals": 3, "refused": 1}


def test_a_spent_budget_is_a_reason_of_its_own():
    """R-RT6"""
    registry = Registry()
    pipeline = Pipeline("p", again(3, budget=RetryBudget(0.0, floor=0.0, minimum=0)), registry=registry)
    with Recorder(registry.bus) as recorder, pytest.raises(ConnectionError):
        pipeline.call(Scripted([ConnectionError] * 3))
    assert [(e.attempts, e.reason) for e in recorder.of(RetryGaveUp)] == [(1, "budget")]


def test_a_retry_that_is_cancelled_in_its_sleep_is_given_back():
    """R-RT4, R-RT5"""
    budget = RetryBudget(0.0, floor=0.0, minimum=1)
    pipeline = Pipeline("p", again(2, budget=budget, backoff=Constant(base=5.0, jitter="none")), registry=None)

    async def main():
        task = asyncio.create_task(pipeline.acall(Scripted([ConnectionError] * 3).acall))
        await asyncio.sleep(1.0)
        assert budget.counts()["withdrawals"] == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with virtual_time(pipeline):
        run_async(main())
        assert budget.counts()["withdrawals"] == 0


def test_a_retry_that_was_refused_before_it_was_sent_is_given_back():
    """R-RT4"""
    budget = RetryBudget(0.0, floor=0.0, minimum=4)
    pipeline = Pipeline("p", again(3, budget=budget), CircuitBreaker(1, recovery_timeout=60.0), registry=None)
    with virtual_time(pipeline), pytest.raises(ConnectionError):
        pipeline.call(Scripted([ConnectionError] * 9))
    assert budget.counts()["withdrawals"] == 0


@both(lambda: [again(3), CircuitBreaker(1, recovery_timeout=60.0), Timeout(1.0, mode="cooperative")])
def test_an_attempt_that_timed_out_before_the_circuit_opened_surfaces_as_the_timeout(driven):
    """R-CB6: it may have been executed, so it must not look like a refusal. pybreaker raises its own error."""

    def hanging():
        driven.pipeline.clock.sleep(2.0)
        raise ConnectionError

    with pytest.raises(TimedOutError) as caught:
        driven.call((lambda: asyncio.sleep(2.0)) if driven.colour == "async" else hanging)
    assert not isinstance(caught.value, CircuitOpenError)
    assert any("refused" in note for note in caught.value.__notes__)


class TestWhatMustNotBeSentTwice:
    """R-RT3"""

    @pytest.mark.parametrize(
        "error, calls", [(ConnectionResetError, 1), (TimeoutError, 1), (ConnectionRefusedError, 3)]
    )
    def test_only_what_was_certainly_not_sent_is_tried_again(self, error, calls):
        dependency = Scripted([error] * 9)
        registry = Registry()
        pipeline = Pipeline("orders", again(3, idempotent=False), registry=registry)
        with Recorder(registry.bus) as recorder, pytest.raises(error):
            pipeline.call(dependency)
        assert dependency.calls == calls
        assert recorder.of(RetryGaveUp)[0].reason == ("not_idempotent" if calls == 1 else "attempts")

    def test_a_call_may_say_of_itself_that_it_can_be_repeated(self):
        dependency = Scripted([TimeoutError, "done"])
        pipeline = Pipeline("orders", again(3, idempotent=False), registry=None)
        assert pipeline.with_options(idempotent=True).call(dependency) == "done"

    def test_a_call_may_say_of_itself_that_it_cannot(self):
        dependency = Scripted([TimeoutError, "done"])
        pipeline = Pipeline("orders", again(3), registry=None)
        with pytest.raises(TimeoutError):
            pipeline.with_options(idempotent=False).call(dependency)
        assert dependency.calls == 1

    @both(lambda: [again(3, idempotent="key", budget=None)])
    def test_all_attempts_of_a_call_have_one_key_and_the_next_call_has_another(self, driven):
        """gocardless made a new key for each attempt."""
        keys = []

        def failing():
            keys.append(seawall.idempotency_key())
            raise ConnectionError

        for _ in range(2):
            with pytest.raises(ConnectionError):
                driven.call(failing)
        first, second = keys[0], keys[3]
        assert keys == [first] * 3 + [second] * 3
        assert first != second
        assert uuid.UUID(first).version == 4
        assert seawall.idempotency_key() is None

    def test_a_block_is_given_its_key(self):
        keys = set()
        pipeline = Pipeline("orders", again(3, idempotent="key"), registry=None)

        def place():
            for attempt in pipeline.attempts():
                keys.add(attempt.idempotency_key)
                with attempt:
                    raise ConnectionError

        with pytest.raises(ConnectionError):
            place()
        assert len(keys) == 1
        assert None not in keys

    def test_a_coroutine_sees_its_key_while_it_runs(self):
        async def work():
            await asyncio.sleep(0)
            return seawall.idempotency_key()

        assert run_async(Pipeline("orders", again(3, idempotent="key"), registry=None).acall(work))


class TestGoingAway:
    """R-RT5"""

    @both(lambda: [again(5, backoff=Constant(base=3600.0, cap=3600.0, jitter="none"))])
    def test_a_drain_ends_the_sleep_at_once_with_the_last_error(self, driven):
        clock = driven.pipeline.clock
        bus = driven.pipeline.policies[0].bus
        began = clock.now()

        def failing():
            if clock.now() > began:
                raise AssertionError("no attempt after the drain")
            bus.drain.begin()
            raise ConnectionError("last")

        with pytest.raises(ConnectionError, match="last"):
            driven.call(failing)
        assert clock.now() == began
        bus.drain.end()

    def test_a_drain_that_comes_during_the_sleep_wakes_it(self):
        registry = Registry()
        pipeline = Pipeline("p", again(5, backoff=Constant(base=3600.0, cap=3600.0, jitter="none")), registry=registry)

        async def main():
            task = asyncio.create_task(pipeline.acall(Scripted([ConnectionError] * 9).acall))
            await asyncio.sleep(10.0)
            registry.drain()
            with pytest.raises(ConnectionError):
                await task

        with virtual_time(pipeline) as clock, Recorder(registry.bus) as recorder:
            run_async(main())
            assert clock.now() < 11.0
        assert [e.reason for e in recorder.of(RetryGaveUp)] == ["draining"]
        registry.resume()

    def test_a_thread_that_sleeps_between_attempts_is_woken_by_a_drain(self):
        registry = Registry()
        pipeline = Pipeline("p", again(5, backoff=Constant(base=60.0, cap=60.0, jitter="none")), registry=registry)
        with virtual_time(pipeline) as clock:

            def failing():
                pipeline.call_outcome(Scripted([ConnectionError] * 9))
                return clock.now()

            def draining():
                clock.sleep(1.0)
                registry.drain()
                return clock.now()

            assert run_threads(failing, draining) == [1.0, 1.0]
        registry.resume()
