"""Bringing things back: the supervisor of child processes."""
