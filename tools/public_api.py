"""Lists the public names of seawall with their signatures.

    python tools/public_api.py            # prints the list
    python tools/public_api.py --write    # accepts it: tests/architecture/public_api.txt

The list is checked in, so a change of what users import shows in review as a changed line.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MODULES = ("seawall", "seawall.backoff", "seawall.testing")
LIST = Path(__file__).resolve().parent.parent / "tests" / "architecture" / "public_api.txt"
# Special methods that users rely on without naming them.
SPECIAL = (
    "__aenter__",
    "__aiter__",
    "__call__",
    "__enter__",
    "__iter__",
    "__next__",
    "__anext__",
)


def public_names(module: str) -> list[str]:
    """The names a module offers: its `__all__`."""
    return sorted(importlib.import_module(module).__all__)


def describe(value: object) -> str:
    """A value as text that is the same in every run and on every Python."""
    if isinstance(value, str):
        return repr(value)
    if inspect.isroutine(value) or inspect.isclass(value):
        return str(getattr(value, "__qualname__", repr(value)))
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def annotation(value: object) -> str:
    """An annotation as it was written, as far as Python still knows."""
    if isinstance(value, str):
        return value
    return re.sub(r"\b(typing|collections\.abc|types)\.", "", inspect.formatannotation(value))


def signature(function: Callable[..., object], *, bound: bool = False) -> str:
    """The parameters, defaults and annotations of a callable."""
    try:
        found = inspect.signature(function)
    except (TypeError, ValueError):
        return "(...)"
    parts: list[str] = []
    before: inspect.Parameter | None = None
    parameters = list(found.parameters.values())
    for parameter in parameters[1:] if bound else parameters:
        only = parameter.KEYWORD_ONLY
        starred = before is not None and before.kind in (only, parameter.VAR_POSITIONAL)
        if before is not None and before.kind is parameter.POSITIONAL_ONLY is not parameter.kind:
            parts.append("/")
        if parameter.kind is only and not starred:
            parts.append("*")
        parts.append(describe_parameter(parameter))
        before = parameter
    if before is not None and before.kind is before.POSITIONAL_ONLY:
        parts.append("/")
    returned = found.return_annotation
    arrow = "" if returned is found.empty else f" -> {annotation(returned)}"
    return f"({', '.join(parts)}){arrow}"


def describe_parameter(parameter: inspect.Parameter) -> str:
    """One parameter as it stands in a signature."""
    text = parameter.name
    if parameter.kind is parameter.VAR_POSITIONAL:
        text = f"*{text}"
    elif parameter.kind is parameter.VAR_KEYWORD:
        text = f"**{text}"
    typed = parameter.annotation is not parameter.empty
    if typed:
        text += f": {annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f" = {describe(parameter.default)}" if typed else f"={describe(parameter.default)}"
    return text


def members(owner: type) -> Iterator[str]:
    """The public members of a class, those of its own bases in the package included."""
    seen: dict[str, object] = {}
    for base in reversed(owner.__mro__):
        if base.__module__.partition(".")[0] == "seawall":
            seen.update(vars(base))
    for name in sorted(seen):
        value = seen[name]
        if name.startswith("_") and name not in SPECIAL:
            continue
        if issubclass(owner, enum.Enum) and name in owner.__members__:
            yield f"{name} = {describe(owner.__members__[name].value)}"
        elif isinstance(value, property):
            yield f"{name}: property"
        elif isinstance(value, classmethod):
            yield f"classmethod {name}{signature(value.__func__, bound=True)}"
        elif isinstance(value, staticmethod):
            yield f"staticmethod {name}{signature(value.__func__)}"
        elif inspect.isroutine(value) and callable(value):
            colour = "async " if inspect.iscoroutinefunction(value) else ""
            yield f"{colour}{name}{signature(value, bound=True)}"
        else:
            yield name


def construction(owner: type) -> str:
    """How a class is called; nothing for what Python itself constructs, which differs by version."""
    own = [base for base in owner.__mro__ if base.__module__.partition(".")[0] == "seawall"]
    defined = any(name in vars(base) for base in own for name in ("__init__", "__new__"))
    return signature(owner).partition(" -> ")[0] if defined and not issubclass(owner, enum.Enum) else ""


def entry(module: str, name: str) -> Iterator[str]:
    """The lines of one public name."""
    value = getattr(importlib.import_module(module), name)
    full = f"{module}.{name}"
    if inspect.isclass(value):
        bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
        yield f"class {full}{construction(value)}" + (bases and f" <- {bases}")
        for member in members(value):
            yield f"    {member}"
    elif inspect.isroutine(value):
        colour = "async " if inspect.iscoroutinefunction(value) else ""
        yield f"{colour}def {full}{signature(value)}"
    elif inspect.ismodule(value):
        yield f"module {full}"
    else:
        yield f"{full}: {type(value).__name__}"


def listing() -> str:
    """The whole list."""
    lines: list[str] = []
    for module in MODULES:
        lines += [f"# {module}", ""]
        for name in public_names(module):
            lines += entry(module, name)
        lines.append("")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Runs as a command."""
    if list(arguments) == ["--write"]:
        LIST.write_text(listing(), encoding="utf-8")
        return 0
    if arguments:
        print("usage: python tools/public_api.py [--write]", file=sys.stderr)
        return 2
    print(listing(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
