"""The pool: who offers what is asked for sees a part of an unassigned Task, and one of those who claim it gets it."""

import asyncio
import json
from typing import Any

import pytest

from tests.api import Caller, Resource, World
from tests.integration.interactions.consents import VIOLENCE, change, consent
from tests.integration.interactions.samples import (
    bundle,
    entry,
    move,
    patient,
    reference,
    refused,
    service_request,
    task,
)

GRAVITY = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
POLL = "Task?owner:missing=true&status=requested"
ADDRESS = {"line": ["CANARY 12"], "city": "CANARY", "postalCode": "CANARY", "state": "Huế", "country": "VN"}


def concept(code: str, system: str = GRAVITY) -> Resource:
    return {"coding": [{"system": system, "code": code}], "text": "CANARY"}


def service(organization: str, *categories: str, **more: Any) -> Resource:
    return {
        "resourceType": "HealthcareService",
        "active": True,
        "providedBy": {"reference": f"Organization/{organization}"},
        "category": [concept(each) for each in categories],
        "name": "Meals",
        **more,
    }


async def offer(caller: Caller, *categories: str, **more: Any) -> str:
    """A HealthcareService of the caller's own."""
    return reference(await caller.create(service(caller.organization, *categories, **more)))


async def ask(hospital: Caller, category: str = "food-insecurity", **more: Any) -> tuple[str, str, str]:
    """A referral that nobody has yet: the references of Patient, ServiceRequest and Task."""
    who = reference(await hospital.create(patient("CANARY", address=[ADDRESS])))
    general = concept("410606002", "http://snomed.info/sct")
    asked = await hospital.create(
        service_request(who, category=[general, concept(category)], note=[{"text": "CANARY"}])
    )
    body = task(who, reference(asked), description="CANARY", priority="urgent", authoredOn="2026-01-05", **more)
    del body["owner"]
    return who, reference(asked), reference(await hospital.create(body))


async def claim(caller: Caller, about: str, version: str | None = "1") -> Any:
    headers = {"If_Match": f'W/"{version}"'} if version else {}
    return await caller.send("POST", f"/{about}/$claim", **headers)


@pytest.fixture
async def kitchen(world: World) -> Caller:
    """It offers what is asked for."""
    caller = await world.caller("kitchen", "provider")
    await offer(caller, "food-insecurity")
    return caller


@pytest.fixture
async def driver(world: World) -> Caller:
    """It offers something else."""
    caller = await world.caller("driver", "provider")
    await offer(caller, "transportation-insecurity")
    return caller


async def test_the_pool_shows_a_part_to_who_offers_it(hospital: Caller, kitchen: Caller, driver: Caller) -> None:
    who, asked, sent = await ask(hospital)
    assert await kitchen.find(POLL) == [sent]
    assert await driver.find(POLL) == []
    refused(await driver.get(f"/{sent}"), 404)
    shown = await kitchen.read(sent)
    meta = shown.pop("meta")
    assert (meta["versionId"], meta["tag"][0]["code"]) == ("1", "SUBSETTED")
    assert shown == {
        "resourceType": "Task",
        "id": sent.split("/")[1],
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "authoredOn": "2026-01-05",
        "extension": [
            {
                "url": "urn:warm-handoff:pool-category",
                "valueCodeableConcept": {"coding": concept("food-insecurity")["coding"]},
            },
            {"url": "urn:warm-handoff:pool-area", "valueAddress": {"state": "Huế", "country": "VN"}},
        ],
    }
    for about in (who, asked):
        refused(await kitchen.get(f"/{about}"), 404)


async def test_nothing_more_shows_by_another_door(hospital: Caller, kitchen: Caller) -> None:
    who, asked, sent = await ask(hospital)
    key = sent.split("/")[1]
    for path in (f"{sent}/_history", f"{sent}/_history/1"):
        refused(await kitchen.get(f"/{path}"), 404)
    assert await kitchen.find("Task/_history") == []
    for query in (
        f"patient={who}",
        f"focus={asked}",
        "requester=Organization/hospital",
        "code=fulfill",
        "modified:missing=true",
    ):
        assert await kitchen.find(f"Task?{query}") == [], query
        assert (await kitchen.get(f"/Task?{query}&_summary=count")).json()["total"] == 0
    assert await kitchen.find(f"Task?_id={key}&_sort=code") == []
    assert await kitchen.find(f"Task?_id={key}&_sort=-priority&_total=accurate") == [sent]
    every = "&".join(f"_include=Task:{each}" for each in ("focus", "patient", "subject", "requester", "owner"))
    assert await kitchen.find(f"{POLL}&{every}") == [sent]
    assert await kitchen.find("Organization?_id=hospital&_revinclude=Task:requester") == ["Organization/hospital"]
    assert "CANARY" not in (await kitchen.get(f"/{POLL}&{every}&_pretty=true")).text
    mine = await kitchen.send("POST", "", bundle("batch", entry("GET", sent), entry("GET", f"{sent}/_history/1")))
    assert "CANARY" not in mine.text
    assert [each["response"]["status"][:3] for each in mine.json()["entry"]] == ["200", "404"]


