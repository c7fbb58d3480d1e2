"""The verdict table: what each end of a call means to each policy."""

import asyncio
from contextlib import suppress

import pytest

from seawall import (
    Bulkhead,
    BulkheadFullError,
    CircuitBreaker,
    CircuitOpenError,
    Fallback,
    Pipeline,
    RateLimitedError,
    RateLimiter,
    Registry,
    Retry,
    TimedOutError,
    Timeout,
    Verdict,
)
from seawall.backoff import Constant
from seawall.testing import Scripted, run_async, run_both, virtual_time
from tests.support.names import named
from tests.support.policies import Watch


class Answer:
    """An HTTP answer."""

    def __repr__(self):
        return f"Answer({self.status_code})"

    def __init__(self, status, **headers):
        self.status_code = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class AnswerError(Exception):
    """An SDK's error with an answer in it."""

    def __init__(self, status, **headers):
        super().__init__(f"status {status}")
        self.response = Answer(status, **headers)


#: end of the call → verdict, breaker (failure counted, success counted, neutral), rate gate shut
TABLE = [
    ("a value", "fine", Verdict.SUCCESS, "success", False),
    ("an answer 200", Answer(200), Verdict.SUCCESS, "success", False),
    ("an error", ConnectionError("x"), Verdict.FAILURE, "failure", False),
    ("an answer 500", Answer(500), Verdict.FAILURE, "failure", False),
    ("an error 500", AnswerError(500), Verdict.FAILURE, "failure", False),
    ("a timeout", TimeoutError("x"), Verdict.DROPPED, "failure", False),
    ("an answer 503", Answer(503, retry_after="7"), Verdict.DROPPED, "failure", False),
    ("an answer 429", Answer(429, retry_after="7"), Verdict.THROTTLED, None, True),
    ("an error 429", AnswerError(429, retry_after="7"), Verdict.THROTTLED, None, True),
    ("a 429 without a hint", Answer(429), Verdict.THROTTLED, None, False),
    ("a mistake of the caller", AnswerError(404), Verdict.IGNORED, None, False),
    ("a refusal from further inside", CircuitOpenError("x"), Verdict.IGNORED, None, False),
]


@pytest.mark.parametrize("name, end, verdict, counted, shut", TABLE, ids=[row[0] for row in TABLE])
def test_each_end_means_what_the_table_says(name, end, verdict, counted, shut):
    """R-CB5, R-RL2"""

    def scenario(driven):
        breaker, watch, limiter, bulkhead = driven.pipeline.policies
        with suppress(Exception):
            driven.call(Scripted([end]))
        counters = breaker.snapshot().counters
        return (
            watch.ended[0][0],
            {what for what in ("success", "failure") if counters[f"requests.{what}"]},
            limiter.snapshot().gauges["tokens"],
            isinstance(driven.pipeline.policies[2].acquire(), tuple),
            bulkhead.snapshot().gauges["in_flight"],
        )

    policies = lambda: [CircuitBreaker(9), Watch(), RateLimiter("1/day", burst=10), Bulkhead(1)]  # noqa: E731
    assert run_both(policies, scenario) == (verdict, {counted} - {None}, 9.0, shut, 0)


def test_a_cancelled_call_is_neutral_everywhere_and_gives_everything_back():
    """R-CB5, R-BH1"""
    with virtual_time():
        breaker, watch, bulkhead = CircuitBreaker(1), Watch(), Bulkhead(1)
        pipeline = Pipeline("p", breaker, watch, bulkhead, registry=Registry())
        for interrupt in (KeyboardInterrupt, SystemExit, GeneratorExit):
            with pytest.raises(interrupt):
                pipeline.call(Scripted([interrupt]))
        with pytest.raises(asyncio.CancelledError):
            run_async(pipeline.acall(Scripted([asyncio.CancelledError]).acall))
        assert {verdict for verdict, _ in watch.ended} == {Verdict.IGNORED}
        assert breaker.snapshot().counters["requests.failure"] == 0
        assert bulkhead.snapshot().gauges["in_flight"] == 0
        assert pipeline.snapshot().counters["calls.cancelled"] == 4


@pytest.mark.parametrize("end", [asyncio.CancelledError(), AnswerError(404), CircuitOpenError("inner")], ids=named)
def test_a_neutral_trial_gives_its_place_back(end):
    """R-CB4"""
    with virtual_time():
        breaker = CircuitBreaker(1, half_open_max_calls=1, success_threshold=1)
        pipeline = Pipeline("p", breaker, registry=None)
        for _ in range(3):
            breaker.half_open()
            with pytest.raises(type(end)):
                pipeline.call(Scripted([end]))
            assert breaker.state == "half-open"
        assert pipeline.call(int) == 0
        assert breaker.state == "closed"


def test_a_call_cut_short_by_our_own_deadline_counts_as_the_dependencys_slowness():
    """R-TM1, R-CB5"""
    from seawall import Deadline

    with virtual_time():
        breaker = CircuitBreaker(1)
        pipeline = Pipeline("p", Deadline(1.0), breaker, registry=None)
        with pytest.raises(TimedOutError):
            run_async(pipeline.acall(Scripted([(60.0, 1)]).acall))
        assert breaker.state == "open"


