"""A daemon that supervises what it is told to, for tests that kill it. Arguments: the log folder, then the mode.

Reads the options of its processes as JSON from standard input, writes their pids and the keeper's as one line of JSON,
and runs until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from seawall.events.bus import Bus
from seawall.recovery.supervisor import ProcessOptions, Supervisor


async def main() -> None:
    options = [ProcessOptions(name, tuple(command)) for name, command in json.load(sys.stdin).items()]
    supervisor = Supervisor(options, bus=Bus(), log_dir=Path(sys.argv[1]), on_daemon_death=sys.argv[2])  # type: ignore[arg-type]
    await supervisor.start()
    await asyncio.sleep(0.3)
    keeper = supervisor._keeper.pid if supervisor._keeper is not None else None
    sys.stdout.write(json.dumps({"pids": [p.pid for p in supervisor.processes()], "keeper": keeper}) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


asyncio.run(main())
