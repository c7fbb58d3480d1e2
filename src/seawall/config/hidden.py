"""Disagreements within a section that a mistake in the same section would hide."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from seawall.config.known import field_at
from seawall.config.mistakes import Key
from seawall.config.schema import Config
from seawall.config.wording import key_of

_ROUNDS = 8  # each disagreement hides at most those that stand below it in the same section, or around it


def hidden(errors: Iterable[Any], data: dict[str, Any]) -> list[Any]:
    """What the validator finds once the values it complained about are out of its way.

    It compares the keys of a section only when each of them is right by itself. So wrong ones are left out (or given
    the value of their example, which a required one has), and what is then found is reported too, unless it speaks of
    one of those.
    """
    mended = copy.deepcopy(data)
    wrong: list[Key] = []
    found: list[Any] = []
    new = list(errors)
    for _ in range(_ROUNDS):
        for key in (key_of(error) for error in new):
            wrong.append(key)
            _mend(mended, key, data)
        try:
            Config.model_validate(mended)
        except ValidationError as error:
            new = error.errors(include_url=False)
        else:
            break
        found += [one for one in new if one["type"] == "cross" and not _about(one, wrong)]
    return found


def _mend(data: dict[str, Any], key: Key, original: dict[str, Any]) -> None:
    """Take the value at `key` out, or put a right one there."""
    while key and isinstance(key[-1], int):
        key = key[:-1]
    table: Any = data
    for part in key[:-1]:
        table = table.get(part) if isinstance(table, dict) else None
    if not isinstance(table, dict) or not key:
        return
    table.pop(key[-1], None)
    field = field_at(key, original)
    extra = field.json_schema_extra if field is not None else None
    if isinstance(extra, dict) and "example" in extra:
        table.update(tomllib.loads(str(extra["example"])))


def _about(error: Any, wrong: Iterable[Key]) -> bool:
    """True if a disagreement rests on a key that was mended, or on a section that is empty only because of it."""
    section: Key = key_of({**error, "type": "", "ctx": {}})
    if not error["ctx"]["key"]:
        return any(key[: len(section)] == section and len(key) > len(section) for key in wrong)
    target: Key = (*section, *error["ctx"]["key"].split("."))
    words = set(re.findall(r"\w+", str(error["msg"])))
    return any(key[: len(target)] == target or (key[:-1] == target[:-1] and str(key[-1]) in words) for key in wrong)
