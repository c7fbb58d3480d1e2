"""The pytest plugin: fixtures `virtual_clock` and `seawall_recorder`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from seawall.drive.virtual import VirtualClock
    from seawall.testing.record import Recorder


@pytest.fixture
def virtual_clock() -> Iterator[VirtualClock]:
    """The test runs in virtual time; see `seawall.testing.virtual_time`."""
    from seawall.testing.time import virtual_time

    with virtual_time() as clock:
        yield clock


@pytest.fixture
def seawall_recorder() -> Iterator[Recorder]:
    """The events of the default registry during the test."""
    from seawall.testing.record import Recorder

    with Recorder() as recorder:
        yield recorder
