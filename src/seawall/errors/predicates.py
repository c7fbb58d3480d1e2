"""What may be tried again, said in types, names of kinds and categories, functions, or a list of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seawall.core.errors import ConfigurationError
from seawall.errors.classify import retryable
from seawall.errors.kinds import CATEGORIES, KINDS, kind_of

Predicate = Callable[[BaseException], bool]
One = type[BaseException] | str | Predicate
Retryable = One | Sequence[One]


def predicate(where: str, rule: Retryable | None) -> Predicate:
    """A function of the exception that says whether `rule` takes it in; the default rule for None.

    Raises:
        ConfigurationError: naming the place, the value and what is known.
    """
    if rule is None:
        return retryable
    rules = list(rule) if isinstance(rule, Sequence) and not isinstance(rule, str) else [rule]
    types: list[type[BaseException]] = []
    words: set[str] = set()
    functions: list[Predicate] = []
    for one in rules:
        if isinstance(one, str):
            if one not in KINDS and one not in CATEGORIES:
                known = ", ".join(sorted({*KINDS, *CATEGORIES}))
                raise ConfigurationError(f"{where}: {one!r} is no kind of error; known are {known}")
            words.add(one)
        elif isinstance(one, type) and issubclass(one, BaseException):
            types.append(one)
        elif callable(one) and not isinstance(one, type):
            functions.append(one)
        else:
            raise ConfigurationError(
                f"{where}: {one!r} is no exception type; give one, a tuple of them, the name of a kind such as "
                '"network", or a function of the error'
            )
    kinds = tuple(types)

    def wanted(error: BaseException) -> bool:
        if isinstance(error, kinds):
            return True
        if words:
            kind = kind_of(error)
            if kind in words or KINDS[kind] in words:
                return True
        return any(one(error) for one in functions)

    return wanted
