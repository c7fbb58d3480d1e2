"""Fixtures of all tests."""

from tests.support.ways import way

__all__ = ["way"]
