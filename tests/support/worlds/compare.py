"""Compares two plays of a scenario, and finds a short script on which they differ."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from tests.support.worlds.play import play


def difference(first, second, where="log"):
    """Where two logs first differ, in words; None if they are alike. Numbers may differ by a rounding."""
    if isinstance(first, float) or isinstance(second, float):
        alike = first == second or (_number(first) and _number(second) and abs(first - second) <= 1e-9)
        return None if alike else f"{where}: {first!r} != {second!r}"
    if type(first) is not type(second):
        return f"{where}: {first!r} != {second!r}"
    pairs = _pairs(first, second, where)
    if pairs is None:
        return None if first == second else f"{where}: {first!r} != {second!r}"
    for one, other, place in pairs:
        found = difference(one, other, place)
        if found is not None:
            return found
    return _longer(first, second, where)


def _number(thing):
    return isinstance(thing, int | float)


def _pairs(first, second, where):
    """What belongs together in two containers; None for what is none."""
    if is_dataclass(first):
        return [(getattr(first, one.name), getattr(second, one.name), f"{where}.{one.name}") for one in fields(first)]
    if isinstance(first, Mapping):
        if first.keys() != second.keys():
            return [(sorted(map(str, first)), sorted(map(str, second)), f"{where}.keys()")]
        return [(first[key], second[key], f"{where}[{key!r}]") for key in first]
    if isinstance(first, list | tuple):
        return [(one, other, f"{where}[{at}]") for at, (one, other) in enumerate(zip(first, second, strict=False))]
    return None


def _longer(first, second, where):
    """What only one of two containers has."""
    if not isinstance(first, list | tuple) or len(first) == len(second):
        return None
    at = min(len(first), len(second))
    longer, which = (first, "first") if len(first) > at else (second, "second")
    return f"{where}[{at}]: only the {which} has {longer[at]!r}"


def differs(scenario):
    """How the play with generated functions differs from the play without, in words; None if they are alike."""
    try:
        plain = play(scenario, False)
    except BaseException as error:
        return f"the play without generated functions broke off: {error!r}"
    try:
        generated = play(scenario, True)
    except BaseException as error:
        return f"the play with generated functions broke off: {error!r}"
    return difference(plain, generated)


def shortest(scenario, fails=differs, tries=400):
    """A scenario with as few steps as can be found that still fails."""
    size = len(scenario.steps)
    while size >= 1:
        at = 0
        while at < len(scenario.steps) and tries:
            tries -= 1
            fewer = scenario._replace(steps=scenario.steps[:at] + scenario.steps[at + size :])
            if fails(fewer):
                scenario = fewer
            else:
                at += size
        size //= 2
    return scenario
