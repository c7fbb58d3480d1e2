"""What is known of Redis commands."""

import pytest

import seawall
from seawall.integrations._redis_commands import blocks_for, repeatable, within_deadline
from seawall.testing import virtual_time


@pytest.mark.parametrize(
    "command, answer",
    [
        (("GET", "a"), True),
        (("get", "a"), True),
        (("SET", "a", "1"), True),
        (("SET", "nx", "1"), True),
        (("SET", "a", "1", "NX"), False),
        (("SET", "a", "1", b"get"), False),
        (("ZADD", "z", 1, "m"), True),
        (("ZADD", "z", "INCR", 1, "m"), False),
        (("OBJECT ENCODING", "a"), True),
        (("INCR", "a"), False),
        (("LPUSH", "a", 1), False),
        (("EVAL", "…"), False),
        (("SOMETHING.NEW", "a"), False),
    ],
)
def test_only_what_is_known_to_do_no_harm_is_repeated(command, answer):
    """R-RT3"""
    assert repeatable(command) is answer


@pytest.mark.parametrize(
    "command, seconds",
    [
        (("GET", "a"), None),
        (("BLPOP", "a", "b", 5), 5.0),
        (("BLMPOP", 3, 1, "a", "LEFT"), 3.0),
        (("XREAD", "BLOCK", 1500, "STREAMS", "s", "$"), 1.5),
        (("XREAD", "STREAMS", "s", "$"), None),
        (("WAIT", 1, 200), 0.2),
    ],
)
def test_a_blocking_commands_own_timeout_is_found(command, seconds):
    assert blocks_for(command) == seconds


@pytest.mark.parametrize(
    "command, sent",
    [
        (("BLPOP", "a", 0), ("BLPOP", "a", 1.85)),
        (("BLPOP", "a", 1), ("BLPOP", "a", 1)),
        (("XREAD", "BLOCK", 0, "STREAMS", "s", "$"), ("XREAD", "BLOCK", 1850, "STREAMS", "s", "$")),
        (("GET", "a"), ("GET", "a")),
    ],
)
def test_a_blocking_commands_own_timeout_ends_before_the_deadline(command, sent):
    with virtual_time(), seawall.deadline(2.0):
        assert within_deadline(command) == sent
