"""The sections `[checks.NAME]`: what the daemon looks at in the background."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from seawall.config.options import Section, cross, option
from seawall.config.values import Duration, Says, Target, Url, one_or_many


class _Check(Section):
    """What all checks have in common."""

    interval: Duration = option(10.0, "Time between the starts of two runs.", gt=0)
    timeout: Duration | None = option(
        None, "A run that takes longer has failed.", gt=0, otherwise="5, or the interval if that is shorter"
    )
    critical: bool = option(False, "If true, a failure makes the whole unhealthy and not ready; else degraded.")
    rise: int = option(1, "Better results in a row before its status gets better.", ge=1, le=100)
    fall: int = option(3, "Worse results in a row before its status gets worse.", ge=1, le=100)
    stale_after: Duration | None = option(
        None, "A result older than this says nothing.", gt=0, otherwise="three intervals and the timeout"
    )
    dependency: str = option(
        "", "What it speaks about, if that has another name; what carries one name is one row of the page.",
        otherwise="its own name, or the process it looks at",
    )  # fmt: skip

    @model_validator(mode="after")
    def _in_time(self) -> Self:
        """A run ends before the next begins, and its result lasts until then."""
        if self.timeout is not None and self.timeout > self.interval:
            raise cross("timeout", f"must not be above the interval ({self.interval:g} s): a run ends before the next")
        if self.stale_after is not None and self.stale_after <= self.interval:
            raise cross("stale_after", f"must be above the interval ({self.interval:g} s), or every result is stale")
        return self


class DiskSection(_Check):
    """How much space a file system has left."""

    kind: Literal["disk"] = option(..., "Kind of check.")
    path: str = option(
        ..., "Any file or folder on it; relative to the file.", example='path = "/var/lib/app"', min_length=1
    )
    degraded_below: float = option(
        0.10, "Degraded when a smaller part is free.", ge=0, le=1, hint="0.1 is ten per cent"
    )
    critical_below: float = option(
        0.05, "Critical when a smaller part is free.", ge=0, le=1, hint="0.05 is five per cent"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Critical comes after degraded."""
        low, high = self.critical_below, self.degraded_below
        if low > high:
            key = "critical_below" if "critical_below" in self.model_fields_set else "degraded_below"
            raise cross(key, f"does not fit: critical_below ({low:g}) must not be above degraded_below ({high:g})")
        return self


class MemorySection(_Check):
    """How much of the machine's (or container's) memory is in use."""

    kind: Literal["memory"] = option(..., "Kind of check.")
    degraded_above: float = option(
        0.90, "Degraded when a larger part is in use.", ge=0, le=1, hint="0.9 is ninety per cent"
    )
    critical_above: float = option(
        0.97, "Critical when a larger part is in use.", ge=0, le=1, hint="0.97 is 97 per cent"
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Critical comes after degraded."""
        low, high = self.degraded_above, self.critical_above
        if low > high:
            key = "degraded_above" if "degraded_above" in self.model_fields_set else "critical_above"
            raise cross(key, f"does not fit: degraded_above ({low:g}) must not be above critical_above ({high:g})")
        return self


_Status = Annotated[int, Field(ge=100, le=599)]


class HttpSection(_Check):
    """Whether an HTTP address answers as it should; redirects are answers and not followed."""

    kind: Literal["http"] = option(..., "Kind of check.")
    url: Url = option(..., "What is asked.", example='url = "http://{payments.address}/health"')
    method: Literal["GET", "HEAD"] = option("GET", "How it is asked.")
    expect_status: Annotated[
        tuple[_Status, ...], Field(strict=False), BeforeValidator(one_or_many), Says("whole number or list of them")
    ] = option((), "Statuses that count as healthy.", otherwise="any from 200 to 399")
    expect_text: str = option("", "Text that must appear in the first 64 kB of the answer.", otherwise="none")
    degraded_above: Duration | None = option(
        None, "A good answer that takes longer is degraded.", gt=0, otherwise="never"
    )

    @model_validator(mode="after")
    def _has_body(self) -> Self:
        """A HEAD request has no text to look into."""
        if self.expect_text and self.method == "HEAD":
            raise cross("expect_text", 'needs method = "GET": the answer to HEAD has no text')
        return self


class TcpSection(_Check):
    """Whether a TCP address accepts connections."""

    kind: Literal["tcp"] = option(..., "Kind of check.")
    address: Target = option(..., "What is connected to.", example='address = "127.0.0.1:5432"')


class ProcessCheckSection(_Check):
    """Whether a process is alive and not stopped."""

    kind: Literal["process"] = option(..., "Kind of check.")
    process: str | None = option(
        None, "Name of a process of this file.", example='process = "payments"', otherwise="pid_file is needed"
    )
    pid_file: str | None = option(
        None, "File with the number of somebody else's process; relative to the file.", otherwise="process is needed"
    )

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        """Exactly one way to know the process."""
        if self.process is not None and self.pid_file is not None:
            raise cross("pid_file", "stands beside process: keep one of them")
        if self.process is None and self.pid_file is None:
            raise cross("process", 'is missing: name a process of this file, or give pid_file = "/run/app.pid"')
        return self


CheckSection = DiskSection | MemorySection | HttpSection | TcpSection | ProcessCheckSection

#: The sections by their kind.
KINDS: dict[str, type[_Check]] = {
    "disk": DiskSection,
    "memory": MemorySection,
    "http": HttpSection,
    "tcp": TcpSection,
    "process": ProcessCheckSection,
}
