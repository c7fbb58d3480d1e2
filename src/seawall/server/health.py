"""Probes and health over HTTP, all from memory: no request waits for what is checked."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from seawall.core.snapshot import Snapshot
from seawall.health.monitor import CheckState
from seawall.machines.health import Status
from seawall.server.guard import may_read, require
from seawall.server.parts import Parts
from seawall.server.verdict import Item, Verdict, item_of, judge, readiness, startup

#: The words of application/health+json.
_HEALTH_JSON = {Status.HEALTHY: "pass", Status.DEGRADED: "warn"}


def routes(parts: Parts) -> Sequence[BaseRoute]:
    """The routes of this file."""
    views = Views(parts)
    return (
        Route("/livez", views.livez),
        Route("/readyz", views.readyz),
        Route("/readyz/{check:path}", views.readyz_check),
        Route("/startupz", views.startupz),
        Route("/health", views.health),
        Route("/health/detailed", views.detailed),
        Route("/health/{check:path}", views.check),
    )


class Views:
    """The answers."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._snapshot = Snapshot(0.0)
        self._taken_at = -math.inf

    def _judge(self) -> Verdict:
        """The verdict, over a snapshot that is at most a second old: probes may come by the hundred."""
        now = self._parts.clock.now()
        if now - self._taken_at >= 1:
            self._snapshot, self._taken_at = self._parts.hub.snapshot(), now
        return judge(self._parts, self._snapshot)

    async def livez(self, request: Request) -> Response:
        """Alive: the loop answers. Nothing else is asked, or an outage elsewhere would have this daemon killed."""
        return self._probe(request, "livez", [Item("ping", good=True, why="")])

    async def readyz(self, request: Request) -> Response:
        """Ready: started, not stopping, critical checks serve."""
        return self._probe(request, "readyz", readiness(self._parts, _excluded(request)))

    async def readyz_check(self, request: Request) -> Response:
        """One check as a probe, critical or not."""
        name = request.path_params["check"]
        found = next((item for item in readiness(self._parts) if item.name == name), None)
        if found is None:
            try:
                found = item_of(self._parts.monitor.state(name))
            except KeyError:
                return PlainTextResponse(f'There is no check "{name}".\n', 404)
        return self._probe(request, f"readyz/{name}", [found])

    async def startupz(self, request: Request) -> Response:
        """Started: everything is under way and the critical checks have looked once."""
        return self._probe(request, "startupz", startup(self._parts, _excluded(request)))

    async def health(self, request: Request) -> Response:
        """The status of the whole in a word."""
        status = self._judge().status
        return _answer(request, status, {"status": str(status), "name": self._parts.name})

    async def detailed(self, request: Request) -> Response:
        """The status of the whole with everything it rests on."""
        require(may_read(request, self._parts.token))
        verdict = self._judge()
        body = {
            "status": str(verdict.status),
            "name": self._parts.name,
            "version": self._parts.version,
            "time": self._parts.clock.wall(),
            "checks": {check.name: as_json(check) for check in verdict.checks},
            "open_circuits": verdict.open_circuits,
            "troubled_processes": verdict.troubled_processes,
        }
        return _answer(request, verdict.status, body)

    async def check(self, request: Request) -> Response:
        """One check."""
        name = request.path_params["check"]
        allowed = may_read(request, self._parts.token)
        try:
            check = self._parts.monitor.state(name)
        except KeyError:
            known = ", ".join(sorted(one.name for one in self._parts.monitor.states())) or "none"
            text = f'There is no check "{name}"; there are: {known}.' if allowed else "There is no such check."
            return _json({"error": text}, 404)
        short = {"service_name": check.name, "status": str(check.status)}
        return _answer(request, check.status, as_json(check) if allowed else short)

    def _probe(self, request: Request, name: str, items: Sequence[Item]) -> Response:
        """Plain text: "ok", or the lines with what failed. Reasons are for those who may see details."""
        good = all(item.good for item in items)
        if good and "verbose" not in request.query_params:
            return PlainTextResponse("ok\n")
        open_to_all = may_read(request, self._parts.token)
        lines = [
            f"[+]{item.name} ok" if item.good else f"[-]{item.name} failed: {item.why if open_to_all else 'withheld'}"
            for item in items
        ]
        lines.append(f"{name} check {'passed' if good else 'failed'}")
        return PlainTextResponse("\n".join(lines) + "\n", 200 if good else 503)


def _excluded(request: Request) -> set[str]:
    """Names after `?exclude=`, repeated or with commas between."""
    return {name for value in request.query_params.getlist("exclude") for name in value.split(",")}


def as_json(check: CheckState) -> dict[str, Any]:
    """One check as plain data."""
    last = check.last
    return {
        "service_name": check.name,
        "status": str(check.status),
        "response_time_ms": None if last is None else round(last.response_time_ms, 3),
        "details": {} if last is None else dict(last.details),
        "error_message": check.reason,
        "kind": check.kind,
        "dependency": check.dependency,
        "critical": check.critical,
        "since": check.since,
        "age": None if check.age is None else round(check.age, 3),
        "success_rate": check.success_rate,
        "last_status": None if last is None else str(last.status),
        "worse_in_a_row": check.failing,
    }


def _answer(request: Request, status: Status, body: dict[str, Any]) -> Response:
    """JSON, or application/health+json for those who ask for it; 200 while callers are served, otherwise 503."""
    code = 200 if status.serves else 503
    if "application/health+json" not in request.headers.get("accept", ""):
        return _json(body, code)
    checks = body.get("checks", {})
    shaped = {
        "status": _HEALTH_JSON.get(status, "fail"),
        "description": str(status),
        "serviceId": body.get("name", body.get("service_name", "")),
        "version": body.get("version", ""),
        "output": body.get("error_message", ""),
        "checks": {
            name: [
                {
                    "componentType": check["kind"],
                    "status": _HEALTH_JSON.get(Status(check["status"]), "fail"),
                    "observedValue": check["response_time_ms"],
                    "observedUnit": "ms",
                    "output": check["error_message"],
                }
            ]
            for name, check in checks.items()
        },
    }
    shaped = {key: value for key, value in shaped.items() if value not in ("", {})}
    return _json(shaped, code, "application/health+json")


def _json(body: dict[str, Any], code: int, media_type: str = "application/json") -> Response:
    """A JSON answer."""
    return Response(json.dumps(body, default=str), code, media_type=media_type)
