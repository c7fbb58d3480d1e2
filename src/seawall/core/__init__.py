"""Values and ports every layer shares; it knows no pattern, no I/O and no thread."""
