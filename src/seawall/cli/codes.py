"""Exit codes, the same for every command where they apply."""

FINE = 0
DEGRADED = 1
WRONG = 2  #: failed, or used wrongly
UNKNOWN = 3  #: the daemon does not answer
INTERRUPTED = 130  #: Ctrl-C, as shells have it
