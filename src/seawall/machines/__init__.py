"""The decisions, pure: no clock, lock, sleep, chance or I/O of their own."""
