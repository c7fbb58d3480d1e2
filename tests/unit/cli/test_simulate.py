"""`seawall simulate`."""

import json

import pytest

from tests.scenarios.test_simulate import outage
from tests.unit.cli.test_commands import seawall

STRICT = "[pipelines.db.circuit_breaker]\nfailure_threshold = 5\nrecovery_timeout = 5.0\nsuccess_threshold = 1\n"
LOOSE = STRICT.replace("= 5\n", "= 50\n", 1)


@pytest.fixture
def recording(tmp_path):
    outage(tmp_path / "r", 5)
    (tmp_path / "strict.toml").write_text(STRICT)
    (tmp_path / "loose.toml").write_text(LOOSE)
    return tmp_path


def test_the_same_settings_give_the_same_figures_and_the_code_0(recording, capsys):
    """R-UI3, R-PL3"""
    code, out, _ = seawall(
        capsys, "simulate", "--from", str(recording / "r"), "--config", str(recording / "strict.toml"), "--json"
    )
    body = json.loads(out)
    assert code == body["exit_code"] == 0
    found = body["pipelines"]["db"]
    assert found["recorded"] == found["candidate"]


def test_settings_that_fail_more_calls_are_the_code_1_and_say_how_many(recording, capsys):
    """R-UI3, R-PL3"""
    strict = STRICT.replace("recovery_timeout = 5.0", "recovery_timeout = 30.0")
    (recording / "slow.toml").write_text(strict)
    code, out, _ = seawall(capsys, "simulate", "--from", str(recording / "r"), "--config", str(recording / "slow.toml"))
    assert code == 1
    assert out.startswith('"db": with the candidate ')
    assert "more calls fail or are rejected" in out
    assert 'candidate: circuit "db" opened after 10 s (5 calls in a row failed (5 × ConnectionError)) for 30 s' in out
    assert "Attempts beyond the recorded ones behaved as" in out


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--from", "nothing", "--config", "strict.toml"], "nothing: cannot be read"),
        (["--from", "r", "--config", "strict.toml", "--pipeline", "cache"], 'has no pipeline "cache"; it has db'),
        (["--from", "strict.toml", "--config", "strict.toml"], "is no line of JSON"),
        (["--from", "r"], "--config"),
    ],
)
def test_wrong_use_is_the_code_2_with_the_remedy(arguments, says, recording, capsys, monkeypatch):
    """R-UI3"""
    monkeypatch.chdir(recording)
    code, _, err = seawall(capsys, "simulate", *arguments)
    assert code == 2
    assert says in err
