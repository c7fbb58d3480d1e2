"""Retry-After in all its forms."""

import datetime as dt
import time

import pytest

from seawall import CircuitOpenError
from seawall.errors.hints import retry_after_of

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
