"""AuditEvents over HTTP: rendered by the patterns of BALP, valid, searched by the operator alone."""

import json
from typing import Any

import pytest
from fhir.resources.R4B.auditevent import AuditEvent

from app.core.ids import new_id
from app.fhir.validation import validate
from app.search.cursor import write_cursor
from app.search.plan import Cursor
from tests.api import Caller, World

PATIENT = {"resourceType": "Patient", "gender": "female"}
PATTERN = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


async def search(caller: Caller, query: str) -> list[dict[str, Any]]:
    """The events of one page."""
    answer = await caller.get(f"/AuditEvent?{query}")
    assert answer.status_code == 200, answer.text
    return [entry["resource"] for entry in answer.json().get("entry", ())]


def describe(event: dict[str, Any]) -> tuple[str, str]:
    """The interaction, and the outcome."""
    return event["subtype"][-1]["code"], event["outcome"]


def entities(event: dict[str, Any]) -> list[tuple[str, str | None]]:
    return [(each["type"]["code"], each.get("what", {}).get("reference")) for each in event.get("entity", ())]


async def play(world: World) -> tuple[Caller, Caller, str, str]:
    """A hospital and an operator; a patient and an observation of hers, created, read and searched."""
    hospital, operator = await world.caller("hospital"), await world.caller("operator", "admin")
    patient = f"Patient/{(await hospital.create(PATIENT))['id']}"
    body = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": patient}}
    observation = f"Observation/{(await hospital.create(body))['id']}"
    await hospital.read(observation)
    await hospital.find(f"Observation?patient={patient}")
    await hospital.update({**(await hospital.read(patient)), "gender": "male"})
    await hospital.get(f"/{patient}/_history/1")
    await hospital.get(f"/{patient}/_history")
    await hospital.get("/Patient?nonsense=1")
    await hospital.get("/Patient/nobody")
    await hospital.send("DELETE", f"/Patient/{(await hospital.create(PATIENT))['id']}")
    await hospital.http.post("/oauth/token", content="grant_type=x")
    await hospital.http.get("/fhir/Patient", headers={"Authorization": "Bearer x"})
    await world.hub.trail.flush()
    return hospital, operator, patient, observation


async def test_events_are_rendered_searched_and_valid(world: World) -> None:
    hospital, operator, patient, observation = await play(world)
    events = await search(operator, "_count=200&_sort=date")
    assert {describe(each) for each in events} >= {
        ("create", "0"), ("read", "0"), ("search-type", "0"), ("update", "0"), ("vread", "0"),
        ("history-instance", "0"), ("search-type", "4"), ("read", "4"), ("delete", "0"), ("ITI-71", "4"),
    }  # fmt: skip
    for event in events:
        assert [each for each in validate(event) if each.severity in ("error", "fatal")] == [], event
        AuditEvent.model_validate(event)
        read = await operator.get(f"/AuditEvent/{event['id']}")
        assert (read.status_code, read.json()) == (200, event)
    await check_patterns(events, patient, observation)
    await check_searches(world, operator, patient, observation)
    await check_pages(operator)
    for caller in (hospital, await world.caller("ngo", "provider")):
        for path in ("", f"/{events[0]['id']}", f"/{new_id()}"):
            assert (await caller.get(f"/AuditEvent{path}")).status_code == 403


async def check_patterns(events: list[dict[str, Any]], patient: str, observation: str) -> None:
    """Successes follow the pattern of their interaction; a read of what is about a patient tells of the patient."""
    profiles = {each["meta"]["profile"][0].removeprefix(PATTERN) for each in events if "profile" in each["meta"]}
    assert profiles >= {"PatientCreate", "PatientRead", "PatientQuery", "PatientUpdate"}
    [read] = [each for each in events if ("2", observation) in entities(each) and describe(each) == ("read", "0")]
    assert ("1", patient) in entities(read)
    who = [each["who"] for each in read["agent"]]
    assert who[1] == {"reference": "Organization/hospital"}
    assert who[2] == read["source"]["observer"]
    [query] = [each for each in events if describe(each) == ("search-type", "0") and "profile" in each["meta"]]
    assert query["entity"][0]["description"].startswith("Observation?patient=~")
    assert ("Observation", observation) in entities(query)
    [unknown] = [each for each in events if each["agent"][0]["who"] == {"display": "unknown"}]
    assert unknown["outcomeDesc"].startswith("401")


