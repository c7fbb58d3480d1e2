"""The locked sets agree with each other and with the project's own description."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lines(name):
    text = (ROOT / "requirements" / name).read_text("utf-8")
    return [line.strip() for line in text.splitlines() if line.strip()]


def plain(requirement):
    """A requirement without the freedom of spelling."""
    return requirement.replace("'", '"').replace(" ", "")


def pins(name):
    found: dict[str, set[tuple[str, str]]] = {}
    for line in lines(name):
        if match := re.match(r"([a-z0-9][a-z0-9._-]*)==(\S+)(.*?)\\?$", line):
            found.setdefault(match[1], set()).add((match[2], match[3].strip()))
    return found


def test_the_run_set_is_the_daemon_extra_and_the_build_backend():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extra = {plain(each) for each in project["project"]["optional-dependencies"]["daemon"]}
    backend = {plain(each) for each in project["build-system"]["requires"]}
    run = {plain(line) for line in lines("run.in") if not line.startswith("#")}
    assert run == extra | backend


def test_the_library_itself_requires_nothing():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["dependencies"] == []


def test_the_dev_set_holds_the_run_set_in_the_same_versions():
    run, dev = pins("run.txt"), pins("dev.txt")
    assert run
    assert {name: dev.get(name) for name in run} == run


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_every_locked_package_has_hashes(name):
    text = (ROOT / "requirements" / name).read_text("utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", text)
    assert len(blocks) > 10
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
