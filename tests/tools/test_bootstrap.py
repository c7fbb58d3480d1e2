"""`.venv` is made once, made again when it must be, and never taken for whole when it is not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tools import bootstrap

SCRIPT = Path(bootstrap.__file__)


class Machine:
    """A project folder whose pip and uv are noted down and not run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: list[str] = []
        self.fails_at = ""
        self.output = ""
        (root / "requirements").mkdir()
        for name in bootstrap.SETS:
            self.lock(name, f"{name}-package==1.0 --hash=sha256:00\n")
        self.project("[project]\n")

    def lock(self, name: str, text: str) -> None:
        (self.root / "requirements" / f"{name}.txt").write_text(text, encoding="utf-8")

    def project(self, text: str) -> None:
        (self.root / "pyproject.toml").write_text(text, encoding="utf-8")

    def step(self, what: str, command: list[str | Path]) -> None:
        del command
        word = what.partition(",")[0].partition(" with")[0]
        if self.fails_at and self.fails_at in word:
            raise bootstrap.StepError(self.output)
        if word == "making .venv":
            python = bootstrap.venv_python()
            python.parent.mkdir(parents=True)
            python.touch()
        self.done.append(word)

    def run(self, name: str) -> list[str]:
        self.done = []
        bootstrap.bootstrap(name)
        return self.done


@pytest.fixture
def machine(tmp_path, monkeypatch):
    made = Machine(tmp_path)
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "STAMP", tmp_path / ".venv" / "stamp.json")
    monkeypatch.setattr(bootstrap, "step", made.step)
    monkeypatch.setattr(bootstrap, "find_uv", lambda: None)
    monkeypatch.setattr(bootstrap, "has_pip", lambda: True)
    return made


ALL_OF_DEV = ["making .venv", "installing dev set", "installing seawall itself"]


def test_the_first_run_makes_and_the_second_does_nothing(machine):
    assert machine.run("dev") == ALL_OF_DEV
    assert machine.run("dev") == []


def test_the_dev_set_serves_for_the_run_set(machine):
    machine.run("dev")
    assert machine.run("run") == []


def test_the_dev_set_is_added_to_a_run_set(machine):
    machine.run("run")
    assert machine.run("dev") == ALL_OF_DEV[1:]
    assert machine.run("run") == []


@pytest.mark.parametrize("name", bootstrap.SETS)
def test_a_changed_lock_makes_a_new_environment(machine, name):
    machine.run("run")
    machine.run("dev")
    machine.lock(name, "other==2.0 --hash=sha256:00\n")
    assert machine.run("dev") == ALL_OF_DEV


def test_a_changed_description_of_the_project_installs_only_the_project(machine):
    machine.run("dev")
    machine.project("[project]\nversion = '2'\n")
    assert machine.run("dev") == ["installing seawall itself"]
    assert machine.run("dev") == []


def test_another_interpreter_makes_a_new_environment(machine, monkeypatch):
    machine.run("dev")
    monkeypatch.setattr(bootstrap, "interpreter", lambda: "3.99")
    assert machine.run("dev") == ALL_OF_DEV


def test_an_environment_whose_interpreter_is_gone_is_made_again(machine):
    machine.run("dev")
    bootstrap.venv_python().unlink()
    assert machine.run("dev") == ALL_OF_DEV


@pytest.mark.parametrize("at", ALL_OF_DEV)
def test_a_failed_step_leaves_no_stamp_and_the_next_run_starts_over(machine, at):
    machine.run("run")
    machine.lock("run", "new==1.0 --hash=sha256:00\n")
    machine.fails_at = at
    with pytest.raises(bootstrap.StepError):
        machine.run("dev")
    assert not bootstrap.STAMP.exists()
    machine.fails_at = ""
    assert machine.run("dev") == ALL_OF_DEV


@pytest.mark.parametrize("text", ["", "{", "[]", '{"interpreter": 1}'])
def test_a_damaged_stamp_counts_as_none(machine, text):
    machine.run("dev")
    bootstrap.STAMP.write_text(text, encoding="utf-8")
    assert machine.run("dev") == ALL_OF_DEV


def test_the_stamp_names_what_the_environment_was_made_from(machine):
    machine.run("dev")
    stamp = json.loads(bootstrap.STAMP.read_text("utf-8"))
    assert sorted(stamp) == ["dev", "interpreter", "project"]


