"""batch and transaction Bundles (R4 http, 3.1.0.11)."""

from typing import Any

import pytest

from tests.api import Caller, World
from tests.integration.interactions.samples import bundle, entry, patient, reference, refused, run_bundle
from tests.integration.interactions.samples import service_request as ask

ONE = "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0901"
TWO = "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0902"
KEY = "identifier=http://hospital.example/mrn|"


def place(answer: dict[str, Any]) -> str:
    """The reference of what an entry wrote."""
    location: str = answer["response"]["location"]
    return location.split("/_history")[0]


async def count_rows(world: World) -> list[int]:
    """How many rows there are of what a transaction writes."""
    tables = ("patient", "service_request", "task", "search_token", "resource_history", "referral", "event")
    return [await world.pool.fetchval(f"SELECT count(*) FROM {name}") for name in tables]


async def test_a_transaction_answers_each_entry(hospital: Caller) -> None:
    old = await hospital.create(patient("old"))
    gone = await hospital.create(patient("gone"))
    answers = await run_bundle(
        hospital,
        "transaction",
        entry("GET", "Patient?name=later"),
        entry("GET", reference(old)),
        entry("PUT", reference(old), {**old, "name": [{"family": "later"}]}, ifMatch='W/"1"'),
        entry("POST", "Patient", patient("new")),
        entry("DELETE", reference(gone)),
        entry("GET", f"{reference(old)}/_history/1"),
    )
    found, read, put, posted, deleted, version = answers
    assert [each["response"]["status"][:3] for each in answers] == ["200", "200", "200", "201", "204", "200"]
    assert [each["resource"]["id"] for each in found["resource"]["entry"]] == [old["id"]]
    assert read["resource"]["name"] == [{"family": "later"}]
    assert version["resource"] == old
    assert put["response"]["etag"] == 'W/"2"'
    assert put["response"]["location"] == f"{reference(old)}/_history/2"
    assert posted["response"]["etag"] == 'W/"1"'
    assert posted["response"]["lastModified"] == (await hospital.read(place(posted)))["meta"]["lastUpdated"]
    assert "resource" not in put
    assert "resource" not in posted
    assert "resource" not in deleted
    refused(await hospital.get(f"/{reference(gone)}"), 410)


async def test_the_representation_comes_where_it_is_preferred(hospital: Caller) -> None:
    [answer] = await run_bundle(
        hospital, "transaction", entry("POST", "Patient", patient()), Prefer="return=representation"
    )
    assert answer["resource"] == await hospital.read(place(answer))


async def test_references_follow_the_entries(hospital: Caller) -> None:
    known = reference(await hospital.create(patient("known")))
    far = "http://hospital.example/fhir"
    answers = await run_bundle(
        hospital,
        "transaction",
        entry("POST", "ServiceRequest", ask(ONE, supportingInfo=[{"reference": TWO}])),
        entry("POST", "Patient", patient("x"), ONE),
        entry("PUT", f"Consent?{KEY}none", consent("Patient/7"), TWO),
        entry("POST", "Patient", patient("y"), f"{far}/Patient/7"),
        entry("POST", "ServiceRequest", ask("Patient/7"), f"{far}/ServiceRequest/8"),
        entry("POST", "ServiceRequest", ask(f"{far}/Patient/7")),
        entry("POST", "ServiceRequest", ask(f"Patient?{KEY}known")),
        entry("POST", "ServiceRequest", ask("http://elsewhere.example/Patient?a=b")),
    )
    first, x, agreed, y, relative, absolute, conditional, other = [await hospital.read(place(a)) for a in answers]
    assert first["subject"]["reference"] == reference(x)
    assert first["supportingInfo"] == [{"reference": reference(agreed)}]
    assert relative["subject"]["reference"] == reference(y)
    assert absolute["subject"]["reference"] == reference(y)
    assert conditional["subject"]["reference"] == known
    assert other["subject"]["reference"] == "http://elsewhere.example/Patient?a=b"


def consent(who: str) -> dict[str, Any]:
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"text": "Sharing"},
        "category": [{"text": "Sharing"}],
        "patient": {"reference": who},
        "policyRule": {"text": "Opt in"},
    }


