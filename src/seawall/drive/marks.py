"""What is left on errors and answers for those further out: notes for people, marks for retries."""

from __future__ import annotations

import itertools

from seawall.drive.known import PREFIX, known, tell


def note(error: BaseException, text: str) -> None:
    """Add a note to an error, unless it has collected many: some programs raise one object again and again."""
    if len(getattr(error, "__notes__", ())) < 8:
        try:
            error.add_note(text)
        except (AttributeError, TypeError):  # a frozen one takes none, and must come through all the same
            return


_MARK = "__seawall_gave_up__"
_marks = itertools.count(1)
# About the last mark that was set, for generated code, which reads it where `new_mark` would be called. Two threads
# that set marks at once may leave the lower one: then the other error, if it is raised again later, counts as new.
tell(marks=0)
_DEPTH = 20  # errors looked at along causes, contexts and groups


def new_mark() -> int:
    """A number larger than every mark set so far."""
    return next(_marks)


def mark_given_up(thing: object) -> None:
    """Say on an error, or an answer, that a retry has given it up, so that one further out takes it as final."""
    mark = next(_marks)
    tell(marks=max(known[PREFIX + "marks"], mark))
    try:
        # NB: not by the thing's own ways, which may refuse with any error, here and where it is read
        object.__setattr__(thing, _MARK, mark)
    except (AttributeError, TypeError):  # values without room for it: numbers, texts, tuples
        pass


def given_up_since(thing: object, mark: int) -> bool:
    """True if a retry inside has given this up since `mark`; an error's causes, contexts and groups are looked at.

    The mark matters because some programs raise one object again and again.
    """
    left = [thing]
    for _ in range(_DEPTH):
        if not left:
            break
        one = left.pop()
        if _mark_of(one) > mark:
            return True
        if isinstance(one, BaseException):
            left += [each for each in (one.__cause__, one.__context__) if each is not None]
        if isinstance(one, BaseExceptionGroup):
            left += one.exceptions[:_DEPTH]
    return False


def _mark_of(thing: object) -> int:
    """The mark on a thing; 0 if it has none."""
    try:
        mark: int = object.__getattribute__(thing, _MARK)
    except AttributeError:
        return 0
    return mark