def test_pip_is_tried_when_uv_fails(machine, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap, "find_uv", lambda: "uv")
    seen = []

    def step(what, command):
        seen.append(str(command[0]))
        if command[0] == "uv":
            raise bootstrap.StepError("error: no such index\n")
        machine.step(what, command)

    monkeypatch.setattr(bootstrap, "step", step)
    assert machine.run("dev") == ALL_OF_DEV
    assert seen[0] == "uv"
    assert "uv failed (error: no such index); trying pip" in capsys.readouterr().err


def test_an_environment_that_uv_made_is_made_again_when_uv_has_gone(machine, monkeypatch):
    machine.run("dev")
    monkeypatch.setattr(bootstrap, "has_pip", lambda: False)
    assert machine.run("dev") == []
    machine.project("[project]\nversion = '2'\n")
    assert machine.run("dev") == ALL_OF_DEV


def test_pip_is_found_where_a_virtual_environment_has_it(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "VENV", tmp_path)
    assert not bootstrap.has_pip()
    pip = tmp_path / "lib" / "python3.11" / "site-packages" / "pip" / "__main__.py"
    pip.parent.mkdir(parents=True)
    pip.touch()
    assert bootstrap.has_pip()


def test_a_shim_that_exits_127_is_not_taken_for_uv(tmp_path, monkeypatch):
    shim = tmp_path / "uv"
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert bootstrap.find_uv() is None
    shim.write_text("#!/bin/sh\necho uv 1.0\n", encoding="utf-8")
    assert bootstrap.find_uv() == str(shim)


def test_what_would_send_packages_elsewhere_is_not_handed_on(monkeypatch):
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("PIP_CERT", "bundle.pem")
    env = bootstrap.environment()
    assert "PIP_USER" not in env
    assert "PYTHONPATH" not in env
    assert env["PIP_CERT"] == "bundle.pem"
    assert env["UV_PYTHON_DOWNLOADS"] == "never"


@pytest.mark.parametrize(
    "output, line",
    [
        ("Temporary failure in name resolution", "no package index could be reached: check the network"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED]", "certificate is not trusted: set PIP_CERT"),
        ("No space left", "installing failed, for the reason above"),
    ],
)
def test_a_failed_download_ends_with_one_line_that_says_what_to_do(machine, capsys, output, line):
    machine.fails_at, machine.output = "installing dev set", output
    with pytest.raises(SystemExit) as ended:
        bootstrap.main(["dev"])
    assert ended.value.code == 2
    assert line in capsys.readouterr().err.splitlines()[-1]


def test_a_python_without_ensurepip_is_told_what_to_install(machine, monkeypatch, capsys):
    monkeypatch.setattr("tools.bootstrap.importlib.util.find_spec", lambda name: name != "ensurepip" or None)
    with pytest.raises(SystemExit):
        bootstrap.main(["dev"])
    assert "run `apt-get install python3-venv`" in capsys.readouterr().err.splitlines()[-1]


def test_an_old_python_is_told_which_one_is_needed(machine, monkeypatch, capsys):
    monkeypatch.setattr("tools.bootstrap.sys.version_info", (3, 10, 13, "final", 0))
    with pytest.raises(SystemExit):
        bootstrap.main(["dev"])
    line = capsys.readouterr().err.strip()
    assert line.startswith("bootstrap: this is Python 3.10.13 and seawall needs 3.11 or later: install one")


@pytest.mark.parametrize("arguments", [[], ["all"], ["run", "dev"]])
def test_an_unknown_set_is_wrong_use(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        bootstrap.main(arguments)
    assert ended.value.code == 2
    assert "run|dev" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="signals end a program differently there")
def test_an_interrupted_run_stops_its_program_and_leaves_no_stamp(tmp_path):
    """Real programs and a real signal, because that is what is asked."""
    machine = Machine(tmp_path)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "bootstrap.py").write_bytes(SCRIPT.read_bytes())
    uv = tmp_path / "uv"
    # exec: the sleeping program is the child itself, so stopping the child stops it.
    uv.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit\necho $$ >{tmp_path}/pid\nexec sleep 60\n')
    uv.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, tools / "bootstrap.py", "dev"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        stderr=subprocess.PIPE,
        text=True,
    )
    pid = machine.root / "pid"
    for _ in range(1000):
        if pid.exists() and pid.read_text().strip():
            break
        time.sleep(0.01)  # noqa: TID251 - a real program is starting
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "bootstrap: interrupted; the next run starts .venv over"
    assert not (tmp_path / ".venv" / bootstrap.STAMP.name).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
