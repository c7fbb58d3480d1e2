"""Checks of the machine: disk space, memory, processes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from seawall.health.base import BaseCheck, Finding
from seawall.health.offload import Offload
from seawall.machines.health import Status

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size(count: float) -> str:
    """Bytes as people write them: "512 B", "1.5 GB" (powers of 1000)."""
    for unit in _UNITS:
        if count < 999.5 or unit == _UNITS[-1]:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.3g} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


@dataclass(frozen=True, kw_only=True)
class DiskCheck(BaseCheck):
    """Free space of the file system that holds `path`, as a share of its size; and that it answers at all.

    Args:
        path: a file or folder on it.
        degraded_below: free share, 0 to 1, below which it is degraded; 0.10 by default.
        critical_below: free share below which it is critical; 0.05 by default.
    """

    path: str | os.PathLike[str]
    degraded_below: float = 0.10
    critical_below: float = 0.05
    offload: Offload = field(default_factory=Offload, repr=False, compare=False)

    kind = "disk"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("degraded_below", "critical_below"):
            if not 0 <= getattr(self, name) <= 1:
                raise self._wrong(name, getattr(self, name), "must be a share from 0 to 1")
        if self.critical_below > self.degraded_below:
            raise self._wrong(
                "critical_below", self.critical_below, f"must not exceed degraded_below ({self.degraded_below})"
            )

    async def probe(self) -> Finding:
        """Ask the file system, in a thread: a dead mount would block for ever."""
        usage = await self.offload.run(lambda: shutil.disk_usage(self.path), f"disk {self.path}")
        # as `df` has it: space kept back for root is neither used nor free
        usable = usage.used + usage.free
        ratio = usage.free / usable if usable else 0.0
        details = {
            "path": os.fspath(self.path),
            "free_ratio": round(ratio, 4),
            "free_bytes": usage.free,
            "total_bytes": usable,
        }
        has = f"{self.path}: {ratio:.1%} free ({size(usage.free)} of {size(usable)})"
        if ratio < self.critical_below:
            return Finding(Status.CRITICAL, f"{has}, critical below {self.critical_below:.0%}", details)
        if ratio < self.degraded_below:
            return Finding(Status.DEGRADED, f"{has}, degraded below {self.degraded_below:.0%}", details)
        return Finding(Status.HEALTHY, "", details)


@dataclass(frozen=True, kw_only=True)
class MemoryCheck(BaseCheck):
    """Memory in use, as a share of the machine's, or of the control group's limit where that is smaller.

    Args:
        degraded_above: used share, 0 to 1, above which it is degraded; 0.9 by default.
        critical_above: used share above which it is critical; 0.97 by default.
    """

    degraded_above: float = 0.9
    critical_above: float = 0.97

    kind = "memory"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("degraded_above", "critical_above"):
            if not 0 <= getattr(self, name) <= 1:
                raise self._wrong(name, getattr(self, name), "must be a share from 0 to 1")
        if self.critical_above < self.degraded_above:
            raise self._wrong(
                "critical_above", self.critical_above, f"must not be below degraded_above ({self.degraded_above})"
            )

    async def probe(self) -> Finding:
        """Read what the kernel says; this never blocks."""
        memory = psutil.virtual_memory()
        used, total = float(memory.total - memory.available), float(memory.total)
        group = group_memory()
        if group is not None and group[1] < total:
            used, total = group
        ratio = used / total if total else 0.0
        details = {"used_ratio": round(ratio, 4), "used_bytes": int(used), "total_bytes": int(total)}
        has = f"{ratio:.1%} of memory in use ({size(used)} of {size(total)})"
        if ratio > self.critical_above:
            return Finding(Status.CRITICAL, f"{has}, critical above {self.critical_above:.0%}", details)
        if ratio > self.degraded_above:
            return Finding(Status.DEGRADED, f"{has}, degraded above {self.degraded_above:.0%}", details)
        return Finding(Status.HEALTHY, "", details)


def group_memory(root: Path = Path("/sys/fs/cgroup")) -> tuple[float, float] | None:
    """Bytes (in use, limit) of this control group, version 2 or 1; None without a limit.

    Cache that can be reclaimed is not use.
    """
    layouts = (
        (root, "memory.current", "memory.max", "inactive_file"),
        (root / "memory", "memory.usage_in_bytes", "memory.limit_in_bytes", "total_inactive_file"),
    )
    for folder, used, limit, cache in layouts:
        try:
            most = (folder / limit).read_text().strip()
            now = float((folder / used).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        except (OSError, ValueError):
            continue
        if most != "max":
            return max(0.0, now - float(stat.get(cache, 0))), float(most)
    return None


@dataclass(frozen=True, kw_only=True)
class ProcessCheck(BaseCheck):
    """That a process lives and is not stopped; a zombie is dead, and a stopped one answers nobody.

    Args:
        pid: gives the process's id, or None while there is none.
        pid_file: a file that holds it; exactly one of the two is given.
    """

    pid: Callable[[], int | None] | None = None
    pid_file: str | os.PathLike[str] | None = None

    kind = "process"

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.pid is None) == (self.pid_file is None):
            raise self._wrong("pid_file", self.pid_file, "give either a process to look at or a pid_file")

    async def probe(self) -> Finding:
        """Ask the kernel about the process."""
        pid = self._find()
        if pid is None:
            return Finding(Status.UNHEALTHY, "no such process is running")
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                state, rss, threads = process.status(), process.memory_info().rss, process.num_threads()
        except psutil.NoSuchProcess:
            return Finding(Status.UNHEALTHY, f"process {pid} does not exist", {"pid": pid})
        except psutil.AccessDenied:
            return Finding(Status.HEALTHY, "", {"pid": pid})
        details = {"pid": pid, "state": state, "rss_bytes": rss, "threads": threads}
        if state in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
            return Finding(Status.UNHEALTHY, f"process {pid} is dead", details)
        if state in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}:
            return Finding(Status.UNHEALTHY, f"process {pid} is stopped (kill -CONT {pid} lets it go on)", details)
        return Finding(Status.HEALTHY, "", details)

    def _find(self) -> int | None:
        """The id of the process to look at."""
        if self.pid is not None:
            return self.pid()
        path = Path(os.fspath(self.pid_file or ""))
        try:
            text = path.read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            raise ValueError(f"{path} does not exist") from None
        if not text.isdigit():
            raise ValueError(f"{path} holds no process id")
        return int(text)
