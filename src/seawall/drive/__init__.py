"""The only place that calls, waits and spawns: one driver per shape and colour, and none per policy."""
