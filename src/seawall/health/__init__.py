"""Health checks in the background: each on its own schedule, none able to hold up another or an answer."""

from seawall.health.base import BaseCheck, Check, CheckResult, Finding
from seawall.health.host import DiskCheck, MemoryCheck, ProcessCheck
from seawall.health.monitor import CheckState, Monitor
from seawall.health.network import HttpCheck, TcpCheck
from seawall.machines.health import Status

__all__ = [
    "BaseCheck",
    "Check",
    "CheckResult",
    "CheckState",
    "DiskCheck",
    "Finding",
    "HttpCheck",
    "MemoryCheck",
    "Monitor",
    "ProcessCheck",
    "Status",
    "TcpCheck",
]
