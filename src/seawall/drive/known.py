"""What all generated functions find as globals, whatever their pipeline; who owns a name writes it here.

A global costs a generated function nothing when it is entered, where each cell of its closure does.
"""

from __future__ import annotations

import builtins
from typing import Any

#: Of every local name, cell and global of a generated function; no parameter of a callable begins with it.
PREFIX = "_sw_"

#: By name. Every name has to be there before the first function is made: the interpreter remembers where it lies.
known: dict[str, Any] = {
    "__name__": "seawall.generated",
    "__builtins__": builtins,
    **{PREFIX + one.__name__: one for one in (BaseException, IndexError)},
}


def tell(**names: object) -> None:
    """Set globals, each with its name as it stands in `template.py`."""
    for name, value in names.items():
        known[PREFIX + name] = value
