"""Whatever door is tried, by whomever, with whatever outcome: one row of the trail for each access."""

import re
from typing import Any

import pytest

from app.main import list_routes
from app.routers.recorder import OPEN
from tests.api import Caller, World
from tests.integration.audit.conftest import Reader

ROUTES = sorted((method, route.path) for route in list_routes() for method in (route.methods or set()))
PATIENT = {"resourceType": "Patient", "gender": "female"}
FILLED = {"resource_type": "Patient", "version": "1"}


def fill(template: str, known: str) -> str:
    """The template's address, with the id of a resource that is there."""
    return re.sub(r"{(\w+)}", lambda found: FILLED.get(found[1], known), template)


def body_for(template: str, method: str, known: str) -> Any:
    """A body that the route understands."""
    if template in ("/fhir", "/fhir/"):
        return {"resourceType": "Bundle", "type": "batch", "entry": [entry("GET", f"Patient/{known}")]}
    if method not in ("POST", "PUT") or template.endswith("_search"):
        return None
    return {**PATIENT, "id": known} if method == "PUT" else PATIENT


def entry(method: str, url: str, resource: Any = None) -> dict[str, Any]:
    asked: dict[str, Any] = {"request": {"method": method, "url": url}}
    return {**asked, "resource": resource} if resource else asked


async def knock(caller: Caller, method: str, template: str, known: str) -> int:
    """The status of one request."""
    content = body_for(template, method, known)
    headers = {"Content-Type": "application/fhir+json"} if content else {}
    answer = await caller.http.request(method, fill(template, known), json=content, headers=headers)
    return answer.status_code


async def test_each_route_leaves_one_row(world: World, trail: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.audit.strangers.MOST_LISTED", 10_000)  # the stranger knocks more often than are listed
    hospital, other = await world.caller("hospital"), await world.caller("ngo", "provider")
    known = (await hospital.create(PATIENT))["id"]
    stranger = Caller("", hospital.http.__class__(transport=hospital.http._transport, base_url=hospital.http.base_url))
    await trail.take()
    wrong = []
    for who, caller in (("hospital", hospital), ("other", other), ("stranger", stranger)):
        for method, template in ROUTES:
            status = await knock(caller, method, template, known)
            rows = await trail.take()
            expected = 0 if template in OPEN else 1
            told = [(row["status"], row["organization"]) for row in rows]
            if template in ("/fhir", "/fhir/"):
                status = rows[0]["status"] if rows and status == 200 else status
            if told != [(status, caller.organization or None)] * expected:
                wrong.append((who, method, template, status, told))
    assert wrong == []
    await stranger.http.aclose()


def test_what_is_open_are_routes() -> None:
    assert {path for _, path in ROUTES} >= OPEN


@pytest.mark.parametrize(
    ("method", "path", "interaction"),
    [
        ("GET", "/Patient", "search-type"),
        ("GET", "/Patient/x", "read"),
        ("GET", "/Patient/x/_history/1", "vread"),
        ("GET", "/Patient/x/_history", "history-instance"),
        ("GET", "/Patient/_history", "history-type"),
        ("GET", "/_history", "history-system"),
        ("DELETE", "/Patient/x", "delete"),
        ("PATCH", "/Patient/x", "patch"),
        ("GET", "/Patient/x/_nonsense", "unknown"),
        ("GET", "/Nguyen/x", "read"),
    ],
)
async def test_a_refusal_says_what_was_asked_for(
    world: World, trail: Reader, method: str, path: str, interaction: str
) -> None:
    caller = await world.caller("hospital", scopes="system/Task.r")
    await trail.take()
    answer = await caller.send(method, path)
    row = await trail.one()
    assert answer.status_code >= 400
    assert (row["interaction"], row["status"], row["organization"]) == (interaction, answer.status_code, "hospital")
    assert row["type"] == ("Patient" if "Patient" in path else None)
    assert row["given"] == []


async def test_reads_tell_what_left(world: World, trail: Reader) -> None:
    hospital = await world.caller("hospital")
    first, second = [(await hospital.create(PATIENT))["id"] for _ in range(2)]
    made = await trail.take()
    assert [(row["interaction"], row["resource_id"], row["version"], row["status"]) for row in made[-2:]] == [
        ("create", first, 1, 201),
        ("create", second, 1, 201),
    ]
    await hospital.get(f"/Patient/{first}")
    row = await trail.one()
    assert (row["interaction"], row["resource_id"], row["given"]) == ("read", first, [f"Patient/{first}"])
    await hospital.get("/Patient?gender=female&_sort=_id")
    row = await trail.one()
    assert row["number"] == 2
    assert set(row["given"]) == {f"Patient/{first}", f"Patient/{second}"}
    assert re.fullmatch("gender=~[0-9a-f]{16}&_sort=~[0-9a-f]{16}", row["query"])
    again = await hospital.send(
        "POST", "/Patient/_search", "gender=female&_sort=_id", Content_Type="application/x-www-form-urlencoded"
    )
    assert again.status_code == 200
    assert (await trail.one())["query"] == row["query"]


async def test_entries_of_a_bundle_are_accesses(world: World, trail: Reader) -> None:
    hospital = await world.caller("hospital")
    known = (await hospital.create(PATIENT))["id"]
    await trail.take()
    entries = [
        entry("POST", "Patient", PATIENT),
        entry("PUT", f"Patient/{known}", {**PATIENT, "id": known, "gender": "male"}),
        entry("GET", f"Patient/{known}"),
        entry("GET", "Patient?gender=male"),
    ]
    for kind in ("transaction", "batch"):
        refused = [] if kind == "transaction" else [entry("GET", "Patient/unknown"), entry("DELETE", "Nguyen/1")]
        bundle = {"resourceType": "Bundle", "type": kind, "entry": [*entries, *refused]}
        answer = await hospital.send("POST", "", bundle)
        assert answer.status_code == 200, answer.text
        rows = await trail.take()
        told = {(row["interaction"], row["status"], row["type"]) for row in rows}
        assert len(rows) == len(bundle["entry"])
        expected: set[tuple[str, int, str | None]] = {
            ("create", 201, "Patient"),
            ("update", 200, "Patient"),
            ("read", 200, "Patient"),
            ("search-type", 200, "Patient"),
        }
        if refused:
            expected |= {("read", 404, "Patient"), ("delete", 400, None)}
        assert told == expected
    broken = {"resourceType": "Bundle", "type": "transaction", "entry": [*entries, entry("GET", "Patient/unknown")]}
    assert (await hospital.send("POST", "", broken)).status_code == 404
    row = await trail.one()
    assert (row["interaction"], row["status"]) == ("transaction", 404)


async def test_a_failed_write_leaves_its_refusal_alone(world: World, trail: Reader) -> None:
    hospital = await world.caller("hospital")
    await trail.take()
    answer = await hospital.send("POST", "/Patient", {**PATIENT, "gender": "bogus"})
    assert answer.status_code == 422
    row = await trail.one()
    assert (row["interaction"], row["status"], row["reason"], row["type"]) == ("create", 422, "processing", "Patient")


async def test_a_bug_is_told_too(world: World, trail: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    hospital = await world.caller("hospital")
    await trail.take()
    monkeypatch.setattr("app.routers.fhir.search_type", None)
    assert (await hospital.get("/Patient")).status_code == 500
    assert (await trail.one())["status"] == 500
