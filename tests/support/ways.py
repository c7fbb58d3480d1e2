"""Runs a module's tests twice: calls through the drivers, and through functions with generated code.

`pytestmark = MODULE_BOTH_WAYS` at the head of a module of which the calls go through `Pipeline.call` and `acall`.
"""

import inspect

import pytest

from seawall import Pipeline
from seawall.pipeline.calling import Calls

BOTH_WAYS = pytest.mark.parametrize("way", ["driven", "generated"], indirect=True)
MODULE_BOTH_WAYS = [BOTH_WAYS, pytest.mark.usefixtures("way")]


def _decorated(pipeline, fn):
    """The function under protection, made once."""
    made = vars(pipeline).setdefault("decorated for tests", {})
    if fn not in made:
        made[fn] = pipeline(fn)
    return made[fn]


def _call(self, fn, /, *args, **kwargs):
    return _decorated(self, fn)(*args, **kwargs)


async def _acall(self, fn, /, *args, **kwargs):
    if inspect.iscoroutinefunction(fn):
        return await _decorated(self, fn)(*args, **kwargs)
    return await Calls.acall(self, fn, *args, **kwargs)


@pytest.fixture
def way(request, monkeypatch):
    """Which way calls go."""
    if request.param == "generated":
        monkeypatch.setattr(Pipeline, "call", _call, raising=False)
        monkeypatch.setattr(Pipeline, "acall", _acall, raising=False)
    return request.param
