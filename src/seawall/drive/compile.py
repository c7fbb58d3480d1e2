"""Generates the functions that protected callables are replaced with: their own signature, the quiet path inline.

The quiet path is: a ticket is there, tokens and a slot are there, the call succeeds, and nothing about it is unusual.
It has no rules of its own. Whatever else happens is handed to the plain drivers, before the call (`plain`) or after it
(`resume`, which goes through the drivers with the first attempt already made), so the rules stand in one place.

Code objects are cached by the text they come from, so that functions alike share one; their sources are known to
`linecache`, so tracebacks and debuggers show them. A function differs from another of the same text by its closure
alone: cells with the callable itself, and cells that all functions of a pipeline or a policy share.

NB: the order of these lines is what makes it exact when a signal handler raises between any two of them. What is taken
is taken by a `for`, and what was taken is given back before anything else is called; see `supply.py`.
"""

from __future__ import annotations

import functools
import linecache
import os
import types
from types import CellType, CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from seawall.drive.known import PREFIX, known, tell
from seawall.drive.supply import GIL
from seawall.drive.template import source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Whether functions are generated; see `seawall.testing.compiled`.
enabled = os.environ.get("SEAWALL_COMPILE", "1") != "0"

_PLAIN_FLAGS = 0x04 | 0x08  # *args, **kwargs


class Unusual(Exception):  # noqa: N818 - it is no error, and leaves no generated function
    """A call has succeeded, and the drivers have to look at it all the same."""


tell(Unusual=Unusual)


class Parameters(NamedTuple):
    """How a function takes its arguments, as text.

    Args:
        declared: as they stand in a `def`, without defaults.
        passed: as they are handed on.
        packed: a tuple of those by position, and a dictionary of those by name.
    """

    declared: str
    passed: str
    packed: str


_ANY = Parameters("*args, **kwargs", "*args, **kwargs", "args, kwargs")


def parameters(fn: Callable[..., Any]) -> Parameters:
    """Those of a function written in Python; of anything else, or where names would clash, whatever comes."""
    code = getattr(fn, "__code__", None)
    if not isinstance(fn, FunctionType) or not isinstance(code, CodeType):
        return _ANY
    count = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & 4) + bool(code.co_flags & 8)
    if any(name.startswith(PREFIX) for name in code.co_varnames[:count]):
        return _ANY
    return _parameters(
        code.co_varnames[:count],
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags & _PLAIN_FLAGS,
    )


@functools.lru_cache(maxsize=1024)
def _parameters(names: tuple[str, ...], count: int, only: int, named: int, flags: int) -> Parameters:
    """See `parameters`."""
    declared = [*names[:only], *(["/"] if only else []), *names[only:count]]
    passed, by_place, by_name = list(names[:count]), list(names[:count]), []
    rest = list(names[count + named :])
    if flags & 4:
        star = "*" + rest.pop(0)
        declared.append(star)
        passed.append(star)
        by_place.append(star)
    elif named:
        declared.append("*")
    for name in names[count : count + named]:
        declared.append(name)
        passed.append(f"{name}={name}")
        by_name.append(f"{name!r}: {name}")
    if flags & 8:
        star = "**" + rest.pop(0)
        declared.append(star)
        passed.append(star)
        by_name.append(star)
    packed = f"({''.join(one + ', ' for one in by_place)}), {{{', '.join(by_name)}}}"
    return Parameters(", ".join(declared), ", ".join(passed), packed)


@functools.lru_cache(maxsize=1024)
def _code(taken: Parameters, features: frozenset[str]) -> CodeType:
    """The code of a generated function."""
    text = source(taken, features)
    number = f"{hash((taken, features)) & 0xFFFFFFFFFFFF:012x}"
    name = f"<seawall {'async ' if 'async' in features else ''}{number}>"
    made: dict[str, Any] = {}
    exec(compile(text, name, "exec"), known, made)  # noqa: S102 - the text is made here, of names of parameters alone
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return next(one for one in made["make"].__code__.co_consts if isinstance(one, CodeType))


def function(fn: Callable[..., Any], features: frozenset[str], cells: Mapping[str, CellType]) -> Any:
    """`fn` under protection.

    Args:
        fn: what is called.
        features: what its policies need; see `template.py`.
        cells: by name, as the template has them; what is missing there gets a cell of its own.
    """
    taken = parameters(fn)
    code = _code(taken, features if GIL else features | {"lists"})
    own = {"fn": CellType(fn), "kind": CellType(None)}
    names = [name.removeprefix(PREFIX) for name in code.co_freevars]
    closure = tuple(own[name] if name in own else cells[name] for name in names)
    made = types.FunctionType(code, known, code.co_name, None, closure)
    if isinstance(fn, FunctionType) and taken is not _ANY:
        made.__defaults__ = fn.__defaults__
        made.__kwdefaults__ = fn.__kwdefaults__
    return functools.update_wrapper(made, fn)
