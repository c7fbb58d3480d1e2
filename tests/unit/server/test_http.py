"""The HTTP answers, over the ASGI application itself."""

from __future__ import annotations

import asyncio
import json

import httpx2
import pytest

from seawall.events.bus import Bus
from seawall.health import Finding, Monitor, Status
from seawall.server import Parts, build_app
from tests.support.ops import HandClock, HandHub, HandSupervisor, ProcessState, circuit
from tests.unit.health.test_monitor import Scripted

TOKEN = "a-token-for-tests"


def make_parts(*checks, processes=(), started=True):
    clock = HandClock()
    bus = Bus(clock=clock)
    return Parts(
        monitor=Monitor(checks, bus=bus, clock=clock, chance=lambda: 0.0),
        hub=HandHub(clock),
        journal=bus.journal,
        token=TOKEN,
        supervisor=HandSupervisor(*processes),
        clock=clock,
        name="shop",
        version="0.1.0",
        started=started,
    )


def client(parts, address="127.0.0.1"):
    transport = httpx2.ASGITransport(build_app(parts), client=(address, 5))
    return httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:8900")


async def looked(parts):
    """Let every check look once."""
    await parts.monitor.start()
    async with asyncio.timeout(5):
        while not parts.monitor.ready():
            done = asyncio.Event()
            asyncio.get_running_loop().call_later(0.005, done.set)
            await done.wait()
    await parts.monitor.stop()
    return parts


def bad(name, status=Status.UNHEALTHY, **options):
    return Scripted(name=name, script=[Finding(status, "connection refused", {"port": 1})], **options)


async def test_livez_asks_nobody():
    parts = await looked(make_parts(bad("db", critical=True), started=False))
    async with client(parts) as http:
        answer = await http.get("/livez")
        assert (answer.status_code, answer.text) == (200, "ok\n")
        assert (await http.get("/livez?verbose")).text == "[+]ping ok\nlivez check passed\n"


async def test_readyz_falls_with_a_critical_check_and_says_which():
    parts = await looked(make_parts(Scripted(name="disk", critical=True), bad("db", critical=True), bad("mail")))
    async with client(parts) as http:
        answer = await http.get("/readyz")
        assert answer.status_code == 503
        assert answer.text.splitlines() == [
            "[+]startup ok",
            "[+]running ok",
            "[+]disk ok",
            "[-]db failed: connection refused",
            "readyz check failed",
        ]
        assert (await http.get("/readyz?exclude=db")).text == "ok\n"
        assert (await http.get("/readyz?exclude=x,db&verbose")).text.endswith("[+]disk ok\nreadyz check passed\n")
        assert (await http.get("/readyz/db")).status_code == 503
        assert (await http.get("/readyz/disk")).status_code == 200
        assert (await http.get("/readyz/mail")).status_code == 503
        assert (await http.get("/readyz/nothing")).status_code == 404


async def test_reasons_are_withheld_from_other_machines():
    parts = await looked(make_parts(bad("db", critical=True)))
    async with client(parts, "192.0.2.7") as http:
        assert "[-]db failed: withheld" in (await http.get("/readyz")).text
        assert (await http.get("/health/db")).json() == {"service_name": "db", "status": "unhealthy"}
        for path in ("/health/detailed", "/api/v1/state", "/api/v1/events"):
            assert (await http.get(path)).status_code == 401
        http.headers["Authorization"] = f"Bearer {TOKEN}"
        assert "connection refused" in (await http.get("/readyz")).text
        assert (await http.get("/health/detailed")).status_code == 503


async def test_readiness_waits_for_the_start_and_falls_with_the_stop():
    parts = make_parts(Scripted(name="db", critical=True), started=False)
    async with client(parts) as http:
        assert (await http.get("/startupz")).status_code == 503
        parts.started = True
        assert "[-]db failed: it has not been looked at yet" in (await http.get("/startupz")).text
        assert (await http.get("/readyz")).status_code == 503
        await looked(parts)
        assert (await http.get("/startupz")).text == "ok\n"
        assert (await http.get("/readyz")).text == "ok\n"
        parts.stopping = True
        assert "[-]running failed: it is stopping" in (await http.get("/readyz")).text


