"""What a good file gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.config.checks import HttpSection
from seawall.config.load import from_text, load
from seawall.config.placeholders import expand, named_in
from seawall.config.values import address_of, duration, rate

GOOD = """\
[daemon]
name = "shop"
hints = ["stop it: kill -9 {payments.pid}", "json {\\"a\\": 1} stays"]

[server]
listen = "127.0.0.1:0"

[processes.payments]
command = ["{python}", "-m", "payments"]
listen = "127.0.0.1:0"
env = { MODE = "test" }
stop_timeout = "500ms"

[checks.payments]
kind = "http"
url = "http://{payments.address}/health"
interval = 2
expect_status = 204

[checks.alive]
kind = "process"
process = "payments"
critical = true

[pipelines.payments]
preset = "network"
deadline = "1.5 min"
timeout = 5
circuit_breaker = { failure_rate = { rate = 0.5, window = "30s" } }

[pipelines.stock]
timeout = { limit = 2, mode = "thread" }
rate_limiter = { rate = "100 / second", burst = 20 }
"""


def test_a_good_file_is_read_with_its_defaults(tmp_path):
    path = tmp_path / "seawall.toml"
    path.write_text(GOOD)
    config = load(path)
    assert config.file == path
    assert config.state_dir == tmp_path / ".seawall"
    assert config.daemon.on_daemon_death == "stop"
    process = config.processes["payments"]
    assert process.command == ("{python}", "-m", "payments")
    assert process.listen == ("127.0.0.1:0",)
    assert (process.stop_timeout, process.stop_signal, process.backoff_cap) == (0.5, "SIGTERM", 60.0)
    check = config.checks["payments"]
    assert isinstance(check, HttpSection)
    assert check.expect_status == (204,)
    assert config.checks["alive"].critical is True
    payments, stock = config.pipelines["payments"], config.pipelines["stock"]
    assert payments.deadline == 90.0
    assert payments.timeout is not None
    assert payments.timeout.limit == 5.0
    assert stock.timeout is not None
    assert stock.timeout.mode == "thread"
    assert stock.rate_limiter is not None
    assert stock.rate_limiter.rate == "100/second"


def test_an_empty_file_is_a_configuration_of_defaults():
    config = from_text("# nothing yet\n")
    assert (config.server.listen, config.daemon.name, config.processes) == ("127.0.0.1:8900", "seawall", {})


def test_windows_line_ends_and_a_byte_order_mark_are_read(tmp_path):
    path = tmp_path / "seawall.toml"
    path.write_bytes(b"\xef\xbb\xbf[daemon]\r\nname = 'x'\r\n")
    assert load(path).daemon.name == "x"


def test_the_file_is_named_in_messages_as_the_user_named_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "seawall.toml").write_text("[daemon]\nname = 5\n")
    with pytest.raises(ValueError, match=r"^seawall\.toml:2: daemon\.name = 5: must be text"):
        load("seawall.toml")


@pytest.mark.parametrize(
    "text, seconds",
    [(30, 30), (0.5, 0.5), ("250ms", 0.25), ("30 s", 30), ("5min", 300), ("5m", 300), ("1.5h", 5400), ("2d", 172800)],
)
def test_durations_are_numbers_or_texts_with_a_unit(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("value", ["", "5", "s", "-1s", "1 h 30 min", True, None, float("inf"), float("nan"), [], {}])
def test_other_things_are_no_durations(value):
    with pytest.raises(ValueError, match="must be a duration"):
        duration(value)


def test_rates_and_addresses():
    assert rate(" 60 / minute ") == "60/minute"
    assert address_of("[::1]:80") == ("::1", 80)
    assert str(address_of("[::1]:80")) == "[::1]:80"
    assert address_of("localhost:1").loopback
    assert not address_of("0.0.0.0:1").loopback


def test_placeholders_are_filled_in_and_other_braces_stay():
    text = 'run {python} {payments.address} {"a": {b}} {orders.pid} {}'
    assert expand(text, {"python": "/py", "payments.address": "h:1"}) == 'run /py h:1 {"a": {b}} {orders.pid} {}'
    assert named_in(text + " {server.address}") == ["payments", "orders"]


@given(st.text("ab{}.$-_ ", max_size=60))
def test_expanding_nothing_changes_nothing(text):
    assert expand(text, {}) == text
