"""Which keys are known where, read from the models."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from seawall.config.checks import KINDS
from seawall.config.mistakes import Key
from seawall.config.options import Section
from seawall.config.schema import Config


def section_at(key: Key, data: Any) -> type[Section] | None:
    """The model that describes the table at `key`; None if it is not a table of ours.

    Args:
        key: path of a table.
        data: the whole file; tells of which kind a check is.
    """
    if len(key) == 2 and key[0] == "checks":
        return KINDS.get(str(_at(data, (*key, "kind"))))
    model: Any = Config
    for part in key:
        if isinstance(model, type) and issubclass(model, Section):
            field = model.model_fields.get(str(part))
            model = None if field is None else _plain(field.annotation)
        elif get_origin(model) is dict:
            model = _plain(get_args(model)[1])
        else:
            return None
    return model if isinstance(model, type) and issubclass(model, Section) else None


def field_at(key: Key, data: Any) -> FieldInfo | None:
    """The description of the value at `key`; of the list, for an element of one."""
    while key and isinstance(key[-1], int):
        key = key[:-1]
    section = section_at(key[:-1], data) if key else None
    return None if section is None else section.model_fields.get(str(key[-1]))


def homes_of(name: str) -> list[str]:
    """The sections in which `name` is a key, as the file writes them."""
    return [place for place, section in sections() if name in section.model_fields]


def sections(model: type[Section] = Config, place: str = "") -> Iterator[tuple[str, type[Section]]]:
    """Every section below `model` with its place: ("pipelines.NAME.retry", RetrySection) and so on."""
    for name, field in model.model_fields.items():
        kind = _plain(field.annotation)
        here = f"{place}.{name}" if place else name
        if get_origin(kind) is dict:
            kind, here = _plain(get_args(kind)[1]), f"{here}.NAME"
        if here == "checks.NAME":
            yield from ((here, section) for section in KINDS.values())
        elif isinstance(kind, type) and issubclass(kind, Section):
            yield here, kind
            yield from sections(kind, here)


def _plain(annotation: Any) -> Any:
    """A type without `Annotated` and without `| None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in {Union, types.UnionType}:
        rest = [one for one in get_args(annotation) if one is not type(None)]
        return _plain(rest[0]) if len(rest) == 1 else annotation
    return annotation


def _at(data: Any, key: Key) -> Any:
    """The value at `key`, or None."""
    for part in key:
        if not isinstance(data, dict):
            return None
        data = data.get(part)
    return data