@pytest.mark.parametrize(
    "checks,circuits,processes,status,code",
    [
        ((), (), (), "healthy", 200),
        ((bad("mail"),), (), (), "degraded", 200),
        ((bad("mail", Status.CRITICAL),), (), (), "degraded", 200),
        ((bad("db", critical=True),), (), (), "unhealthy", 503),
        ((bad("db", Status.CRITICAL, critical=True),), (), (), "critical", 503),
        ((bad("db", Status.DEGRADED, critical=True),), (), (), "degraded", 200),
        ((), (circuit("a", "open"),), (), "degraded", 200),
        ((), (circuit("a", "forced-open"),), (), "degraded", 200),
        ((), (circuit("a", "half-open"),), (), "healthy", 200),
        ((), (), (ProcessState("p", state="backing-off"),), "degraded", 200),
        ((), (), (ProcessState("p", state="gave-up"),), "degraded", 200),
    ],
)
async def test_the_whole_is_as_well_as_its_worst_part(checks, circuits, processes, status, code):
    parts = await looked(make_parts(*checks, processes=processes))
    parts.hub.policies = list(circuits)
    async with client(parts) as http:
        answer = await http.get("/health")
        assert (answer.json()["status"], answer.status_code) == (status, code)


async def test_a_critical_check_that_nobody_knows_about_makes_it_unknown():
    parts = make_parts(Scripted(name="db", critical=True))
    async with client(parts) as http:
        answer = await http.get("/health")
        assert (answer.json()["status"], answer.status_code) == ("unknown", 503)


async def test_details_name_every_check_with_the_five_fields():
    parts = await looked(make_parts(bad("db")))
    async with client(parts) as http:
        body = (await http.get("/health/detailed")).json()
        db = body["checks"]["db"]
        assert db["service_name"] == "db"
        assert db["status"] == "unhealthy"
        assert db["response_time_ms"] >= 0
        assert db["details"] == {"port": 1}
        assert db["error_message"] == "connection refused"
        assert (await http.get("/health/db")).json() == db
        missing = await http.get("/health/dp")
        assert (missing.status_code, missing.json()) == (404, {"error": 'There is no check "dp"; there are: db.'})


async def test_health_json_by_accept():
    parts = await looked(make_parts(bad("db"), Scripted(name="web")))
    async with client(parts) as http:
        http.headers["Accept"] = "application/health+json"
        answer = await http.get("/health/detailed")
        assert answer.headers["content-type"].startswith("application/health+json")
        body = answer.json()
        assert (body["status"], body["checks"]["db"][0]["status"]) == ("warn", "fail")
        assert body["checks"]["web"][0]["status"] == "pass"
        assert (await http.get("/health/db")).json()["status"] == "fail"


async def test_metrics_come_in_both_formats():
    parts = await looked(make_parts(Scripted(name="web"), processes=(ProcessState("p"),)))
    async with client(parts) as http:
        plain = await http.get("/metrics")
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert 'seawall_health_check_status{check="web"} 1' in plain.text
        other = await http.get("/metrics", headers={"Accept": "application/openmetrics-text"})
        assert other.text.endswith("# EOF\n")