def test_a_users_rule_decides_before_the_defaults():
    """R-CB2"""
    seen = []

    def rule(error, value):
        seen.append((type(error).__name__, value))
        return {"bad": Verdict.FAILURE, "busy": Verdict.THROTTLED}.get(value)

    with virtual_time():
        breaker = CircuitBreaker(1)
        pipeline = Pipeline("p", breaker, classify=rule, registry=Registry())
        assert pipeline.call(str, "fine") == "fine"
        assert pipeline.call(str, "busy") == "busy"
        assert breaker.state == "closed"
        assert pipeline.call(str, "bad") == "bad"
        assert breaker.state == "open"
        assert ("NoneType", "bad") in seen
        assert pipeline.snapshot().counters["calls.failure"] == 2, "the busy answer was no success either"


def test_a_rule_that_raises_leaks_no_slot_no_token_and_no_trial():
    """R-BH1, R-CB4"""

    def scenario(driven):
        breaker, limiter, bulkhead = driven.pipeline.policies
        breaker.half_open()
        for dependency in (Scripted([1]), Scripted([ConnectionError()])):
            with pytest.raises(LookupError, match="the rule"):
                driven.call(dependency)
        return (
            breaker.snapshot().gauges["trials"],
            limiter.snapshot().gauges["waiting"],
            bulkhead.snapshot().gauges["in_flight"],
        )

    def broken(error, value):
        raise LookupError("the rule")

    policies = lambda: [  # noqa: E731
        CircuitBreaker(1, half_open_max_calls=2, classify=broken),
        RateLimiter("10/second", max_wait=1.0),
        Bulkhead(1),
    ]
    assert run_both(policies, scenario) == (0, 0, 0)

    with virtual_time():
        bulkhead = Bulkhead(1)
        pipeline = Pipeline("p", RateLimiter("9/second", max_wait=1.0), bulkhead, classify=broken, registry=None)
        for _ in range(2):
            with pytest.raises(LookupError):
                pipeline.call(int)
            with pytest.raises(LookupError):
                run_async(pipeline.acall(Scripted([1]).acall))
        assert bulkhead.snapshot().gauges["in_flight"] == 0


# ------------------------------------------------------------------ rate gates


def test_a_429_closes_the_gate_for_everybody_until_it_said():
    """R-RL2, R-RT3"""

    def scenario(driven):
        clock = driven.pipeline.clock
        driven.call(Scripted([Answer(429, retry_after="30")]))
        with pytest.raises(RateLimitedError, match=r"asked for a pause for another 30 s") as caught:
            driven.call(int)
        clock.advance(29.0)
        with pytest.raises(RateLimitedError):
            driven.call(int)
        clock.advance(1.0)
        return caught.value.retry_after, driven.call(int)

    assert run_both(lambda: [RateLimiter("100/second")], scenario) == (30.0, 0)


def test_a_shorter_pause_does_not_shorten_a_longer_one():
    """R-RL2"""

    def scenario(driven):
        (limiter,) = driven.pipeline.policies
        first, second = limiter.acquire(), limiter.acquire()
        limiter.record(first, Verdict.THROTTLED, 0.0, retry_after=30.0)
        limiter.record(second, Verdict.THROTTLED, 0.0, retry_after=5.0)
        return limiter.acquire().retry_after

    assert run_both(lambda: [RateLimiter("100/second")], scenario) == 30.0


def test_those_who_wait_in_line_do_not_pass_a_gate_that_closes_meanwhile():
    """R-RL2"""
    from seawall.testing import run_threads

    with virtual_time() as clock:
        limiter = RateLimiter("1/second", burst=1, max_wait=60.0)
        pipeline = Pipeline("p", limiter, registry=None)
        sent = []

        def throttled():
            sent.append(clock.now())
            clock.sleep(0.5)
            return Answer(429, retry_after="20")

        def waiting():
            clock.sleep(0.1)
            return pipeline.call(lambda: sent.append(clock.now()))

        run_threads(lambda: pipeline.call(throttled), waiting, waiting)
        # the bucket stood still from 0.5 to 20.5, so they go as far apart as ever
        assert sent == [0.0, pytest.approx(21.0), pytest.approx(22.0)]
        assert limiter.snapshot().gauges["waiting"] == 0


def test_those_whose_wait_becomes_too_long_are_refused_and_get_their_tokens_back():
    """R-RL1, R-RL2"""
    from seawall.testing import run_threads

    with virtual_time() as clock:
        limiter = RateLimiter("1/second", burst=1, max_wait=5.0)
        pipeline = Pipeline("p", limiter, registry=None)

        def waiting():
            clock.sleep(0.1)
            return pipeline.call(int)

        first = lambda: pipeline.call(Scripted([(0.5, Answer(429, retry_after="20"))]))  # noqa: E731
        _, refused = run_threads(first, waiting)
        assert isinstance(refused, RateLimitedError)
        assert refused.retry_after == pytest.approx(20.5)
        assert clock.now() == pytest.approx(0.5)
        assert limiter.snapshot().gauges["waiting"] == 0
        clock.advance(30.0)
        assert limiter.snapshot().gauges["tokens"] == 1.0


