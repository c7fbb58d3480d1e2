"""What the models of all sections share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from seawall.config.values import Says

#: A list of texts; TOML has lists, we keep tuples.
Texts = Annotated[tuple[str, ...], Field(strict=False), Says("list of texts")]


class Section(BaseModel):
    """A table of the file: unknown keys are mistakes, and a value must have the right type as it stands."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def option(default: Any, says: str, *, hint: str = "", example: str = "", otherwise: str = "", **limits: Any) -> Any:
    """A key of a section.

    Args:
        default: its value when it is left out; `...` when it must be there.
        says: what it is, one sentence; the reference prints it.
        hint: what helps when the value is out of range; the message adds it in brackets.
        example: a line that shows its use; the message for a missing key gives it.
        otherwise: what holds when it is left out, where `default` cannot say so.
        limits: `ge`, `gt`, `le`, `lt`, `min_length`, `max_length`, as pydantic has them.
    """
    extra = {"hint": hint, "example": example, "otherwise": otherwise}
    return Field(default, description=says, json_schema_extra={k: v for k, v in extra.items() if v} or None, **limits)


def cross(key: str, problem: str) -> PydanticCustomError:
    """A mistake found by comparing several keys of one section; it is reported on `key`."""
    safe = problem.replace("{", "{{").replace("}", "}}")
    return PydanticCustomError("cross", safe, {"key": key})
