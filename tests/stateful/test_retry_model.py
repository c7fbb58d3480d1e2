"""Every decision of a retry against the rules, in their order."""

from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seawall.backoff import Constant, Exponential
from seawall.machines.retry import Ended, GiveUp, RetryOptions, RetryRun, Wait

eighths = st.integers(0, 40).map(lambda n: n / 8)
stops = st.sampled_from([None, None, None, None, "nested", "not_idempotent", "draining"])
ends = st.builds(
    Ended,
    st.sampled_from([True, True, True, False]),
    st.one_of(st.none(), eighths),
    st.booleans(),
    stops,
    st.sampled_from([False, False, False, True]),
)
backoffs = st.one_of(
    st.builds(Constant, base=eighths, cap=st.just(100.0), jitter=st.just("none")),
    st.builds(Exponential, base=eighths, cap=st.just(16.0), jitter=st.sampled_from(["none", "full"])),
)
options = st.builds(
    RetryOptions,
    st.integers(1, 5),
    backoffs,
    st.one_of(st.none(), st.integers(1, 80).map(lambda n: n / 8)),
    st.sampled_from([0.0, 1.0, 60.0]),
)


def expected(
    chosen: RetryOptions, ended: Ended, attempt: int, now: float, deadline: float | None, chance: float
) -> Any:
    """The reason to give up, or the exact wait."""
    if not ended.retryable:
        return "rejected" if ended.rejected else "not_retryable"
    against = ended.stop or ("attempts" if attempt == chosen.attempts else "pushback" if ended.pushback else None)
    if against is not None:
        return against
    hint = ended.retry_after
    if hint is not None and hint > chosen.retry_after_cap:
        return "retry_after_too_long"
    wait = Fraction(chosen.backoff.delay(attempt - 1, lambda: chance))
    if hint is not None:
        wait = max(wait, Fraction(hint) * (1 if ended.rejected else 1 + Fraction(chance) / 2))
    if ended.rejected and (hint is None or deadline is None):
        return "rejected"
    if deadline is not None and Fraction(now) + wait >= Fraction(deadline):
        return "rejected" if ended.rejected else "deadline"
    if chosen.max_time is not None and Fraction(now) + wait >= Fraction(chosen.max_time):
        return "max_time"
    return wait


@given(
    options,
    st.lists(st.tuples(ends, eighths), min_size=1, max_size=8),
    st.one_of(st.none(), st.integers(0, 160).map(lambda n: n / 8)),
    st.sampled_from([0.0, 0.25, 0.5]),
)
def test_it_decides_as_the_rules_say(chosen, attempts, deadline, chance):
    run, now = RetryRun(chosen, 0.0), 0.0
    for number, (ended, took) in enumerate(attempts, start=1):
        now += took
        step = run.after(ended, lambda: chance, now, deadline)
        wanted = expected(chosen, ended, number, now, deadline, chance)
        if isinstance(step, GiveUp):
            assert step.reason == wanted
            return
        assert isinstance(step, Wait)
        assert step.delay == float(wanted)
        now += step.delay
        # whatever happens, no attempt starts too late
        assert deadline is None or now < deadline
        assert chosen.max_time is None or now < chosen.max_time
        assert number < chosen.attempts
