"""Finds an argument of a protected function by its name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from seawall.core.errors import ConfigurationError

if TYPE_CHECKING:
    from seawall.drive.call import Call
    from seawall.drive.protocols import Policy

_NONE = object()  # no default


def argument(call: Call, policy: Policy, name: str) -> Hashable:
    """The value that `call` gives to the parameter `name`, its default included.

    Raises:
        ConfigurationError: if the function has no such parameter.
    """
    if name in call.kwargs:
        return call.kwargs[name]  # type: ignore[no-any-return]
    place = _place(call.fn, name)
    if place is not None:
        index, default = place
        if index is not None and index < len(call.args):
            return call.args[index]  # type: ignore[no-any-return]
        if default is not _NONE:
            return default  # type: ignore[no-any-return]
    raise ConfigurationError(
        f'"{policy.name}" has key = {name!r}, and the call of {getattr(call.fn, "__qualname__", "the function")} names '
        f"no {name}: give it as an argument, use pipeline.for_key(…), or a function as key"
    )


def _place(fn: Callable[..., Any], name: str) -> tuple[int | None, Any] | None:
    """Index (None for keyword-only) and default of a parameter; None if there is no such."""
    try:
        return _places(fn).get(name)
    except TypeError:  # cannot be hashed
        return _places.__wrapped__(fn).get(name)


@functools.lru_cache(maxsize=512)
def _places(fn: Callable[..., Any]) -> dict[str, tuple[int | None, Any]]:
    """All parameters of a function."""
    import inspect  # late: a pipeline has loaded it when it was made

    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return {}
    counted = {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
    return {
        one.name: (index if one.kind in counted else None, _NONE if one.default is one.empty else one.default)
        for index, one in enumerate(parameters)
    }
