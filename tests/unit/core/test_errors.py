"""The errors seawall raises itself."""

import copy
import pickle

import pytest

import seawall
from seawall import RejectedError, SeawallError, TimedOutError
from seawall.core.errors import DecisionError, OutcomeUnknownError

DECISIONS = [
    seawall.RejectedError,
    seawall.CircuitOpenError,
    seawall.RateLimitedError,
    seawall.BulkheadFullError,
    seawall.DeadlineExceededError,
    seawall.OutcomeUnknownError,
    seawall.TimedOutError,
]


@pytest.mark.parametrize("kind", DECISIONS)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_of_a_decision_pickles_with_all_it_says(kind, protocol):
    """R-CB6"""
    error = kind("refused", policy="p", name="n", retry_after=2.5, evidence={"reason": "full", "causes": {"503": 2}})
    error.add_note("a note")
    back = pickle.loads(pickle.dumps(error, protocol))
    assert type(back) is kind
    assert str(back) == "refused"
    assert (back.policy, back.name, back.retry_after) == ("p", "n", 2.5)
    assert back.evidence == {"reason": "full", "causes": {"503": 2}}
    assert back.__notes__ == ["a note"]
    assert vars(copy.copy(error)) == vars(error)


def test_an_error_keeps_a_copy_of_its_evidence():
    evidence = {"calls": 1}
    error = DecisionError("", evidence=evidence)
    evidence["calls"] = 2
    assert error.evidence == {"calls": 1}
    assert DecisionError().evidence == {}


def test_a_configuration_error_is_a_value_error_and_pickles():
    error = pickle.loads(pickle.dumps(seawall.ConfigurationError("Place = 3: too few")))
    assert isinstance(error, ValueError)
    assert str(error) == "Place = 3: too few"


def test_a_timed_out_call_is_no_refusal_and_a_timeout_for_everybody():
    """R-TM1"""
    assert issubclass(TimedOutError, TimeoutError)
    assert issubclass(TimedOutError, OutcomeUnknownError)
    assert not issubclass(TimedOutError, RejectedError)
    assert all(issubclass(kind, SeawallError) for kind in DECISIONS)