async def check_searches(world: World, operator: Caller, patient: str, observation: str) -> None:
    """Each parameter finds what it should, and nothing else."""
    rows: list[tuple[str, set[tuple[str, str]]]] = [
        (f"entity={observation}&_count=200", {("create", "0"), ("read", "0"), ("search-type", "0")}),
        ("entity=Patient/nobody", {("read", "4")}),
        ("outcome=4&type=rest&subtype=search-type", {("search-type", "4")}),
        ("action=D", {("delete", "0")}),
        ("action=U&agent=Organization/hospital", {("update", "0")}),
        ("subtype=http://hl7.org/fhir/restful-interaction|vread", {("vread", "0")}),
        ("type=http://dicom.nema.org/resources/ontology/DCM|110114", {("ITI-71", "4")}),
        ("subtype=urn:ihe:event-type-code|ITI-71", {("ITI-71", "4")}),
        ("outcome=8,12", set()),
        ("date=lt2000", set()),
        ("date=gt2000&_lastUpdated=gt2000&action=D", {("delete", "0")}),
        ("entity-type=Observation", {("search-type", "0"), ("read", "0")}),
        ("agent:identifier=nobody", set()),
        ("address=255.", set()),
        (f"_id={new_id()},x", set()),
        ("action:not=R,E,C,U", {("delete", "0")}),
    ]
    await world.hub.trail.flush()
    for query, expected in rows:
        assert {describe(each) for each in await search(operator, query)} == expected, query
    about = {describe(each) for each in await search(operator, f"patient={patient}&_count=200")}
    assert about >= {("create", "0"), ("read", "0"), ("update", "0"), ("vread", "0"), ("search-type", "0")}


async def check_pages(operator: Caller) -> None:
    """Pages neither skip nor repeat, although each of them adds an event."""
    every = [each["id"] for each in await search(operator, "_count=200")]
    path, found = "/AuditEvent?_count=5&_total=accurate", []
    while path:
        bundle = (await operator.get(path)).json()
        assert bundle["total"] >= len(every)
        found += [entry["resource"]["id"] for entry in bundle["entry"]]
        links = {each["relation"]: each["url"] for each in bundle["link"]}
        path = links["next"].partition("/fhir")[2] if "next" in links else ""
    assert len(found) == len(set(found))
    assert set(found) >= set(every)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/AuditEvent", 405),
        ("PUT", "/AuditEvent/x", 405),
        ("PUT", "/AuditEvent?action=R", 405),
        ("DELETE", "/AuditEvent/x", 405),
        ("DELETE", "/AuditEvent?action=R", 405),
        ("GET", "/AuditEvent/x/_history", 405),
        ("GET", "/AuditEvent/x/_history/1", 405),
        ("GET", "/AuditEvent/_history", 405),
        ("GET", "/AuditEvent/x", 404),
        ("GET", "/AuditEvent/01a21237-a089-7b36-a642-ea4d6e2ddfec", 404),
        ("GET", "/AuditEvent/ffffffff-ffff-7fff-8fff-ffffffffffff", 404),
        ("GET", "/AuditEvent/01a21237a0897b36a642ea4d6e2ddfec", 404),
        ("GET", f"/AuditEvent?_cursor={write_cursor(Cursor('_id', ('not-a-uuid',), None))}", 400),
        ("GET", "/AuditEvent?nonsense=1", 400),
        ("GET", "/AuditEvent?_sort=action", 400),
        ("GET", "/AuditEvent?_revinclude=Provenance:target", 400),
        ("GET", "/AuditEvent?_include=*", 400),
        ("GET", "/AuditEvent?entity:missing=true", 400),
        ("GET", "/AuditEvent?_tag=x", 400),
        ("GET", "/AuditEvent?address:contains=1", 400),
        ("GET", "/AuditEvent?_cursor=x", 400),
    ],
)
async def test_what_is_refused(world: World, method: str, path: str, status: int) -> None:
    operator = await world.caller("operator", "admin")
    answer = await operator.send(method, path, {"resourceType": "AuditEvent", "id": "x"} if method != "GET" else None)
    assert (answer.status_code, answer.json()["resourceType"]) == (status, "OperationOutcome"), answer.text


async def test_an_id_of_no_time_finds_nothing(world: World) -> None:
    operator = await world.caller("operator", "admin")
    assert await operator.find("AuditEvent?_id=ffffffff-ffff-7fff-8fff-ffffffffffff,x") == []


async def test_not_in_a_bundle(world: World) -> None:
    operator = await world.caller("operator", "admin")
    for request in ({"method": "GET", "url": "AuditEvent?action=R"}, {"method": "DELETE", "url": "AuditEvent/x"}):
        bundle = {"resourceType": "Bundle", "type": "batch", "entry": [{"request": request}]}
        answer = await operator.send("POST", "", bundle)
        assert json.loads(answer.text)["entry"][0]["response"]["status"].startswith("400")
    assert (await operator.get("/_history?_count=200")).status_code == 200
