"""What is made anew in the child of a fork: locks that another thread held, permits the parent gave."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class ForkAware(Protocol):
    """Something with state that a fork would leave half done."""

    def after_fork(self) -> None:
        """Start afresh in the child, where only the forking thread lives on."""


_living: weakref.WeakSet[ForkAware] = weakref.WeakSet()


def renew_after_fork(thing: ForkAware) -> None:
    """Have `thing.after_fork()` called in every child forked from now on, as long as `thing` lives."""
    _living.add(thing)


def _in_child() -> None:
    """Renew everything known; runs before any other Python code of the child."""
    for thing in list(_living):
        thing.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)