async def test_a_part_is_not_written_back(hospital: Caller, kitchen: Caller) -> None:
    _, _, sent = await ask(hospital)
    shown = await kitchen.read(sent)
    refused(await kitchen.update(shown), 422)
    bare = {**shown, "meta": {"versionId": "1"}, "for": {"reference": "Patient/x"}}
    refused(await kitchen.update(bare), 403)
    refused(await kitchen.send("DELETE", f"/{sent}"), 403)
    assert (await hospital.read(sent))["meta"]["versionId"] == "1"


async def test_a_claim_gives_the_whole_task(world: World, hospital: Caller, kitchen: Caller) -> None:
    who, asked, sent = await ask(hospital)
    answer = await claim(kitchen, sent)
    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == 'W/"2"'
    whole = answer.json()
    assert (whole["owner"], whole["description"]) == ({"reference": "Organization/kitchen"}, "CANARY")
    assert whole == await kitchen.read(sent) == await hospital.read(sent)
    for about in (who, asked):
        await kitchen.read(about)
    assert (await move(kitchen, sent, "accepted")).status_code == 200
    events = await world.pool.fetch("SELECT topic, audience, facts FROM event WHERE focus_version = 2 ORDER BY topic")
    assigned = next(each for each in events if each["topic"] == "task-assigned")
    assert sorted(assigned["audience"]) == ["hospital", "kitchen"]
    assert json.loads(assigned["facts"])["by"] == "Organization/kitchen"
    [made] = (await hospital.get(f"/Provenance?target={sent}")).json()["entry"]
    assert "Claimed from the pool" in made["resource"]["reason"][0]["text"]
    assert made["resource"]["agent"][0]["onBehalfOf"] == {"reference": "Organization/kitchen"}


async def test_of_many_claims_one_wins(world: World, hospital: Caller) -> None:
    rivals = [await world.caller(f"ngo-{n}", "provider") for n in range(6)]
    for each in rivals:
        await offer(each, "food-insecurity")
    for _ in range(4):
        _, _, sent = await ask(hospital)
        answers = await asyncio.gather(*(claim(each, sent) for each in rivals for _ in range(2)))
        won = {each.json()["owner"]["reference"] for each in answers if each.status_code == 200}
        assert len(won) == 1
        assert {each.status_code for each in answers} == {200, 409}
        for each, answer in zip([each for each in rivals for _ in range(2)], answers, strict=True):
            if answer.status_code == 409:
                refused(answer, 409, "conflict")
                refused(await each.get(f"/{sent}"), 404)
                assert await each.find(POLL) == []


async def test_a_claim_needs_the_version_that_was_seen(hospital: Caller, kitchen: Caller, driver: Caller) -> None:
    _, _, sent = await ask(hospital)
    await change(hospital, sent, priority="stat")
    refused(await claim(kitchen, sent), 412)
    refused(await claim(kitchen, sent, None), 412)
    refused(await claim(driver, sent, "2"), 404)
    refused(await claim(kitchen, "Task/none", "2"), 404)
    refused(await claim(hospital, sent, "2"), 409)
    assert (await claim(kitchen, sent, "2")).status_code == 200
    # The answer was lost, and the same claim comes once more.
    assert (await claim(kitchen, sent, "2")).status_code == 200
    refused(await claim(driver, sent, "3"), 404)


