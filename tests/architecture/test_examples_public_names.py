"""Examples, reference systems and the docs' snippets use public names only.

They show what a user can do; a private name in them shows something that a user cannot.
"""

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("apps", "examples", "docs")
PUBLIC_MODULES = {"seawall", "seawall.backoff", "seawall.server", "seawall.testing"}
PUBLIC_FOLDERS = ("seawall.integrations.",)


def is_public(module):
    return module in PUBLIC_MODULES or (module.startswith(PUBLIC_FOLDERS) and "._" not in module)


def offers(module, name):
    owner = importlib.import_module(module)
    return name in getattr(owner, "__all__", ()) or is_public(f"{module}.{name}")


def private_uses(source):
    """Yields what a program uses of seawall that is not public, with the line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "seawall" and not is_public(alias.name):
                    yield f"{node.lineno}: import {alias.name}"
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            module = node.module or ""
            if module.partition(".")[0] != "seawall":
                continue
            for alias in node.names:
                if not is_public(module) or not offers(module, alias.name):
                    yield f"{node.lineno}: from {module} import {alias.name}"
        elif isinstance(node, ast.Attribute):
            known = isinstance(node.value, ast.Name) and node.value.id == "seawall"
            if known and not offers("seawall", node.attr):
                yield f"{node.lineno}: seawall.{node.attr}"


def programs():
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if "_build" not in path.parts:
                yield path


@pytest.mark.parametrize("path", list(programs()), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_program_for_users_uses_public_names_only(path):
    assert list(private_uses(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import seawall.machines.breaker",
        "from seawall.machines import breaker",
        "from seawall import _private",
        "from seawall.backoff import os",
        "import seawall\nseawall._registry",
    ],
)
def test_private_names_are_found(line):
    assert list(private_uses(line))
