"""The Task that the server makes for a bare ServiceRequest, and how the requester's own becomes it."""

import pytest

from tests.api import Caller, Resource, World
from tests.integration.interactions.samples import (
    bundle,
    entry,
    move,
    patient,
    reference,
    refused,
    run_bundle,
    service_request,
    task,
)

NGO = [{"reference": "Organization/ngo"}]
ONE = "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0901"
TWO = "urn:uuid:6b0ad3d5-6a3b-4a3c-9d36-0d0c0b0a0902"


@pytest.fixture
async def asking(world: World) -> Caller:
    """A client of the hospital for which the server makes Tasks."""
    return await world.caller("hospital", server_makes_tasks=True)


async def ask(caller: Caller, **more: object) -> tuple[str, str]:
    """The references of a new Patient, and of a ServiceRequest about it for the ngo."""
    who = reference(await caller.create(patient()))
    return who, reference(await caller.create(service_request(who, performer=NGO, **more)))


async def only_task(caller: Caller) -> Resource:
    [found] = await caller.find("Task")
    return await caller.read(found)


async def test_a_client_without_the_scope_gets_its_task(world: World, ngo: Caller) -> None:
    caller = await world.caller("hospital", scopes="system/*.rs system/ServiceRequest.cu system/Patient.c")
    who, asked = await ask(caller, priority="urgent")
    made = await only_task(ngo)
    assert (made["status"], made["intent"], made["priority"]) == ("requested", "order", "urgent")
    assert made["focus"]["reference"] == asked
    assert made["for"]["reference"] == who
    assert made["requester"]["reference"] == "Organization/hospital"
    assert made["owner"] == NGO[0]
    assert (await ngo.read(who))["resourceType"] == "Patient"
    assert (await ngo.read(asked))["resourceType"] == "ServiceRequest"
    assert await only_task(caller) == made
    targets = [(await caller.read(each))["target"][0]["reference"] for each in await caller.find("Provenance")]
    assert targets == [f"{reference(made)}/_history/1"]
    topics = [row["topic"] for row in await world.pool.fetch("SELECT topic FROM event ORDER BY id")]
    assert topics == ["referral-status-changed", "task-assigned", "task-version"]


async def test_no_task_where_none_is_asked_for(hospital: Caller, asking: Caller) -> None:
    await ask(hospital)
    assert await hospital.find("Task") == []
    for more in ({"status": "draft"}, {"intent": "plan"}, {"performer": [{"reference": "Organization/nobody"}]}):
        who = reference(await asking.create(patient()))
        await asking.create(service_request(who, **{"performer": NGO, **more}))
    await asking.create(service_request(who))
    assert await asking.find("Task") == []


async def test_a_draft_gets_its_task_when_it_becomes_active(asking: Caller, ngo: Caller) -> None:
    _, asked = await ask(asking, status="draft")
    assert await ngo.find("Task") == []
    for status in ("active", "on-hold", "active"):
        assert (await move(asking, asked, status)).status_code == 200
    assert (await only_task(ngo))["focus"]["reference"] == asked


async def test_no_task_where_one_of_the_bundle_has_it_as_focus(asking: Caller, ngo: Caller) -> None:
    who = reference(await asking.create(patient()))
    await run_bundle(
        asking,
        "transaction",
        entry("POST", "ServiceRequest", service_request(who, performer=NGO), ONE),
        entry("POST", "Task", task(who, ONE), TWO),
    )
    assert len(await ngo.find("Task")) == 1
    await run_bundle(asking, "transaction", entry("POST", "ServiceRequest", service_request(who, performer=NGO)))
    assert len(await ngo.find("Task")) == 2


async def test_the_server_task_is_there_within_the_bundle(asking: Caller, ngo: Caller) -> None:
    await run_bundle(
        asking,
        "transaction",
        entry("POST", "ServiceRequest", service_request(ONE, performer=NGO, supportingInfo=[{"reference": TWO}])),
        entry("POST", "Patient", patient(), ONE),
        entry("POST", "Condition", {"resourceType": "Condition", "subject": {"reference": ONE}}, TWO),
    )
    assert len(await ngo.find("Task?_include=Task:focus&_include=Task:patient")) == 3
    assert len(await ngo.find("Condition")) == 1


async def test_the_posted_task_becomes_it(asking: Caller, ngo: Caller) -> None:
    who, asked = await ask(asking)
    made = await only_task(ngo)
    posted = task(who, asked, description="By hand")
    answer = await asking.send("POST", "/Task", posted, Prefer="return=OperationOutcome")
    assert answer.status_code == 200
    assert answer.headers["location"] == f"http://handoff.test/fhir/{reference(made)}/_history/2"
    [issue] = answer.json()["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "duplicate")
    assert reference(made) in issue["diagnostics"]
    found = await only_task(ngo)
    assert (found["id"], found["description"], found["meta"]["versionId"]) == (made["id"], "By hand", "2")
    assert "tag" not in found["meta"]
    # Once adopted it is an ordinary Task: another one posted is another one.
    assert (await asking.send("POST", "/Task", posted)).status_code == 201
    assert len(await ngo.find("Task")) == 2


async def test_another_task_does_not_become_it(world: World, asking: Caller, ngo: Caller, stranger: Caller) -> None:
    who, asked = await ask(asking)
    made = await only_task(ngo)
    drafted = await asking.send("POST", "/Task", task(who, asked, status="draft"))
    elsewhere = await asking.send("POST", "/Task", task(who, asked, owner={"reference": "Organization/stranger"}))
    nowhere = await asking.send("POST", "/Task", {**task(who, asked), "owner": {"reference": "Organization/nobody"}})
    foreign = await stranger.send("POST", "/Task", task(who, asked, requester={"reference": "Organization/stranger"}))
    assert [each.status_code for each in (drafted, elsewhere, nowhere, foreign)] == [201] * 4
    assert (await move(ngo, reference(made), "accepted")).status_code == 200
    late = await asking.send("POST", "/Task", task(who, asked))
    assert late.status_code == 201
    assert (await ngo.read(reference(made)))["meta"]["versionId"] == "2"


async def test_in_a_bundle_what_refers_to_the_posted_task_refers_to_that_one(asking: Caller, ngo: Caller) -> None:
    who, asked = await ask(asking)
    made = await only_task(ngo)
    plan = {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": who},
        "activity": [{"reference": {"reference": TWO}}],
    }
    answers = await run_bundle(
        asking, "transaction", entry("POST", "CarePlan", plan), entry("POST", "Task", task(who, asked), TWO)
    )
    assert [each["response"]["status"] for each in answers] == ["201 Created", "200 OK"]
    assert answers[1]["response"]["outcome"]["issue"][0]["code"] == "duplicate"
    stored = await asking.read(answers[0]["response"]["location"].split("/_history")[0])
    assert stored["activity"] == [{"reference": {"reference": reference(made)}}]
    assert (await ngo.read(reference(stored)))["id"] == stored["id"]


async def test_a_labelled_request_makes_nothing(world: World, asking: Caller, ngo: Caller) -> None:
    restricted = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
    who = reference(await asking.create(patient(meta=restricted)))
    refused(await asking.send("POST", "/ServiceRequest", service_request(who, performer=NGO)), 422, "business-rule")
    body = bundle("batch", entry("POST", "ServiceRequest", service_request(who, performer=NGO)))
    answer = await asking.send("POST", "", body)
    assert answer.json()["entry"][0]["response"]["status"].startswith("422")
    for name in ("service_request", "task", "provenance", "event", "package_member", "referral"):
        assert await world.pool.fetchval(f"SELECT count(*) FROM {name}") == 0, name
