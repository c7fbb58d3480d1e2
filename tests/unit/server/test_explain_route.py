"""`GET /api/v1/explain`."""

from __future__ import annotations

import pytest

from seawall.events.journal import Entry
from seawall.events.types import CallFailed, CallRejected, CircuitOpened
from tests.unit.server.test_http import client, make_parts

RULE = {"rule": "consecutive_failures", "failures": 1, "causes": {"ConnectError": 1}}


def reported(parts):
    """What a program said; the refusal's entry."""
    wall = parts.clock.wall()
    refusal = Entry(wall, "shop/7", CallRejected(2, 2.0, "db", "circuit_breaker", "open", 3.0, {}), "7-ab")
    for entry in (
        Entry(wall - 2.0, "shop/7", CallFailed(1, 0.0, "db", "failure", "ConnectError", 0.002), "7-ab"),
        Entry(wall - 2.0, "shop/7", CircuitOpened(1, 0.0, "db", "tripped", 5.0, RULE), "7-ab"),
        refusal,
    ):
        parts.journal.add_entry(entry)
    return refusal


async def test_a_refusal_that_a_program_reported_is_explained_by_its_id():
    """R-PL4, R-UI3"""
    parts = make_parts()
    refusal = reported(parts)
    async with client(parts) as http:
        answer = await http.get("/api/v1/explain", params={"what": refusal.id})
    body = answer.json()
    assert answer.status_code == 200
    assert [step["relation"] for step in body["steps"]][:3] == ["asked", "because", "because"]
    assert body["steps"][0]["utc"].endswith("Z")
    assert body["steps"][2]["evidence"]["cause"] == "ConnectError"


async def test_what_is_not_known_is_404_with_what_to_do_and_counts_of_what_was_left_out():
    """R-PL4"""
    parts = make_parts()
    reported(parts)
    for program in parts.hub.programs():
        program.suppressed = {"CallRejected": 12}
    async with client(parts) as http:
        answer = await http.get("/api/v1/explain", params={"what": "r-000000"})
    assert answer.status_code == 404
    assert "Ask for the circuit by its name" in answer.json()["remedy"]


@pytest.mark.parametrize(
    "query, says",
    [("", "what: must be"), ("what=" + "x" * 201, "what: must be"), ("what=db&around=0", "around = 0"),
     ("what=db&around=soon", "around = soon"), ("what=db&around=nan", "around = nan"),
     ("what=db&around=99999", "around = 99999")],
)  # fmt: skip
async def test_a_question_that_makes_no_sense_is_400_and_names_the_parameter(query, says):
    async with client(make_parts()) as http:
        answer = await http.get(f"/api/v1/explain?{query}")
    assert answer.status_code == 400
    assert says in answer.text


async def test_other_machines_are_not_told():
    """R-PL4"""
    async with client(make_parts(), "192.0.2.7") as http:
        assert (await http.get("/api/v1/explain?what=db")).status_code in {401, 403}
