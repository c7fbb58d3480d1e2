"""What runs in a child between its start and its own program; a script that ends in `exec`.

`python -I -S spawn.py PARENT KEEPER MARK SIGNAL FDS -- COMMAND …` puts the listening sockets (FDS, comma separated) at
descriptor 3 and up with LISTEN_PID, has the kernel send SIGNAL when the daemon dies, tells the keeper (descriptor
KEEPER, -1 for none) about this process, and becomes COMMAND.

A script, because code between fork and exec in the daemon itself (`preexec_fn`) can deadlock with its threads; standard
library only, so that it takes some 20 ms.

It tells the keeper itself: were that left to the daemon, a daemon killed at this very moment would leave a process
nobody knows of.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def _die_with(parent: int, number: int) -> None:
    """Have the kernel signal this process when its parent dies, and end now if that has happened already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def _place(descriptors: list[int]) -> None:
    """Put `descriptors` at 3, 4, … in this order, inheritable."""
    # NB: first all out of the way: 3 may be one of the others
    high = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 3 + 2 * len(descriptors)) for one in descriptors]
    for position, one in enumerate(high):
        os.dup2(one, 3 + position, inheritable=True)


def _own_start() -> int:
    """When this process started, in clock ticks since boot; 0 where there is no /proc."""
    try:
        with open("/proc/self/stat", "rb") as file:  # noqa: PTH123 - pathlib would double this script's start-up
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return 0


def main(arguments: list[str]) -> None:
    """Prepare this process and become the command."""
    parent, keeper, number = int(arguments[0]), int(arguments[1]), int(arguments[3])
    mark = arguments[2]
    descriptors = [int(one) for one in arguments[4].split(",") if one]
    command = arguments[6:]
    if keeper >= 0:
        _die_with(parent, number)
        try:
            os.write(keeper, f"add {os.getpid()} {_own_start()} {mark}\n".encode())
        except OSError:
            pass  # the supervisor starts a new keeper and tells it of everything
    if descriptors:
        os.environ["LISTEN_PID"] = str(os.getpid())
    _place(descriptors)
    # NB: above all the keeper's pipe must not survive into the command: the keeper waits for its last copy to be closed
    for one in os.listdir("/dev/fd"):  # noqa: PTH208 - as above
        if int(one) >= 3 + len(descriptors):
            try:
                os.set_inheritable(int(one), False)
            except OSError:
                continue  # the descriptor of the listing itself
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command of the configuration, no shell in between
    except OSError as error:
        print(f"seawall: cannot start {command[0]!r}: {error.strerror}", file=sys.stderr)  # noqa: T201 - into its log
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