REFUSED: dict[str, tuple[Any, int, str]] = {
    "invalid resource": (
        entry("POST", "Patient", {**patient(), "gender": "x"}),
        422,
        "Bundle.entry[1].resource.gender",
    ),
    "unknown id": (entry("PUT", "Patient/no", {**patient(), "id": "no"}), 404, "Bundle.entry[1]"),
    "other id": (entry("PUT", "Patient/no", {**patient(), "id": "yes"}), 400, "Bundle.entry[1].resource.id"),
    "no id": (entry("PUT", "Patient/no", patient()), 400, "Bundle.entry[1].resource.id"),
    "read of nothing": (entry("GET", "Patient/no"), 404, "Bundle.entry[1]"),
    "unknown parameter": (entry("GET", "Patient?nom=x"), 400, "Bundle.entry[1]"),
    "delete of nothing": (entry("DELETE", "Patient/no"), 404, "Bundle.entry[1]"),
    "unknown type": (entry("POST", "Nothing", {"resourceType": "Nothing"}), 400, "Bundle.entry[1].request.url"),
    "another type": (entry("POST", "Patient", ask("Patient/1")), 400, "Bundle.entry[1].resource"),
    "no resource": (entry("POST", "Patient"), 400, "Bundle.entry[1].resource"),
    "resource a list": (entry("POST", "Patient", [patient()]), 400, "Bundle.entry[1].resource"),
    "resource a text": (entry("POST", "Patient", "x"), 400, "Bundle.entry[1].resource"),
    "GET with a resource": (entry("GET", "Patient", ["x"]), 400, "Bundle.entry[1].resource"),
    "POST to an id": (entry("POST", "Patient/1", patient()), 400, "Bundle.entry[1].request.url"),
    "PUT to a type": (entry("PUT", "Patient", patient()), 400, "Bundle.entry[1].request.url"),
    "DELETE of a type": (entry("DELETE", "Patient"), 400, "Bundle.entry[1].request.url"),
    "another server": (entry("GET", "http://elsewhere.example/fhir/Patient/1"), 400, "Bundle.entry[1].request.url"),
    "no address": (entry("GET", "http://[/Patient/1"), 400, "Bundle.entry[1].request.url"),
    "no version": (entry("GET", "Patient/1/_history/²"), 400, "Bundle.entry[1].request.url"),
    "history": (entry("GET", "Patient/_history"), 400, "Bundle.entry[1]"),
    "PATCH": (entry("PATCH", "Patient/1", patient()), 400, "Bundle.entry[1].request.method"),
    "ifMatch": (
        entry("PUT", "Patient/1", {**patient(), "id": "1"}, ifMatch="1"),
        400,
        "Bundle.entry[1].request.ifMatch",
    ),
    "ifNoneMatch": (entry("GET", "Patient/1", ifNoneMatch='W/"1"'), 400, "Bundle.entry[1].request.ifNoneMatch"),
    "condition of nothing": (entry("POST", "Patient", patient(), ifNoneExist="nom=x"), 400, "Bundle.entry[1]"),
    "empty condition": (
        entry("PUT", "Patient?_format=json", patient()),
        412,
        "Bundle.entry[1]",
    ),
    "many matches": (entry("POST", "Patient", patient(), ifNoneExist=f"{KEY}twice"), 412, "Bundle.entry[1]"),
    "reference to none": (entry("POST", "ServiceRequest", ask(f"Patient?{KEY}no")), 412, "Bundle.entry[1].resource"),
    "reference to many": (entry("POST", "ServiceRequest", ask(f"Patient?{KEY}twice")), 412, "Bundle.entry[1].resource"),
    "reference to what": (entry("POST", "ServiceRequest", ask("Nothing?a=b")), 400, "Bundle.entry[1].resource"),
}


async def test_a_transaction_that_fails_leaves_nothing_behind(world: World, hospital: Caller) -> None:
    for _ in range(2):
        await hospital.create(patient("twice"))
    before = await count_rows(world)
    for name, (wrong, status, expression) in REFUSED.items():
        body = bundle("transaction", entry("POST", "Patient", patient("first"), ONE), wrong, entry("GET", "Patient"))
        issue = refused(await hospital.send("POST", "", body), status)
        assert issue.get("expression", [""])[0].startswith(expression), (name, issue)
        assert await count_rows(world) == before, name


async def test_a_batch_fails_entry_by_entry(hospital: Caller) -> None:
    for _ in range(2):
        await hospital.create(patient("twice"))
    for name, (wrong, status, expression) in REFUSED.items():
        body = bundle("batch", entry("POST", "Patient", patient()), wrong, entry("GET", "Patient?_count=1"))
        answer = await hospital.send("POST", "", body)
        assert answer.status_code == 200, (name, answer.text)
        first, second, third = answer.json()["entry"]
        assert first["response"]["status"] == "201 Created"
        assert third["response"]["status"] == "200 OK"
        assert second["response"]["status"].startswith(str(status)), (name, second)
        outcome = second["response"]["outcome"]
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"][0]["expression"][0].startswith(expression), (name, second)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_bundle_that_is_none_is_refused(hospital: Caller, kind: str) -> None:
    fine = entry("POST", "Patient", patient())
    bare: list[Any] = [[None], ["x"], [[]], "x", {}, None, [], [{}], [{"request": []}], [{"request": {"url": "x"}}]]
    for entries in bare:
        answer = await hospital.send("POST", "", {"resourceType": "Bundle", "type": kind, "entry": entries})
        assert answer.status_code in (400, 422), (entries, answer.text)
        refused(answer, answer.status_code)
    for strange in ({"id": 1}, {"request": {"method": "FETCH", "url": "Patient"}}, {"fullUrl": 1}, {"x": 1}):
        refused(await hospital.send("POST", "", bundle(kind, fine, {**fine, **strange})), 422)
    for other in ("collection", "history", "transaction-response", "", 1, None):
        refused(await hospital.send("POST", "", {**bundle(kind, fine), "type": other}), 400)
    refused(await hospital.send("POST", "", bundle(kind, *[fine] * 501)), 400)
    issue = refused(await hospital.send("POST", "", bundle(kind, fine, {"resource": patient()})), 400)
    assert issue["expression"] == ["Bundle.entry[1].request"]
    refused(await hospital.send("POST", "", patient()), 400)
    empty = await hospital.send("POST", "", {"resourceType": "Bundle", "type": kind})
    assert empty.json() == {"resourceType": "Bundle", "type": f"{kind}-response"}
    assert await hospital.find("Patient") == []


async def test_all_issues_of_all_entries_are_told_at_once(hospital: Caller) -> None:
    wrong = [entry("POST", "Patient", {**patient(), "gender": "x"}), entry("POST", "Patient", {**patient(), "y": 1})]
    answer = await hospital.send("POST", "", bundle("transaction", *wrong))
    refused(answer, 422)
    places = [issue["expression"] for issue in answer.json()["issue"]]
    assert places == [["Bundle.entry[0].resource.gender"], ["Bundle.entry[1].resource.y"]]
