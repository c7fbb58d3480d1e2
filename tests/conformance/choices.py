"""Vectors whose project chose otherwise than seawall; docs/explanation/choices.md has the reasons.

Only vectors are named here that can run and would show the difference: what needs a missing feature skips by itself.
"""

DIFFERENT = {
    "cb-polly-26": "reading the state changes nothing; the transition comes with the next call",
    "cb-pybreaker-03": "the call that trips the circuit raises its own error",
    "cb-pybreaker-11": "an excluded error is neutral and does not end a run of failures",
    "cb-r4j-24": "a circuit that only watches goes on making its transitions",
    "cb-polly-13": "every time window slides in ten buckets, however short it is",
    "rt-failsafe-03": "delays are not cut to whole units",
}

#: Features whose absence excuses a core vector of a pattern that is built.
MISSING_FROM_CORE = frozenset({"hedging", "shared_store"})