def test_asking_again_after_the_time_a_refusal_named_succeeds():
    """R-RL1"""

    def scenario(driven):
        clock = driven.pipeline.clock
        granted = 0
        for _ in range(200):
            try:
                driven.call(int)
            except RateLimitedError as refused:
                clock.advance(refused.retry_after or 0.0)
            else:
                granted += 1
        return granted

    assert run_both(lambda: [RateLimiter("7/minute", burst=3)], scenario) == 101


# ------------------------------------------------------------------- fallback


@pytest.mark.parametrize(
    "end, acts",
    [
        (ConnectionError("x"), True),
        (TimeoutError("x"), True),
        (AnswerError(429), True),
        (Answer(500), True),
        (AnswerError(404), False),
        ("fine", False),
        (KeyboardInterrupt(), False),
        (asyncio.CancelledError(), False),
    ],
    ids=named,
)
def test_a_fallback_acts_on_failures_and_never_on_a_cancel_or_a_callers_mistake(end, acts):
    """R-FB1"""

    def scenario(driven):
        value = None
        with suppress(BaseException):
            value = driven.call(Scripted([end]))
        return value == "instead", driven.pipeline.snapshot().counters["calls.degraded"]

    assert run_both(lambda: [Fallback("instead")], scenario) == (acts, int(acts))


def test_a_fallback_answers_for_a_refused_call_and_marks_it_degraded():
    """R-FB1"""
    with virtual_time():
        breaker = CircuitBreaker(1)
        pipeline = Pipeline("p", Fallback(lambda sku, error: f"{sku} {type(error).__name__}"), breaker, registry=None)
        breaker.trip()
        outcome = pipeline.call_outcome(str, "sku")
        assert outcome.value == "sku CircuitOpenError"
        assert (outcome.degraded, outcome.source, outcome.attempts) == (True, "function", 0)
        assert isinstance(outcome.cause, CircuitOpenError)


def test_a_fallback_after_an_attempt_gets_the_real_error_and_not_the_refusal():
    """R-FB1, R-CB6"""

    def scenario(driven):
        return driven.call(Scripted([ConnectionError("real")]))

    policies = lambda: [  # noqa: E731
        Fallback(lambda error: f"{error}"),
        Retry(3, backoff=Constant(base=1.0)),
        CircuitBreaker(1),
    ]
    assert run_both(policies, scenario) == "real"


def test_a_fallback_acts_on_the_types_it_is_given_only():
    """R-FB1"""

    def scenario(driven):
        with pytest.raises(ConnectionError):
            driven.call(Scripted([ConnectionError]))
        return driven.call(Scripted([KeyError]))

    assert run_both(lambda: [Fallback(0, on=(KeyError, ValueError))], scenario) == 0


def test_a_fallback_that_fails_is_a_failure_and_not_degraded():
    """R-FB1"""

    def broken():
        raise LookupError("no stale copy: secret")

    with virtual_time():
        pipeline = Pipeline("p", Fallback(broken), registry=Registry())
        outcome = pipeline.call_outcome(Scripted([ConnectionError("real")]))
        assert isinstance(outcome.error, LookupError)
        assert str(outcome.error.__cause__) == "real"
        assert not outcome.degraded
        assert pipeline.snapshot().counters["calls.degraded"] == 0
        assert pipeline.snapshot().counters["calls.failure"] == 1


def test_a_fallback_that_is_refused_elsewhere_leaves_the_real_error():
    """R-FB1, R-CB6"""

    def scenario(driven):
        with pytest.raises(ConnectionError, match="real") as caught:
            driven.call(Scripted([ConnectionError("real")]))
        return caught.value.__notes__ == ["seawall: scenario: fallback (function) failed: CircuitOpenError"]

    def make():
        breaker = CircuitBreaker(1)
        breaker.trip()
        stale = Pipeline("stale", breaker, registry=None)
        return [Fallback(lambda: stale.call(int))]

    assert run_both(make, scenario)


def test_a_fallback_without_a_signature_is_called_all_the_same():
    """R-FB1"""
    with virtual_time():
        assert Pipeline("p", Fallback(dict), registry=None).call(Scripted([ConnectionError])) == {}
        assert Pipeline("q", Fallback(min), registry=None).call(Scripted([ConnectionError]), 3, 2) == 2


def test_a_full_bulkhead_counts_nothing_against_the_dependency():
    """R-CB5"""
    with virtual_time():
        breaker, bulkhead = CircuitBreaker(1), Bulkhead(1)
        pipeline = Pipeline("p", breaker, bulkhead, Timeout(1.0), registry=None)
        with Pipeline("h", bulkhead, registry=None).permit(), pytest.raises(BulkheadFullError):
            run_async(pipeline.acall(Scripted([1]).acall))
        assert breaker.state == "closed"
