import dataclasses

import pytest

from seawall.core.errors import ConfigurationError
from seawall.recovery.options import ProcessOptions, split_address


@pytest.mark.parametrize(
    "wrong, says",
    [
        ({"name": "../etc"}, "name = '../etc': must be 1 to 63 letters"),
        ({"name": ""}, "name = ''"),
        ({"name": "x" * 64}, "1 to 63"),
        ({"command": ()}, "processes.one.command = (): must be a list"),
        ({"command": ("a\0b",)}, "NUL"),
        ({"env": {"A=B": "c"}}, "processes.one.env = 'A=B'"),
        ({"listen": ("8000",)}, "processes.one.listen = '8000': must be \"host:port\""),
        ({"listen": ("localhost:70000",)}, "0 (the kernel chooses) to 65535"),
        ({"restart": "sometimes"}, "must be one of always, on-failure, never"),
        ({"backoff_base": 0.0}, "backoff_base = 0.0: must be more than 0 seconds"),
        ({"backoff_base": 61.0}, "backoff_cap = 60.0: must be at least backoff_base (61)"),
        ({"stop_timeout": float("inf")}, "stop_timeout = inf"),
        ({"start_seconds": -1.0}, "0 seconds or more"),
        ({"max_restarts": 0}, 'must be at least 1 (restart = "never" for none)'),
        ({"stop_signal": "SIGNOPE"}, "must be the name of a signal"),
        ({"stop_signal": "TERM"}, "such as SIGTERM"),
    ],
)
def test_each_value_out_of_range_is_refused_with_its_place_and_the_remedy(wrong, says):
    with pytest.raises(ConfigurationError) as refused:
        ProcessOptions(**{"name": "one", "command": ("true",), **wrong})
    assert says in str(refused.value)


def test_options_turn_into_plain_data():
    options = ProcessOptions("one", ["true"], env={"A": "b"}, listen=["127.0.0.1:0"])  # type: ignore[arg-type]
    data = dataclasses.asdict(options)
    assert data["command"] == ("true",)
    assert data["env"] == {"A": "b"}


@pytest.mark.parametrize(
    "address, parts",
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("localhost:65535", ("localhost", 65535))],
)
def test_addresses_are_host_and_port(address, parts):
    assert split_address(address, "here") == parts
