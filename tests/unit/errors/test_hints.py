"""Retry-After in all its forms."""

import datetime as dt
import time

import pytest

from seawall import CircuitOpenError
from seawall.errors.hints import asks_to_stop, retry_after_of

WALL = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


class Answer:
    def __init__(self, headers):
        self.status_code = 429
        self.headers = headers


class AnswerError(Exception):
    def __init__(self, headers=None, retry_after=None):
        super().__init__("429")
        self.response = Answer(headers or {})
        if retry_after is not None:
            self.retry_after = retry_after


def asked(headers):
    """What the headers ask for, the same from an answer and from an error that holds one."""
    found = retry_after_of(Answer(headers), WALL)
    assert retry_after_of(AnswerError(headers), WALL) == found
    return found


@pytest.fixture
def tokyo(monkeypatch):
    """A machine whose local zone is far from UTC: it has no say in what a date means."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"retry-after": "5"}, 5.0),
        ({"Retry-After": "5"}, 5.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": 7}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50 -0000"}, 30.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50"}, 30.0),
        ({"Retry-After": "Tue, 14 Nov 2023 23:13:50 +0100"}, 30.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:00:00 GMT"}, 0.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT", "Date": "Tue, 14 Nov 2023 22:13:40 GMT"}, 10.0),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT", "Date": "yesterday"}, 30.0),
    ],
)
@pytest.mark.usefixtures("tokyo")
def test_a_header_asks_to_wait(headers, seconds):
    """R-RT3"""
    assert asked(headers) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "-1", "nan", "inf", "-inf", "soon", "5 seconds", "1e999", "Tue, 99 Nov 2023 99:99:99 GMT", "\r\n", "9" * 400],
    ids=lambda text: repr(text)[:20],
)
def test_a_header_without_a_usable_wait_asks_for_nothing(text):
    """R-RT3"""
    assert asked({"Retry-After": text}) is None


def test_no_header_asks_for_nothing():
    assert asked({}) is None
    assert retry_after_of(ValueError(), WALL) is None


@pytest.mark.parametrize(
    "value, seconds",
    [(3, 3.0), (0, 0.0), (2.5, 2.5), ("4", 4.0), (dt.timedelta(minutes=1), 60.0)],
)
def test_an_attribute_asks_to_wait_before_any_header(value, seconds):
    """R-RT3"""
    assert retry_after_of(AnswerError({"Retry-After": "9"}, value), WALL) == seconds


@pytest.mark.parametrize(
    "value",
    [True, -1, float("nan"), float("inf"), "later", object(), 10**400, dt.timedelta(seconds=-1), lambda: 3],
    ids=lambda value: repr(value)[:12],
)
def test_an_attribute_without_a_usable_wait_leaves_it_to_the_header(value):
    """R-RT3"""
    assert retry_after_of(AnswerError({"Retry-After": "9"}, value), WALL) == 9.0


def test_our_own_refusals_say_when_to_ask_again():
    """R-CB6"""
    assert retry_after_of(CircuitOpenError(retry_after=12.0), WALL) == 12.0
    assert retry_after_of(CircuitOpenError(), WALL) is None


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1700000042"}, 42.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000042000"}, 42.0),
        ({"X-RateLimit-Reset": "42"}, 42.0),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "7"}, 7.0),
        ({"RateLimit": '"default";r=0;t=30'}, 30.0),
        ({"RateLimit": '"burst";r=3;t=90, "day";r=0;t=30'}, 30.0),
        ({"RateLimit": "limit=10, remaining=0, reset=12"}, 12.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"}, 1.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "120ms"}, 0.12),
        (
            {
                "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2s",
            },
            2.0,
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2023-11-14T22:13:50Z",
            },
            30.0,
        ),
        ({"X-RateLimit-Reset": "1700000010", "Date": "Tue, 14 Nov 2023 22:13:25 GMT"}, 5.0),
        ({"Retry-After": "3", "RateLimit-Remaining": "0", "RateLimit-Reset": "7"}, 3.0),
        ({"x-ms-retry-after-ms": "250"}, 0.25),
        ({"RateLimit-Remaining": "4", "RateLimit-Reset": "7"}, None),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "later"}, None),
    ],
)  # fmt: skip
def test_a_spent_quota_says_when_it_is_renewed(headers, seconds):
    """R-RT3"""
    assert asked(headers) == (None if seconds is None else pytest.approx(seconds))


def test_a_reset_beside_an_answer_that_is_no_429_asks_for_nothing():
    answer = Answer({"X-RateLimit-Reset": "42"})
    answer.status_code = 500
    assert retry_after_of(answer, WALL) is None


class RpcError(Exception):
    """As grpc's: metadata behind a method."""

    def __init__(self, *pairs):
        super().__init__("unavailable")
        self.pairs = pairs

    def trailing_metadata(self):
        return self.pairs


@pytest.mark.parametrize(
    "value, seconds, stop", [("250", 0.25, False), (b"1000", 1.0, False), ("-1", None, True), ("soon", None, True)]
)
def test_grpc_pushes_back_for_some_milliseconds_or_for_good(value, seconds, stop):
    """R-RT3"""
    error = RpcError(("other", "1"), ("grpc-retry-pushback-ms", value))
    assert retry_after_of(error, WALL) == seconds
    assert asks_to_stop(error) is stop


def test_a_server_may_ask_not_to_try_again():
    """R-RT3"""
    assert asks_to_stop(AnswerError({"X-Should-Retry": "false"}))
    assert not asks_to_stop(AnswerError({"x-should-retry": "true"}))
    assert not asks_to_stop(AnswerError({}))
    assert not asks_to_stop(ValueError())
    assert not asks_to_stop(RpcError())
