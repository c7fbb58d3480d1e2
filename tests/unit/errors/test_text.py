"""Text that may be written down."""

import unicodedata
from pathlib import Path

import pytest

from seawall.errors.text import describe_error, safe_text

HOSTILE = [
    "line\r\nFAKE 2024-01-01 WARNING seawall: all is well",
    "\x1b[2J\x1b[1;31mred",
    "\u202egnp.exe",
    "zero\u200bwidth\u2060\ufeff",
    "line\u2028separator\u2029paragraph\x85next",
    "null\x00byte",
    "half a pair \ud800",
    "\u0000\u0001\u0002\u007f\u009b",
    "tag\U000e0041\U000e007f",
    "private\ue000",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_hostile_text_becomes_one_printable_line(text):
    """R-ER6"""
    shown = safe_text(text)
    assert len(shown.splitlines()) == 1
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}]
    shown.encode("utf-8")


def test_ordinary_text_of_any_language_stays_as_it_is():
    for text in ("naïve café", "日本語のエラー", "Ошибка", "emoji 🙂", "tab-free, plain"):
        assert safe_text(text) == text


@pytest.mark.parametrize(
    "text, secret",
    [
        ("cannot reach postgres://app:hunter2@db/orders", "hunter2"),
        ("cannot reach postgres://app:hun@ter2@db/orders", "ter2"),
        ("cannot reach postgres://app:hunter2#?x@db/orders", "hunter2"),
        ("cannot reach redis://:hunter2@cache:6379/0", "hunter2"),
        ("GET https://api.example/v1?key=hunter2&x=1 failed", "hunter2"),
        ("GET https://api.example/v1#access_token=hunter2 failed", "hunter2"),
        ("amqps+tls://u:hunter2@mq", "hunter2"),
        (f"https://{'t' * 250}hunter2@host/path", "hunter2"),
        (
            f"https://host/?{'q' * 500} https://host/?{'q' * 500} {'x' * 130} postgres://app:hunter2{'y' * 200}@db",
            "hunter2",
        ),
    ],
)
def test_credentials_in_addresses_are_cut_out(text, secret):
    """R-ER5"""
    assert secret not in safe_text(text, limit=300)


def test_what_is_left_of_an_address_still_tells_where_it_points():
    """R-ER5"""
    assert safe_text("postgres://app:pw@db:5432/orders") == "postgres://…@db:5432/orders"
    assert safe_text("see https://host/path?a=b now") == "see https://host/path?… now"


@pytest.mark.parametrize("length", [299, 300, 301, 1199, 1200, 1201, 100_000])
def test_a_long_text_is_cut_and_says_so(length):
    """R-ER6"""
    shown = safe_text("x" * length)
    assert len(shown) <= 300
    assert shown.endswith("…") == (length > 300)


def test_a_text_that_grows_by_its_escapes_is_still_bounded():
    """R-ER6"""
    assert len(safe_text("\x1b" * 300)) == 300


def test_an_error_reads_as_its_class_and_message():
    assert describe_error(ValueError("bad\nthing")) == r"ValueError: bad\nthing"
    assert describe_error(ValueError()) == "ValueError"


def test_an_error_that_cannot_even_say_what_it_is_is_still_described():
    """R-ER6"""

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    assert describe_error(Mute()) == "Mute"


def test_the_hostile_lines_of_the_field_stay_on_one_line():
    """R-ER6"""
    for text in (*HOSTILE, *(chr(c) for c in range(0x3000)), *Path(__file__).read_text("utf-8").splitlines()):
        assert len(safe_text(f"a{text}b").splitlines()) == 1
