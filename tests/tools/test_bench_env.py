"""The environments of the bench's peers are made once, and anew when the lock changes."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("bench_env", ROOT / "tools/bench_env.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def env(tmp_path, monkeypatch):
    """The script, on a tree of its own; `env.said` are the programs it would have run."""
    module = load()
    lock = tmp_path / "peers.txt"
    lock.write_text("limits==5.8.0\n", "utf-8")
    said = []

    def run(*command):
        said.append([str(part) for part in command])
        if "venv" in command:
            python = module.inside(Path(command[-1]))
            python.parent.mkdir(parents=True)
            python.touch()
        return "3.13.0"

    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "LOCK", lock)
    monkeypatch.setattr(module, "run", run)
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    return module, lock, said


def installs(said):
    return sum("install" in command for command in said)


def test_it_is_made_once_for_each_python(env):
    module, _, said = env
    python = module.make("python3.13")
    assert python == module.make("python3.13")
    assert python.is_relative_to(module.ROOT / "build" / "peers-3.13.0")
    assert installs(said) == 1
    assert "--require-hashes" in said[-2]


def test_another_lock_makes_it_anew(env):
    module, lock, said = env
    module.make("python3.13")
    lock.write_text("limits==5.9.0\n", "utf-8")
    module.make("python3.13")
    assert installs(said) == 2


def test_one_that_was_interrupted_is_made_anew(env, monkeypatch):
    module, _, said = env
    working = module.run

    def failing(*command):
        if "install" in command:
            raise module.PeersError("no index")
        return working(*command)

    monkeypatch.setattr(module, "run", failing)
    assert module.main(["python3.13"]) == 2
    monkeypatch.setattr(module, "run", working)
    assert module.main(["python3.13"]) == 0
    assert installs(said) == 1


def test_a_program_that_fails_is_told_with_its_last_line(monkeypatch, capsys):
    module = load()
    assert module.main(["no-such-python"]) == 2
    assert "no-such-python does not start" in capsys.readouterr().err
