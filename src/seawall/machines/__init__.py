"""The decisions, pure: time and chance come in as arguments, values go out; no lock, no sleep, no I/O."""
