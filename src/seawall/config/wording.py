"""From what the validator says to what a person can act on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic.fields import FieldInfo

from seawall.config.checks import KINDS
from seawall.config.known import field_at, homes_of, section_at
from seawall.config.mistakes import Key, did_you_mean, nearest
from seawall.config.values import Says
from seawall.errors.text import safe_text

_TYPES = {
    "string_type": "must be text in double quotes",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false, without quotes",
    "tuple_type": "must be a list in brackets",
    "list_type": "must be a list in brackets",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}
_LIMITS = {
    "greater_than_equal": ("must be at least {}", "ge"),
    "greater_than": ("must be above {}", "gt"),
    "less_than_equal": ("must be at most {}", "le"),
    "less_than": ("must be below {}", "lt"),
}


def key_of(error: Mapping[str, Any]) -> Key:
    """The key an error of the validator is about, as the file has it."""
    key: Key = tuple(error["loc"])
    if len(key) > 2 and key[0] == "checks" and key[2] in KINDS:
        key = (*key[:2], *key[3:])  # the validator puts the kind of check in between
    if key and key[-1] == "[key]":
        key = key[:-1]
    if error["type"] == "cross" and error["ctx"]["key"]:
        key = (*key, *error["ctx"]["key"].split("."))
    if error["type"] in {"union_tag_not_found", "union_tag_invalid"}:
        key = (*key, "kind")
    return key


def problem_of(error: Mapping[str, Any], key: Key, data: Any) -> str:
    """What is wrong and what to do, without a full stop."""
    kind, context = error["type"], error.get("ctx", {})
    field = field_at(key, data)
    if kind in _LIMITS:
        says, name = _LIMITS[kind]
        return says.format(f"{context[name]:g}{' s' if kind_of(field) == 'duration' else ''}") + _hint(field)
    if kind in _TYPES:
        quoted = isinstance(error["input"], str) and kind in {"int_type", "float_type"}
        return _TYPES[kind] + (", without quotes" if quoted else "") + _hint(field) + _example(field)
    if kind in {"missing", "union_tag_not_found"}:
        example = _extra(field).get("example") or f"{key[-1]} = …"
        return f"is required: add {example}" if field else f'is required: add kind = "http", or one of {_kinds()}'
    if kind in {"too_short", "string_too_short"}:
        return f"must not be empty{_example(field)}"
    if kind in {"too_long", "string_too_long"}:
        unit = "characters" if kind == "string_too_long" else "entries"
        return f"is too long: at most {context['max_length']} {unit} are allowed"
    return _special(error, key, data, field)


def _special(error: Mapping[str, Any], key: Key, data: Any, field: FieldInfo | None) -> str:
    """The sentence for what is no matter of a type or a limit."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(key, data)
    if kind == "union_tag_invalid":
        return f"is no kind of check: {did_you_mean(context['tag'], KINDS)}"
    if kind == "literal_error":
        return _choice(error["input"], field)
    return safe_text(context.get("error", error["msg"]), 400)


def _kinds() -> str:
    """The kinds of checks, listed."""
    return ", ".join(KINDS)


def _unknown(key: Key, data: Any) -> str:
    """The sentence for a key or section that nobody knows."""
    name, table = str(key[-1]), section_at(key[:-1], data)
    known = list(table.model_fields) if table is not None else []
    what = "unknown section" if len(key) == 1 else "unknown key"
    best = nearest(name, known)
    if best is None:
        homes = [place for place in homes_of(name) if place]
        if homes:
            return f"{what} here: it belongs in [{homes[0]}]"
    return f"{what}: {did_you_mean(name, known)}"


def _choice(value: object, field: FieldInfo | None) -> str:
    """The sentence for a word that is none of the allowed ones."""
    words: list[str] = []
    for one in get_args(field.annotation) if field is not None else ():
        words += [one] if isinstance(one, str) else [str(word) for word in get_args(one)]
    prefixed = (word for word in words if word == f"SIG{value}".upper())
    best = next(prefixed, None) or nearest(value, words)
    listed = ", ".join(f'"{word}"' for word in words)
    return f"must be one of {listed}" + (f'; did you mean "{best}"?' if best else "")


def _extra(field: FieldInfo | None) -> dict[str, Any]:
    """What the description of a key says besides its meaning."""
    extra = None if field is None else field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _hint(field: FieldInfo | None) -> str:
    """The hint of a key, in brackets."""
    hint = _extra(field).get("hint")
    return f" ({hint})" if hint else ""


def _example(field: FieldInfo | None) -> str:
    """The example of a key as a remedy."""
    example = _extra(field).get("example")
    return f": for example {example}" if example else ""


def kind_of(field: FieldInfo | None) -> str:
    """What the reference calls the kind of value a key takes; "" if its plain type says it."""
    if field is None:
        return ""
    found = [one for one in field.metadata if isinstance(one, Says)]
    if not found:
        parts = (inner for part in get_args(field.annotation) for inner in getattr(part, "__metadata__", ()))
        found = [one for one in parts if isinstance(one, Says)]
    return found[0].kind if found else ""
