"""Records a program's outage, and asks what a looser circuit would have made of it."""

import logging
import subprocess
import sys
import tempfile
from pathlib import Path

from seawall import CircuitBreaker, Manager
from seawall.testing import virtual_time

logging.disable()

CANDIDATE = """\
[pipelines.payments.circuit_breaker]
failure_threshold = 20
recovery_timeout = 5.0
success_threshold = 1
"""

with tempfile.TemporaryDirectory() as folder:
    recording, candidate = Path(folder, "monday.rec"), Path(folder, "candidate.toml")
    candidate.write_text(CANDIDATE)

    with virtual_time() as clock:
        manager = Manager()
        manager.add("payments", CircuitBreaker(5, recovery_timeout=5.0, success_threshold=1))

        def charge() -> str:
            if 10.0 <= clock.now() < 25.0:
                raise ConnectionError
            return "paid"

        with manager.record(recording, max_bytes=10_000_000) as running:
            for _ in range(600):
                clock.advance(0.1)
                manager.pipeline("payments").call_outcome(charge)
        print(f"{running.written} lines, {running.dropped} dropped")

    command = [sys.executable, "-m", "seawall.cli", "simulate", "--from", recording, "--config", candidate]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    print(answer.stdout + answer.stderr)
    print("exit code", answer.returncode)
