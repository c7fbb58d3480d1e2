"""The kind of an error in one word, what may be tried again by name, and what was never sent."""

import errno
import socket
import ssl

import pytest

from seawall import CircuitOpenError, ConfigurationError
from seawall.errors.kinds import kind_of, unsent
from seawall.errors.predicates import predicate


class StatusError(Exception):
    def __init__(self, status):
        super().__init__(str(status))
        self.status_code = status


def named(name, base=Exception):
    """An error as another library names it."""
    return type(name, (base,), {})()


@pytest.mark.parametrize(
    "error, kind",
    [
        (KeyboardInterrupt(), "cancelled"),
        (CircuitOpenError("no"), "rejected"),
        (TypeError(), "bug"),
        (TimeoutError(), "timeout"),
        (named("ReadTimeout", type("TimeoutException", (Exception,), {})), "timeout"),
        (ConnectionResetError(), "network"),
        (OSError(errno.EHOSTUNREACH, "no route"), "network"),
        (socket.gaierror(-2, "unknown"), "network"),
        (ssl.SSLError(1, "bad"), "network"),
        (named("ConnectError"), "network"),
        (OSError(errno.ENOSPC, "full"), "disk_full"),
        (OSError(errno.EMFILE, "too many"), "resource"),
        (MemoryError(), "resource"),
        (OSError(errno.EIO, "bad disk"), "io_error"),
        (FileNotFoundError(errno.ENOENT, "gone"), "not_found"),
        (PermissionError(errno.EACCES, "no"), "auth"),
        (StatusError(429), "rate_limit"),
        (StatusError(503), "overload"),
        (StatusError(500), "server_error"),
        (StatusError(401), "auth"),
        (StatusError(404), "not_found"),
        (StatusError(409), "conflict"),
        (StatusError(422), "invalid"),
        (StatusError(504), "timeout"),
        (ValueError(), "other"),
    ],
    ids=repr,
)
def test_an_error_is_of_its_kind(error, kind):
    """R-RT2"""
    assert kind_of(error) == kind


@pytest.mark.parametrize(
    "rule, yes, no",
    [
        ("network", ConnectionResetError(), TimeoutError()),
        ("transient", StatusError(429), StatusError(404)),
        (["rate_limit", "server_error"], StatusError(500), StatusError(503)),
        ([ValueError, "timeout"], ValueError(), KeyError()),
        (lambda error: "busy" in str(error), ValueError("busy"), ValueError("idle")),
        ([lambda error: "busy" in str(error), KeyError], KeyError(), ValueError("idle")),
        ((ValueError, KeyError), KeyError(), OSError()),
        (None, ConnectionError(), TypeError()),
    ],
)
def test_a_rule_takes_in_what_it_names_and_nothing_else(rule, yes, no):
    """R-RT2"""
    wanted = predicate("here", rule)
    assert wanted(yes)
    assert not wanted(no)


def test_a_rule_may_be_set_anew_at_run_time():
    """R-RT2"""
    from seawall import Pipeline, Retry
    from seawall.testing import Scripted, virtual_time

    retry = Retry(2)
    with virtual_time():
        pipeline = Pipeline("p", retry, registry=None)
        retry.retryable = ["rate_limit"]
        dependency = Scripted([ConnectionError, "fine"])
        with pytest.raises(ConnectionError):
            pipeline.call(dependency)
        retry.retryable = ["network", "rate_limit"]
        with pytest.raises(ConfigurationError, match="known are"):
            retry.retryable = ["netwrok"]
        dependency = Scripted([ConnectionError, "fine"])
        assert pipeline.call(dependency) == "fine"
        assert retry.retryable == ["network", "rate_limit"]


@pytest.mark.parametrize(
    "error, never",
    [
        (ConnectionRefusedError(), True),
        (socket.gaierror(-2, "unknown"), True),
        (named("ConnectTimeout"), True),
        (named("PoolTimeout"), True),
        (CircuitOpenError("no"), True),
        (ConnectionResetError(), False),
        (TimeoutError(), False),
        (named("ReadError"), False),
    ],
    ids=repr,
)
def test_only_what_made_no_connection_was_never_sent(error, never):
    """R-RT3"""
    assert unsent(error) is never
