"""Things handed out one by one without a lock, and taken back all at once: tickets, tokens.

What hands them out is an iterator written in C, so one step is one step: no thread, no trace function and no signal
handler comes between. The interpreter looks for signals after calls, at the start of functions and at jumps backward
(`CHECK_EVAL_BREAKER` in CPython's `ceval.c`), and not between `FOR_ITER` and the store that follows it. So in

    for ticket in supply.iterator:
        try:
            ...

a ticket is either still there or in the hands of the block: none is lost to an exception that a handler raises.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import repeat
from typing import Any

#: `itertools.repeat` counts down without atomics: safe under the GIL only. Free-threaded builds take a list, whose
#: `pop` is atomic there too; that is written for them and untested.
GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

_FIRST = tuple(range(1024))  # a range would make each of its numbers anew


class Supply:
    """So many times the same thing, or so many whole numbers in a row.

    Args:
        thing: what each step gives; None for numbers.
        count: how many, from 0.
        first: the first number.
    """

    __slots__ = ("_back", "_list", "count", "iterator")

    def __init__(self, thing: Any, count: int, first: int = 0) -> None:
        self.count = count
        self._back: list[Any] = []  # what was taken back
        self._list: list[Any] | None = None
        self.iterator: Iterator[Any]
        if GIL:
            if thing is not None:
                self.iterator = repeat(thing, count)
            else:
                known = count <= len(_FIRST) and not first
                self.iterator = iter(_FIRST[:count] if known else range(first, first + count))
        else:
            self._list = list(range(first + count - 1, first - 1, -1)) if thing is None else [thing] * count
            self.iterator = iter(self._list.pop, None)  # raises IndexError when it is empty

    @property
    def left(self) -> int:
        """How many are still there."""
        return self.iterator.__length_hint__() if self._list is None else len(self._list)  # type: ignore[attr-defined]

    @property
    def taken(self) -> int:
        """How many have been taken."""
        return self.count - self.left - len(self._back)

    def recall(self) -> int:
        """Take back what is left, for good; how many have been taken in all. A second time gives the same."""
        try:
            self._back += self.iterator
        except IndexError:  # a list that is empty; what was popped before is in
            pass
        return self.count - len(self._back)
