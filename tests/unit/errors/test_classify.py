"""What an exception or an answer means, and what may be tried again."""

import asyncio

import pytest

from seawall import CircuitOpenError, DeadlineExceededError, TimedOutError, Verdict
from seawall.errors.classify import label, retryable, verdict_of, verdict_of_status
from seawall.errors.kinds import BUGS
from seawall.errors.status import headers_of, status_of
from tests.support.names import named


class Answer:
    """What HTTP libraries hand out, in the parts that matter."""

    def __init__(self, status, headers=None):
        self.status_code = status
        self.headers = headers or {}


class HttpError(Exception):
    """An SDK's error with the answer in it."""

    def __init__(self, status, headers=None):
        super().__init__(f"status {status}")
        self.response = Answer(status, headers)


class ReadTimeout(Exception):
    """Not a TimeoutError, but derived from a class named like one."""


class Timeout(Exception):
    """As requests has it."""


class ConnectTimeout(Timeout):
    """As requests has it."""


@pytest.mark.parametrize(
    "error, verdict",
    [
        (ValueError(), Verdict.FAILURE),
        (ConnectionResetError(), Verdict.FAILURE),
        (OSError(28, "disk full"), Verdict.FAILURE),
        (TimeoutError(), Verdict.DROPPED),
        (TimedOutError(), Verdict.DROPPED),
        (ConnectTimeout(), Verdict.DROPPED),
        (ReadTimeout(), Verdict.FAILURE),
        (HttpError(500), Verdict.FAILURE),
        (HttpError(503), Verdict.DROPPED),
        (HttpError(408), Verdict.DROPPED),
        (HttpError(429), Verdict.THROTTLED),
        (HttpError(404), Verdict.IGNORED),
        (CircuitOpenError(), Verdict.IGNORED),
        (DeadlineExceededError(), Verdict.IGNORED),
        (asyncio.CancelledError(), Verdict.IGNORED),
        (KeyboardInterrupt(), Verdict.IGNORED),
        (GeneratorExit(), Verdict.IGNORED),
    ],
    ids=named,
)
def test_an_error_has_a_verdict(error, verdict):
    """R-ER1, R-CB5"""
    assert verdict_of(error) is verdict


@pytest.mark.parametrize(
    "status, verdict",
    [
        (100, Verdict.SUCCESS), (200, Verdict.SUCCESS), (399, Verdict.SUCCESS), (400, Verdict.IGNORED),
        (404, Verdict.IGNORED), (408, Verdict.DROPPED), (429, Verdict.THROTTLED), (499, Verdict.IGNORED),
        (500, Verdict.FAILURE), (503, Verdict.DROPPED), (599, Verdict.FAILURE),
    ],
)  # fmt: skip
def test_a_status_has_a_verdict(status, verdict):
    """R-ER1"""
    assert verdict_of_status(status) is verdict


@pytest.mark.parametrize("kind", BUGS)
def test_a_mistake_of_the_program_is_not_tried_again(kind):
    """R-RT2"""
    assert not retryable(kind("x"))


@pytest.mark.parametrize(
    "error, again",
    [
        (ConnectionError(), True),
        (TimedOutError(), True),
        (HttpError(429), True),
        (HttpError(502), True),
        (HttpError(404), False),
        (CircuitOpenError(), False),
        (asyncio.CancelledError(), False),
    ],
    ids=named,
)
def test_what_may_pass_is_tried_again_and_nothing_else(error, again):
    """R-RT2"""
    assert retryable(error) is again


@pytest.mark.parametrize("value", [99, 600, True, "503", None, 503.0])
def test_what_is_no_http_status_is_not_taken_for_one(value):
    assert status_of(Answer(value)) is None


def test_a_status_is_found_under_each_of_its_usual_names():
    class Other(Exception):
        pass

    for attribute in ("status_code", "status", "code"):
        error = Other()
        setattr(error, attribute, 502)
        assert status_of(error) == 502
    assert status_of(HttpError(429)) == 429
    assert status_of(ValueError()) is None


def test_headers_are_those_of_the_response_or_of_the_thing_itself():
    error = HttpError(429, {"a": "b"})
    assert headers_of(error) == {"a": "b"}
    assert headers_of(error.response) == {"a": "b"}
    assert headers_of(ValueError()) is None
    error.response.headers = [("a", "b")]
    assert headers_of(error) is None


def test_a_cause_is_named_by_status_or_class_and_never_by_its_message():
    """R-ER5"""
    assert label(HttpError(503)) == "503"
    assert label(ValueError("password=hunter2")) == "ValueError"
    assert label({"password": "hunter2"}) == "result"