@pytest.mark.parametrize(
    "host,code",
    [
        ("127.0.0.1:8900", 200),
        ("localhost:8900", 200),
        ("LOCALHOST", 200),
        ("[::1]:8900", 200),
        ("10.1.2.3", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
        ("", 421),
        ("[::1", 421),
    ],
)
async def test_only_listed_names_are_served(host, code):
    async with client(make_parts()) as http:
        assert (await http.get("/livez", headers={"Host": host})).status_code == code


async def test_every_answer_carries_the_headers_that_keep_a_page_in_its_place():
    async with client(make_parts()) as http:
        for path in ("/livez", "/", "/nothing", "/api/v1/state"):
            headers = (await http.get(path)).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in headers


FORCE = {"state": "open", "for": "10m", "reason": "maintenance", "owner": "ops"}


async def force(parts, body=FORCE, name="payments", verb="force", **headers):
    parts.hub.policies = [circuit("payments"), circuit("a/b"), circuit("unforceable")]
    async with client(parts) as http:
        given = {"Authorization": f"Bearer {TOKEN}", **headers}
        return await http.post(f"/api/v1/circuits/{name}/{verb}", json=body, headers=given)


async def test_a_circuit_is_forced_with_reason_and_expiry_and_the_undo_is_said():
    parts = make_parts()
    answer = await force(parts)
    assert answer.status_code == 200
    assert parts.hub.asked == [("force", "payments", "open", "ops", "maintenance", 600.0)]
    assert answer.json()["text"] == 'Circuit "payments" forced open for 10 min.'
    assert answer.json()["undo"] == "seawall breaker release payments"
    assert answer.json()["acks"] == [{"program": "orders", "pid": 7, "ok": True, "message": ""}]
    assert (await force(parts, name="a/b")).status_code == 200
    assert (await force(parts, {}, verb="release")).status_code == 200
    assert parts.hub.asked[-1] == ("release", "payments", "page", "released by hand")


async def test_a_circuit_is_observed_and_the_answer_says_so():
    """R-CB1"""
    parts = make_parts()
    answer = await force(parts, {**FORCE, "state": "observe"})
    assert parts.hub.asked == [("force", "payments", "observe", "ops", "maintenance", 600.0)]
    assert answer.json()["text"] == 'Circuit "payments" observed only for 10 min.'


@pytest.mark.parametrize(
    "body,code,said",
    [
        ({**FORCE, "state": "ajar"}, 400, "must be one of open, closed, disabled, observe"),
        ({**FORCE, "reason": " "}, 400, "reason is missing"),
        ({**FORCE, "reason": 5}, 400, "reason is missing"),
        ({**FORCE, "for": "for ever"}, 400, "must be a duration from 1 s to 7 d"),
        ({**FORCE, "for": None}, 400, "must be a duration"),
        ({**FORCE, "for": 1e12}, 400, "must be a duration"),
        ({**FORCE, "for": True}, 400, "must be a duration"),
        ([], 400, "must be a JSON object"),
        ({**FORCE, "reason": "x" * 9000}, 413, "larger than 8192 bytes"),
    ],
)
async def test_a_wrong_wish_is_refused_with_what_would_be_right(body, code, said):
    parts = make_parts()
    answer = await force(parts, body)
    assert (answer.status_code, parts.hub.asked) == (code, [])
    assert said in answer.json()["error"]


async def test_an_unknown_circuit_gets_the_nearest_name():
    answer = await force(make_parts(), name="paymnets")
    assert (answer.status_code, answer.json()["error"]) == (
        404,
        'There is no circuit "paymnets". Did you mean "payments"?',
    )


@pytest.mark.parametrize("auth", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ü"])
async def test_without_the_token_nothing_changes(auth):
    parts = make_parts()
    answer = await force(parts, Authorization=auth.encode())
    assert (answer.status_code, parts.hub.asked) == (401, [])


@pytest.mark.parametrize(
    "headers,code",
    [
        ({"Origin": "http://127.0.0.1:8900"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
async def test_a_foreign_site_cannot_steer(headers, code):
    assert (await force(make_parts(), **headers)).status_code == code


async def test_a_wish_that_no_program_took_is_said_so():
    parts = make_parts()
    parts.hub.acks = []
    answer = await force(parts)
    assert (answer.status_code, "No linked program" in answer.json()["error"]) == (409, True)
    refused = await force(parts, name="unforceable")
    assert (refused.status_code, refused.json()) == (400, {"error": "It cannot be forced."})


async def test_the_state_is_plain_json():
    parts = await looked(make_parts(bad("db")))
    parts.hub.policies = [circuit("payments", "open", retry_after=5.0)]
    async with client(parts) as http:
        state = json.loads((await http.get("/api/v1/state")).text)
    assert state["version"] == 1
    assert state["status"] == "degraded"
    assert [row["id"] for row in state["rows"]] == ["db", "payments"]
