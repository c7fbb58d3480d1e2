"""Each rule of the architecture is broken on purpose in a copy, and its check must name the culprit.

A check that cannot fail protects nothing: these tests are what keeps `make check` honest.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


class Tree:
    """A copy of the package with its configuration, free to be spoilt."""

    def __init__(self, root: Path) -> None:
        self.root = root
        built = shutil.ignore_patterns("__pycache__", "static")
        shutil.copytree(ROOT / "src", root / "src", ignore=built)
        shutil.copytree(ROOT / "tools", root / "tools", ignore=built)
        shutil.copy(ROOT / "pyproject.toml", root)

    def add(self, name: str, text: str) -> None:
        path = self.root / "src" / "seawall" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def append(self, name: str, text: str) -> None:
        path = self.root / "src" / "seawall" / name
        path.write_text(path.read_text("utf-8") + "\n" + text, encoding="utf-8")

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        # NB: PYTHONPATH comes before the editable install, so the copy is what is read.
        return subprocess.run(
            [str(part) for part in command],
            cwd=self.root,
            env={**os.environ, "PYTHONPATH": str(self.root / "src"), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )

    def lint_imports(self) -> subprocess.CompletedProcess[str]:
        return self.run(BIN / "lint-imports", "--no-logo", "--no-cache")

    def ruff(self, name: str) -> subprocess.CompletedProcess[str]:
        return self.run(BIN / "ruff", "check", "--no-cache", f"src/seawall/{name}")

    def sizes(self) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "tools/check_sizes.py", self.root)


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_the_tree_as_it_is_keeps_every_contract(tree):
    done = tree.lint_imports()
    assert done.returncode == 0, done.stdout


def test_an_upward_import_is_refused_and_named(tree):
    tree.add("core/upward.py", "import seawall.pipeline\n")
    done = tree.lint_imports()
    assert done.returncode == 1
    assert "seawall.core is not allowed to import seawall.pipeline" in done.stdout
    assert "seawall.core.upward -> seawall.pipeline" in done.stdout


def test_an_import_of_the_facade_from_below_is_refused(tree):
    tree.add("core/upward.py", "from seawall.testing import virtual_time\n")
    done = tree.lint_imports()
    assert done.returncode == 1
    assert "seawall.core.upward -> seawall.testing" in done.stdout


def test_a_folder_without_a_place_is_refused_and_named(tree):
    tree.add("unplaced/__init__.py", "")
    done = tree.lint_imports()
    assert done.returncode == 1
    assert "- seawall.unplaced" in done.stdout


@pytest.mark.parametrize("module", ["asyncio", "logging", "random", "socket", "threading", "time"])
def test_a_machine_that_imports_the_outside_world_is_refused(tree, module):
    tree.add("machines/worldly.py", f"import {module}\n")
    done = tree.lint_imports()
    assert done.returncode == 1
    assert f"seawall.machines is not allowed to import {module}" in done.stdout
    assert f"seawall.machines.worldly -> {module}" in done.stdout


def test_a_policy_that_imports_another_is_refused_and_named(tree):
    tree.add("policies/first.py", "import seawall.policies.second\n")
    tree.add("policies/second.py", "")
    done = tree.lint_imports()
    assert done.returncode == 1
    assert "seawall.policies.first -> seawall.policies.second" in done.stdout


def test_a_machine_that_imports_another_is_refused_and_named(tree):
    tree.add("machines/first.py", "import seawall.machines.second\n")
    tree.add("machines/second.py", "")
    done = tree.lint_imports()
    assert done.returncode == 1
    assert "seawall.machines.first -> seawall.machines.second" in done.stdout


@pytest.mark.parametrize(
    "code, name",
    [
        ("import time\n\nNOW = time.monotonic()\n", "time.monotonic"),
        ("from time import perf_counter as now\n\nNOW = now()\n", "time.perf_counter"),
        ("import time\n\ntime.sleep(1.0)\n", "time.sleep"),
        ("import asyncio\n\nWAIT = asyncio.sleep\n", "asyncio.sleep"),
        ("import random\n\nX = random.random()\n", "random"),
        ("from random import choice\n\nX = choice\n", "random"),
        ("import datetime\n\nX = datetime.datetime.now()\n", "datetime.datetime.now"),
        ("from datetime import datetime\n\nX = datetime.utcnow()\n", "datetime.datetime.utcnow"),
        ("import uuid\n\nX = uuid.uuid1()\n", "uuid.uuid1"),
    ],
)
def test_a_clock_read_or_a_die_outside_its_place_is_refused(tree, code, name):
    tree.add("machines/impure.py", code)
    done = tree.ruff("machines/impure.py")
    assert done.returncode == 1
    assert "TID251" in done.stdout
    assert f"`{name}` is banned" in done.stdout
    assert "src/seawall/machines/impure.py" in done.stdout


def test_clock_reads_are_allowed_where_time_comes_from(tree):
    code = "import time\n\nNOW = time.monotonic()\n"
    for name in ("core/clock.py", "drive/reading.py"):
        tree.add(name, code)
        assert "TID251" not in tree.ruff(name).stdout


def test_a_module_of_401_lines_is_refused_and_named(tree):
    tree.add("machines/long.py", "\n" * 401)
    done = tree.sizes()
    assert done.returncode == 1
    assert "src/seawall/machines/long.py: 401 lines: at most 400" in done.stdout


def test_a_module_of_400_lines_is_accepted(tree):
    tree.add("machines/long.py", "\n" * 400)
    assert tree.sizes().returncode == 0


def test_the_layers_are_one_exhaustive_contract():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    layers = [each for each in contracts if each["type"] == "layers"]
    assert len(layers) == 1
    assert layers[0]["containers"] == ["seawall"]
    assert layers[0]["exhaustive"] is True
    assert layers[0].get("ignore_imports", []) == []