async def test_what_leaves_the_pool_shows_no_more(hospital: Caller, kitchen: Caller) -> None:
    taken, cancelled, recategorised, revoked, deleted = [await ask(hospital) for _ in range(5)]
    owner = {"reference": "Organization/driver"}
    await change(hospital, taken[2], owner=owner)
    assert (await move(hospital, cancelled[2], "cancelled")).status_code == 200
    await change(hospital, recategorised[1], category=[concept("stress")])
    await change(hospital, revoked[1], status="revoked")
    assert (await hospital.send("DELETE", f"/{deleted[2]}")).status_code == 204
    assert await kitchen.find(POLL) == []
    refused(await kitchen.get(f"/{recategorised[2]}"), 404)
    for each in (taken, cancelled, revoked, deleted):
        refused(await kitchen.get(f"/{each[2]}"), 404)
        refused(await claim(kitchen, each[2], "1"), 409)


async def test_what_is_labelled_never_enters(hospital: Caller, kitchen: Caller) -> None:
    _, _, sent = await ask(hospital, meta=VIOLENCE)
    _, asked, _ = await ask(hospital)
    who, _, late = await ask(hospital)
    await change(hospital, asked, meta=VIOLENCE)
    assert await kitchen.find(POLL) == [late]
    refused(await claim(kitchen, sent), 404)
    # A label that the patient gets later is weighed when it counts.
    await change(hospital, who, meta=VIOLENCE)
    refused(await claim(kitchen, late), 409)


async def test_a_consent_forbids_a_claim_and_is_not_told(hospital: Caller, kitchen: Caller) -> None:
    who, _, sent = await ask(hospital)
    await hospital.create(consent(who, "kitchen", kind="deny"))
    told = refused(await claim(kitchen, sent), 422, "business-rule")
    assert "onsent" not in told["diagnostics"]
    assert "owner" not in await hospital.read(sent)


async def test_offers_come_and_go(world: World, hospital: Caller, driver: Caller) -> None:
    _, _, sent = await ask(hospital)
    late = await world.caller("late", "provider")
    assert await late.find(POLL) == []
    offered = await offer(late, "food-insecurity")
    assert await late.find(POLL) == [sent]
    await change(late, offered, active=False)
    assert await late.find(POLL) == []
    found = await late.read(offered)
    del found["category"]
    assert (await late.update({**found, "active": True, "type": [concept("food-insecurity")]})).status_code == 200
    assert await late.find(POLL) == [sent]
    assert (await late.send("DELETE", f"/{offered}")).status_code == 204
    assert await late.find(POLL) == []
    assert await driver.find(POLL) == []


async def test_general_categories_match_nobody(world: World, hospital: Caller) -> None:
    everything = await world.caller("everything", "provider")
    body = service("everything", "sdoh-category-unspecified")
    await everything.create({**body, "type": [concept("410606002", "http://snomed.info/sct")]})
    await ask(hospital)
    await ask(hospital, "sdoh-category-unspecified")
    assert await everything.find(POLL) == []


async def test_a_poll_misses_nothing_that_comes_into_the_pool(world: World, hospital: Caller, kitchen: Caller) -> None:
    """A Task that comes in by its ServiceRequest alone has a version of its own for it."""
    _, asked, sent = await ask(hospital, "stress")
    _, _, other = await ask(hospital)
    poll = f"{POLL}&_lastUpdated=gt1970-01-01T00:00:00Z&_sort=_lastUpdated"
    found = (await kitchen.get(f"/{poll}")).json()
    assert [reference(each["resource"]) for each in found["entry"]] == [other]
    mark = found["entry"][-1]["resource"]["meta"]["lastUpdated"]
    await change(hospital, asked, category=[concept("food-insecurity")])
    assert await kitchen.find(f"{POLL}&_lastUpdated=gt{mark}") == [sent]
    assert (await hospital.read(sent))["meta"]["versionId"] == "2"
    told = "SELECT topic FROM event WHERE focus_id = $1 AND focus_version = 2"
    assert [row[0] for row in await world.pool.fetch(told, sent.split("/")[1])] == ["task-version"]
    draft = await ask(hospital, status="draft")
    assert await kitchen.find(f"{POLL}&_lastUpdated=gt{mark}") == [sent]
    assert (await move(hospital, draft[2], "requested")).status_code == 200
    assert set(await kitchen.find(f"{POLL}&_lastUpdated=gt{mark}")) == {sent, draft[2]}


async def test_who_offers_and_who_asks_at_once_find_each_other(world: World, hospital: Caller) -> None:
    for n in range(5):
        late = await world.caller(f"late-{n}", "provider")
        (_, _, sent), _ = await asyncio.gather(ask(hospital), offer(late, "food-insecurity"))
        assert sent in await late.find(POLL)
