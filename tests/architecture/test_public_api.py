"""What users may import is a list in the repository: nothing enters or leaves it unseen."""

import difflib
import importlib
import inspect

import pytest

from tools.public_api import LIST, MODULES, listing, public_names, signature


def test_the_public_names_are_those_of_the_checked_in_list():
    accepted, found = LIST.read_text("utf-8"), listing()
    difference = difflib.unified_diff(
        accepted.splitlines(), found.splitlines(), "public_api.txt", "the code", lineterm="", n=0
    )
    assert found == accepted, "\n".join(["if this is meant: make api, and a fragment in changes/", *difference])


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_can_be_imported_and_is_documented(module):
    owner = importlib.import_module(module)
    missing = []
    for name in public_names(module):
        value = getattr(owner, name)
        of_its_own = inspect.isclass(value) or inspect.isroutine(value)
        if of_its_own and not (value.__doc__ or "").strip():
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("module", MODULES)
def test_no_public_name_starts_with_an_underscore(module):
    names = [name for name in public_names(module) if name != "__version__"]
    assert [name for name in names if name.startswith("_")] == []


def test_a_signature_reads_as_it_was_written():
    def function(a, /, b: int, *rest, c: "str | None" = "x", d=print, **more) -> None: ...

    assert signature(function) == ("(a, /, b: int, *rest, c: str | None = 'x', d=print, **more) -> None")


def test_a_bare_star_and_a_bound_first_argument_are_kept_apart():
    def method(self, a, *, b=1.0): ...

    assert signature(method, bound=True) == "(a, *, b=1.0)"
