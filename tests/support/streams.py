"""Scripted streams and a reader of them, in either colour."""

import asyncio

from seawall import Pipeline
from seawall.testing import run_async


class Source:
    """A stream that follows a script: items, `(seconds, item)` pairs and errors; one script for each attempt."""

    def __init__(self, colour, clock, *scripts):
        self.colour, self.clock, self.scripts = colour, clock, scripts
        self.opened = 0
        self.closed = 0

    def _script(self):
        script = self.scripts[min(self.opened, len(self.scripts) - 1)]
        self.opened += 1
        return script

    def plain(self):
        try:
            for step in self._script():
                seconds, item = step if isinstance(step, tuple) else (0.0, step)
                if seconds:
                    self.clock.sleep(seconds)
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed += 1

    async def coroutine(self):
        try:
            for step in self._script():
                seconds, item = step if isinstance(step, tuple) else (0.0, step)
                if seconds:
                    await asyncio.sleep(seconds)
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.closed += 1

    @property
    def function(self):
        return self.plain if self.colour == "sync" else self.coroutine


class Play:
    """One scenario's pipeline, in one colour."""

    def __init__(self, colour, clock):
        self.colour, self.clock = colour, clock

    def source(self, *scripts):
        return Source(self.colour, self.clock, *scripts)

    def pipeline(self, *policies):
        return Pipeline("stream", *policies, registry=None)

    def read(self, stream, *, think=0.0, most=None):
        """The items, and the error that ended them."""
        return (
            run_async(self._aread(stream, think, most)) if self.colour == "async" else self._read(stream, think, most)
        )

    def _read(self, stream, think, most):
        got = []
        try:
            for item in stream:
                got.append(item)
                self.clock.sleep(think)
                if len(got) == most:
                    stream.close()
        except Exception as error:
            return got, error
        return got, None

    async def _aread(self, stream, think, most):
        got = []
        try:
            async for item in stream:
                got.append(item)
                await asyncio.sleep(think)
                if len(got) == most:
                    await stream.aclose()
        except Exception as error:
            return got, error
        return got, None
