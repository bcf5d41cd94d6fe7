"""That a patient must not be contacted shows wherever others read how to."""

from typing import Any

import httpx

from app.core.caller import Scope
from app.interactions.contact import find_warned
from app.store.read import read_resource
from tests.api import Caller, Resource, World
from tests.integration.interactions.samples import bundle, entry, move, patient, reference, service_request, task
from tests.integration.interactions.test_sub_referrals import FLAG

TOLD = "must not be contacted: a referral says so"


async def refer(hospital: Caller, who: str | None = None, **more: Any) -> tuple[str, str, str]:
    """A referral to the ngo: (Patient, ServiceRequest, Task)."""
    who = who or reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who, **more)))
    return who, asked, reference(await hospital.create(task(who, asked)))


def list_warnings(page: Resource) -> list[str]:
    """What the OperationOutcomes of a searchset say."""
    found = [each["resource"] for each in page["entry"] if each["search"]["mode"] == "outcome"]
    return [issue["diagnostics"] for each in found for issue in each["issue"]]


def warned(answer: httpx.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return TOLD in answer.headers.get("warning", "")


async def test_it_goes_with_the_patient(hospital: Caller, ngo: Caller) -> None:
    who, _, _ = await refer(hospital, orderDetail=[FLAG])
    plain, _, _ = await refer(hospital)
    assert warned(await ngo.get(f"/{who}"))
    assert warned(await ngo.get(f"/{who}/_history/1"))
    assert not warned(await ngo.get(f"/{plain}"))
    assert not warned(await hospital.get(f"/{who}"))
    for query in ("Patient?_count=1&_sort=_lastUpdated", "Task?owner=Organization/ngo&_include=Task:patient"):
        page = (await ngo.get(f"/{query}")).json()
        assert list_warnings(page) == [f"{who} {TOLD}"]
    assert list_warnings((await ngo.get("/Task")).json()) == []
    assert list_warnings((await hospital.get("/Patient")).json()) == []


async def test_it_goes_with_the_answers_of_a_bundle(hospital: Caller, ngo: Caller) -> None:
    who, _, _ = await refer(hospital, orderDetail=[FLAG])
    answer = await ngo.send("POST", "", bundle("batch", entry("GET", who), entry("GET", "Patient")))
    read, found = answer.json()["entry"]
    assert TOLD in read["response"]["outcome"]["issue"][0]["diagnostics"]
    assert list_warnings(found["resource"]) == [f"{who} {TOLD}"]


async def test_who_has_the_patient_already_is_told_too(hospital: Caller, ngo: Caller) -> None:
    """The Patient stays the same; what is said of it is new."""
    who, asked, _ = await refer(hospital)
    read = await ngo.get(f"/{who}")
    poll = "/Patient?_lastUpdated=gt2020"
    known = {"If-None-Match": read.headers["etag"]}, {"If-None-Match": (await ngo.get(poll)).headers["etag"]}
    assert (await ngo.http.get(f"/fhir/{who}", headers=known[0])).status_code == 304
    assert (await ngo.http.get(f"/fhir{poll}", headers=known[1])).status_code == 304
    assert (await hospital.update({**await hospital.read(asked), "orderDetail": [FLAG]})).status_code == 200
    assert warned(await ngo.http.get(f"/fhir/{who}", headers=known[0]))
    found = await ngo.http.get(f"/fhir{poll}", headers=known[1])
    assert list_warnings(found.json()) == [f"{who} {TOLD}"]


async def test_it_goes_with_each_version_in_a_history(hospital: Caller, ngo: Caller) -> None:
    who, asked, _ = await refer(hospital)
    plain, _, _ = await refer(hospital)
    assert (await hospital.update(await hospital.read(who))).status_code == 200
    since = "_since=2020-01-01T00:00:00Z"
    known = {}
    for path in (f"/{who}/_history?{since}", f"/Patient/_history?{since}"):
        known[path] = {"If-None-Match": (await ngo.get(path)).headers["etag"]}
        assert (await ngo.http.get(f"/fhir{path}", headers=known[path])).status_code == 304
    assert (await hospital.update({**await hospital.read(asked), "orderDetail": [FLAG]})).status_code == 200
    for path in (*known, "/_history"):
        answer = await ngo.http.get(f"/fhir{path}", headers=known.get(path))
        assert answer.status_code == 200
        assert list_outcomes(answer.json(), who) == [f"{who} {TOLD}"] * 2
        assert list_outcomes(answer.json(), plain) in ([], [None])
        assert "etag" not in answer.headers
    assert list_outcomes((await hospital.get(f"/{who}/_history")).json(), who) == [None, None]


def list_outcomes(history: Resource, reference: str) -> list[str | None]:
    """What goes with each version of a resource in a history."""
    told = [each["response"].get("outcome") for each in history["entry"] if each["fullUrl"].endswith(f"/{reference}")]
    return [each["issue"][0]["diagnostics"] if each else None for each in told]


async def test_one_referral_does_not_tell_of_another(world: World, hospital: Caller, ngo: Caller) -> None:
    """What another partner is asked to keep in mind tells of that referral."""
    who, _, tasked = await refer(hospital, orderDetail=[FLAG])
    other = await world.caller("other", "provider")
    asked = reference(await hospital.create(service_request(who)))
    await hospital.create(task(who, asked, owner={"reference": "Organization/other"}))
    assert not warned(await other.get(f"/{who}"))
    assert (await move(hospital, tasked, "cancelled")).status_code == 200
    assert (await ngo.get(f"/{who}")).status_code == 404


async def test_many_are_asked_for_in_parts(world: World, hospital: Caller, ngo: Caller) -> None:
    """As many as there are, whatever one search may name or give."""
    flagged = [(await refer(hospital, orderDetail=[FLAG]))[0] for _ in range(3)]
    for who in flagged:
        await refer(hospital, who)
    settings = world.settings.model_copy(update={"max_or_values": 2, "max_count": 1})
    async with world.pool.acquire() as connection:
        seen = [await read_resource(connection, Scope(("ngo",)), *each.split("/")) for each in flagged]
        patients = [each for each in seen if each]
        found = await find_warned(connection, Scope(("ngo",)), patients, settings, world.hub.base_url)
    assert found == {("Patient", each.removeprefix("Patient/")) for each in flagged}
