"""A coordinator's network: what it sees, what it does for its members, who is told, and what stays hidden."""

import asyncio
from typing import Any

import httpx
import pytest

from app.store.history_retention import delete_versions
from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver
from tests.integration.delivery.test_classic import look
from tests.integration.delivery.test_delivery import delivering
from tests.integration.delivery.test_subscriptions import subscription
from tests.integration.interactions.consents import VIOLENCE, consent
from tests.integration.interactions.samples import (
    bundle,
    entry,
    move,
    patient,
    refer,
    reference,
    refused,
    service_request,
    task,
)
from tests.integration.interactions.test_visibility import everything
from tests.waiting import until

NETWORK = "Organization/network"
HOSPITAL: Resource = {"reference": "Organization/hospital"}


@pytest.fixture
async def coordinator(world: World) -> Caller:
    return await world.caller("network", "coordinator")


@pytest.fixture
async def acting(world: World, coordinator: Caller, hospital: Caller, admin: Caller) -> Caller:
    """The coordinator, who acts for the hospital."""
    await join(world, admin, "hospital", "acts")
    return coordinator


async def join(world: World, admin: Caller, member: str, may: str) -> None:
    """Takes an organisation into the network; five seconds pass."""
    body = {"coordinator": NETWORK, "member": f"Organization/{member}", "may": may}
    answer = await admin.http.put("/admin/networks", json=body)
    assert answer.status_code == 200, answer.text
    pass_time(world)


async def leave(world: World, admin: Caller, member: str) -> None:
    """Takes it out again."""
    named = {"coordinator": NETWORK, "member": f"Organization/{member}"}
    assert (await admin.http.delete("/admin/networks", params=named)).status_code == 204
    pass_time(world)


def pass_time(world: World) -> None:
    """What is known of the networks is too old by now."""
    world.app.state.verifier._watch._read_at = float("-inf")


async def see(caller: Caller, *references: str) -> list[str]:
    return await everything(caller, list(references))


async def test_it_sees_its_members_referrals_and_no_others(
    world: World, hospital: Caller, ngo: Caller, coordinator: Caller, admin: Caller
) -> None:
    """As who asks, and as who is asked; a former member's things are gone from its eyes, old and new."""
    referral = await refer(hospital)
    elsewhere = await refer(await world.caller("elsewhere"), requester={"reference": "Organization/elsewhere"})
    assert await see(coordinator, *referral, *elsewhere) == []
    await join(world, admin, "hospital", "sees")
    assert await see(coordinator, *referral, *elsewhere) == list(referral)
    assert await coordinator.find("Task?_total=accurate") == [referral[2]]
    assert (await coordinator.get("/Task?_summary=count")).json()["total"] == 1
    included = await coordinator.find("Task?_include=Task:patient&_include=Task:focus")
    assert set(included) == set(referral)
    assert (await coordinator.get(f"/{referral[2]}/_history/1")).status_code == 200
    await leave(world, admin, "hospital")
    assert await see(coordinator, *referral, *(await refer(hospital))) == []
    await join(world, admin, "ngo", "sees")
    assert await see(coordinator, *referral) == list(referral)


async def test_members_do_not_see_each_other_through_it(
    world: World, hospital: Caller, coordinator: Caller, admin: Caller
) -> None:
    other = await world.caller("clinic")
    for each in ("hospital", "clinic"):
        await join(world, admin, each, "acts")
    mine = reference(await hospital.create(patient()))
    theirs = reference(await other.create(patient()))
    own = reference(await coordinator.create(patient()))
    assert await see(coordinator, mine, theirs, own) == [mine, theirs, own]
    assert await see(hospital, mine, theirs, own) == [mine]
    assert await see(other, mine, theirs, own) == [theirs]


@pytest.mark.parametrize("role", ["referrer", "provider"])
async def test_it_takes_the_role_of_a_coordinator(world: World, hospital: Caller, admin: Caller, role: str) -> None:
    await refer(hospital)
    await world.organization("network")
    await join(world, admin, "hospital", "acts")
    assert await (await world.caller("network", role)).find("Task") == []
    assert len(await (await world.caller("network", "coordinator")).find("Task")) == 1


async def test_who_sees_alone_changes_nothing(
    world: World, hospital: Caller, coordinator: Caller, admin: Caller
) -> None:
    who, asked, tasked = await refer(hospital)
    await join(world, admin, "hospital", "sees")
    refused(await move(coordinator, tasked, "cancelled"), 403, "forbidden")
    found = await coordinator.read(who)
    refused(await coordinator.update({**found, "gender": "female"}), 403, "forbidden")
    refused(await coordinator.send("DELETE", f"/{asked}"), 403, "forbidden")
    refused(await coordinator.send("POST", "/Task", task(who, asked)), 422, "business-rule")
    made = await coordinator.create(patient(managingOrganization=HOSPITAL))
    assert await see(hospital, reference(made)) == []


async def test_it_refers_on_behalf_of_a_member(
    world: World, hospital: Caller, ngo: Caller, acting: Caller, admin: Caller
) -> None:
    """What it names as the hospital's is the hospital's, and the ngo gets its package; the trail says who did it."""
    who = await acting.create(patient(managingOrganization=HOSPITAL))
    asked = await acting.create(service_request(reference(who), requester=HOSPITAL))
    noted = await acting.create({"resourceType": "Condition", "subject": {"reference": reference(who)}})
    asked = (await acting.update({**asked, "reasonReference": [{"reference": reference(noted)}]})).json()
    made = await acting.create(task(reference(who), reference(asked)))
    names = [reference(each) for each in (who, asked, noted, made)]
    for caller in (hospital, ngo, acting):
        assert await see(caller, *names) == names
    owners = await world.pool.fetch(
        "SELECT owner_org FROM patient UNION SELECT owner_org FROM service_request UNION SELECT owner_org FROM task "
        "UNION SELECT owner_org FROM condition"
    )
    assert [row[0] for row in owners] == ["hospital"]
    assert (await move(ngo, names[3], "accepted")).status_code == 200
    assert (await move(acting, names[3], "cancelled", statusReason={"text": "Moved"})).status_code == 200
    told = [await hospital.read(each) for each in await hospital.find(f"Provenance?target={names[3]}")]
    agents = [each["agent"][0] for each in told if "reference" in each["agent"][0]["who"]]
    assert len(agents) == 2
    for agent in agents:
        assert (agent["who"], agent["onBehalfOf"]) == ({"reference": NETWORK}, HOSPITAL)
    await check_trail(world, admin, names[3])


async def check_trail(world: World, admin: Caller, tasked: str) -> None:
    rows = await world.pool.fetch(
        "SELECT organization, acting_for, interaction FROM audit WHERE type || '/' || resource_id = $1 "
        "AND interaction IN ('create', 'update') ORDER BY id",
        tasked,
    )
    assert [tuple(row) for row in rows] == [
        ("network", "hospital", "create"),
        ("ngo", None, "update"),
        ("network", "hospital", "update"),
    ]
    [event] = (await admin.get(f"/AuditEvent?entity={tasked}&action=C")).json()["entry"]
    who = [each["who"].get("reference") for each in event["resource"]["agent"]]
    assert who[1:3] == [NETWORK, "Organization/hospital"]


async def test_a_transaction_on_behalf_of_a_member(hospital: Caller, ngo: Caller, acting: Caller) -> None:
    sent = bundle(
        "transaction",
        entry(
            "POST", "Patient", patient(managingOrganization=HOSPITAL), "urn:uuid:0c7c2d5e-6f0f-4f6d-9d5e-1f7e2b4a9c01"
        ),
        entry(
            "POST",
            "ServiceRequest",
            service_request("urn:uuid:0c7c2d5e-6f0f-4f6d-9d5e-1f7e2b4a9c01", requester=HOSPITAL),
            "urn:uuid:0c7c2d5e-6f0f-4f6d-9d5e-1f7e2b4a9c02",
        ),
        entry(
            "POST",
            "Task",
            task("urn:uuid:0c7c2d5e-6f0f-4f6d-9d5e-1f7e2b4a9c01", "urn:uuid:0c7c2d5e-6f0f-4f6d-9d5e-1f7e2b4a9c02"),
        ),
    )
    answer = await acting.send("POST", "", sent)
    assert answer.status_code == 200, answer.text
    made = [
        each["response"]["location"].partition("/_history")[0].removeprefix("http://handoff.test/fhir/")
        for each in answer.json()["entry"]
    ]
    for caller in (hospital, ngo):
        assert await see(caller, *made) == made


async def test_it_answers_for_a_member_that_was_asked(
    world: World, hospital: Caller, ngo: Caller, coordinator: Caller, admin: Caller
) -> None:
    who, _, tasked = await refer(hospital)
    await join(world, admin, "ngo", "acts")
    assert (await move(coordinator, tasked, "accepted")).status_code == 200
    noted = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "Meals a day"},
        "subject": {"reference": who},
        "performer": [{"reference": "Organization/ngo"}],
    }
    made = reference(await coordinator.create(noted))
    assert await see(hospital, made) == [made]
    assert await see(ngo, made) == [made]
    found = await coordinator.read(tasked)
    issue = refused(await coordinator.update({**found, "description": "Another"}), 422, "business-rule")
    assert issue["expression"] == ["Task.description"]


async def test_for_whom_it_does_not_act_it_does_not_ask(world: World, acting: Caller, admin: Caller) -> None:
    await world.organization("clinic")
    await join(world, admin, "clinic", "sees")
    who = reference(await acting.create(patient(managingOrganization=HOSPITAL)))
    asked = reference(await acting.create(service_request(who)))
    for each in ("clinic", "operator"):
        body = task(who, asked, requester={"reference": f"Organization/{each}"})
        issue = refused(await acting.send("POST", "/Task", body), 422, "business-rule")
        assert issue["expression"] == ["Task.requester"]


async def test_the_directory_of_its_members(world: World, acting: Caller, admin: Caller, hospital: Caller) -> None:
    await world.organization("clinic")
    await join(world, admin, "clinic", "sees")
    await world.organization("elsewhere")
    for each in ("hospital", "clinic"):
        found = await acting.read(f"Organization/{each}")
        assert (await acting.update({**found, "alias": ["The House"]})).status_code == 200
    found = await acting.read("Organization/elsewhere")
    refused(await acting.update({**found, "alias": ["The House"]}), 403, "forbidden")
    offer = {"resourceType": "HealthcareService", "active": True, "providedBy": HOSPITAL}
    made = await acting.create(offer)
    assert (await hospital.update({**made, "comment": "Ours"})).status_code == 200


async def shelter(hospital: Caller) -> Resource:
    entry = {"resourceType": "Location", "name": "The house", "managingOrganization": HOSPITAL, "meta": VIOLENCE}
    return await hospital.create({**entry, "address": {"text": "1 Hidden Lane"}})


async def test_a_members_shelter_stays_hidden(acting: Caller, hospital: Caller) -> None:
    made = await shelter(hospital)
    answer = await acting.get(f"/{reference(made)}")
    assert "Hidden" not in answer.text
    refused(await acting.update({**made, "name": "Another"}), 403)
    body = {name: value for name, value in made.items() if name not in ("id", "meta")}
    refused(await acting.send("POST", "/Location", {**body, "meta": VIOLENCE}), 422, "business-rule")


async def prepare_labelled(hospital: Caller, owner: str = "ngo") -> list[str]:
    """A referral about violence, shared under a Consent that names its owner alone."""
    who = reference(await hospital.create(patient(meta=VIOLENCE)))
    await hospital.create(consent(who, owner))
    asked = reference(await hospital.create(service_request(who, meta=VIOLENCE)))
    body = task(who, asked, owner={"reference": f"Organization/{owner}"}, meta=VIOLENCE)
    return [who, asked, reference(await hospital.create(body))]


@pytest.mark.parametrize("member", ["hospital", "ngo"])
async def test_what_is_labelled_reaches_only_whom_the_consent_names(
    world: World, hospital: Caller, ngo: Caller, coordinator: Caller, admin: Caller, member: str
) -> None:
    referral = await prepare_labelled(hospital)
    assert await see(ngo, *referral) == referral
    await join(world, admin, member, "acts")
    assert await see(coordinator, *referral) == []
    for each in ("Task", "ServiceRequest", "Patient"):
        assert (await coordinator.get(f"/{each}?_total=accurate")).json()["total"] == 0
        assert "entry" not in (await coordinator.get(f"/{each}/_history")).json()
    taken = await hospital.read(referral[2])
    refused(await coordinator.update({**taken, "status": "cancelled"}), 404)
    assert (await hospital.send("DELETE", f"/{referral[1]}")).status_code == 204
    assert (await coordinator.get(f"/{referral[1]}")).status_code == 404
    for path in (f"/{referral[1]}/_history", f"/{referral[1]}/_history/1"):
        assert (await coordinator.get(path)).status_code == 404


async def test_a_label_outlives_the_versions_that_had_it(world: World, hospital: Caller, acting: Caller) -> None:
    """Of a deletion whose versions were not kept nobody can tell what it was: it is taken for labelled."""
    labelled = reference(await hospital.create(patient(meta=VIOLENCE)))
    plain = reference(await hospital.create(patient()))
    for each in (labelled, plain):
        assert (await hospital.send("DELETE", f"/{each}")).status_code == 204
    assert [(await acting.get(f"/{each}")).status_code for each in (labelled, plain)] == [404, 410]
    assert await delete_versions(world.pool, 0, asyncio.Event()) >= 2
    assert [(await acting.get(f"/{each}")).status_code for each in (labelled, plain)] == [404, 404]
    assert (await hospital.get(f"/{labelled}")).status_code == 410


async def test_named_by_the_consent_it_sees(hospital: Caller, coordinator: Caller) -> None:
    referral = await prepare_labelled(hospital, "network")
    assert await see(coordinator, *referral) == referral


async def test_a_label_that_comes_hides_and_one_that_goes_shows(hospital: Caller, acting: Caller) -> None:
    made = await hospital.create(patient(gender="female"))
    made = (await hospital.update({**made, "meta": {**made["meta"], **VIOLENCE}})).json()
    assert await see(acting, reference(made)) == []
    assert (await acting.get(f"/{reference(made)}/_history/1")).status_code == 404
    bare = {name: value for name, value in made["meta"].items() if name != "security"}
    made = (await hospital.update({**made, "meta": bare})).json()
    assert await see(acting, reference(made)) == [reference(made)]
    assert (await acting.get(f"/{reference(made)}/_history/1")).status_code == 200
    assert (await acting.get(f"/{reference(made)}/_history/2")).status_code == 404
    normal = {"security": [{"system": VIOLENCE["security"][1]["system"], "code": "N"}]}
    made = (await hospital.update({**made, "meta": {**made["meta"], **normal}})).json()
    assert await see(acting, reference(made)) == [reference(made)]


async def test_it_writes_nothing_labelled_on_behalf(world: World, acting: Caller, hospital: Caller) -> None:
    body = patient(managingOrganization=HOSPITAL)
    refused(await acting.send("POST", "/Patient", {**body, "meta": VIOLENCE}), 422, "business-rule")
    made = await acting.create(body)
    refused(await acting.update({**made, "meta": {**made["meta"], **VIOLENCE}}), 422, "business-rule")
    assert await world.pool.fetchval("SELECT count(*) FROM patient") == 1


async def test_a_change_by_it_does_not_drop_what_it_does_not_see(hospital: Caller, ngo: Caller, acting: Caller) -> None:
    """The package of a referral holds a labelled Condition under a Consent: it stays when the coordinator writes."""
    who = reference(await hospital.create(patient()))
    found = await hospital.create({"resourceType": "Condition", "subject": {"reference": who}, "meta": VIOLENCE})
    condition = reference(found)
    await hospital.create(consent(who, "ngo"))
    asked = await hospital.create(service_request(who, reasonReference=[{"reference": condition}]))
    tasked = reference(await hospital.create(task(who, reference(asked))))
    assert await see(acting, who, condition, reference(asked), tasked) == [who, reference(asked), tasked]
    assert (await acting.update({**asked, "note": [{"text": "Soon"}]})).status_code == 200
    found = await acting.read(tasked)
    assert (await acting.update({**found, "priority": "urgent"})).status_code == 200
    assert await see(ngo, condition) == [condition]
    issue = refused(await acting.send("POST", "/Task", task(who, reference(asked), owner={"reference": NETWORK})), 422)
    assert condition not in issue["diagnostics"]


async def test_the_consents_that_it_keeps_for_a_member_count(hospital: Caller, ngo: Caller, acting: Caller) -> None:
    who, asked, tasked = await refer(hospital)
    denial = consent(who, "ngo", kind="deny")
    made = await acting.create(denial)
    assert await see(hospital, reference(made)) == [reference(made)]
    assert await see(ngo, who, asked) == []
    assert (await hospital.read(tasked))["status"] == "cancelled"


async def test_its_webhooks_hear_of_the_network(
    world: World,
    hospital: Caller,
    ngo: Caller,
    acting: Caller,
    admin: Caller,
    receiver: Receiver,
) -> None:
    body = {"url": f"{receiver.url}/compact", "events": ["referral-status-changed"]}
    assert (await acting.http.post("/admin/webhooks", json=body)).status_code == 201
    await acting.create(subscription(f"{receiver.url}/topic", "full-resource"))
    followed = {**subscription(f"{receiver.url}/search"), "criteria": "Patient?_lastUpdated=gt2020"}
    followed["channel"] = {
        "type": "rest-hook",
        "endpoint": f"{receiver.url}/search",
        "payload": "application/fhir+json",
    }
    await acting.create(followed)
    other = await world.caller("network", "referrer")
    await other.http.post("/admin/webhooks", json={**body, "url": f"{receiver.url}/referrer"})

    async def tell() -> set[tuple[str, str]]:
        """(endpoint, Task or Patient) of what has come, once everything was sent."""
        await look(world).look()

        async def settled() -> bool:
            await world.pool.execute("UPDATE webhook SET status = 'active' WHERE status = 'requested'")
            return not await world.pool.fetchval(
                "SELECT (SELECT count(*) FROM event WHERE fanned_out_at IS NULL)"
                " + (SELECT count(*) FROM delivery WHERE state = 'queued')"
            )

        async with delivering(world.pool, world.settings):
            await until(settled)
        return {
            (each.line.split("/hook/")[1].split("/")[0], name)
            for each in receiver.requests
            for name in named(each.line.encode() + each.body)
        }

    seen, hidden = await refer(hospital), await prepare_labelled(hospital)

    def named(text: bytes) -> list[str]:
        return [each for each in (seen[0], seen[2], *hidden) if each.encode() in text]

    told = await tell()
    assert told == {("compact", seen[2]), ("topic", seen[2]), ("topic", seen[0]), ("search", seen[0])}
    receiver.requests.clear()
    assert (await move(ngo, seen[2], "accepted")).status_code == 200
    await leave(world, admin, "hospital")
    assert await tell() == set()


async def test_the_subscriptions_of_its_members(world: World, hospital: Caller, acting: Caller, admin: Caller) -> None:
    """It sees and steers them; where they lead and under which secret is the member's own."""
    made = (
        await hospital.http.post(
            "/admin/webhooks", json={"url": "https://ehr.example/hook", "events": ["task-assigned"]}
        )
    ).json()
    address = f"/admin/webhooks/{made['id']}"
    [shown] = (await acting.http.get("/admin/webhooks")).json()["webhooks"]
    assert shown["organization"] == "Organization/hospital"
    assert (await acting.http.post(f"{address}/pause")).json()["status"] == "paused"
    assert (await acting.http.post(f"{address}/resume")).json()["status"] == "active"
    replay = {"webhook": made["id"], "fromNumber": 1}
    assert (await acting.http.post("/admin/delivery/replay", json=replay)).status_code == 200
    found = await acting.read(f"Subscription/{made['id']}")
    refused(await acting.update({**found, "status": "off"}), 403, "forbidden")
    assert (await acting.http.post(f"{address}/secret")).status_code == 404
    assert (await acting.send("POST", f"/Subscription/{made['id']}/$webhook-secret")).status_code == 404
    assert (await acting.http.delete(address)).status_code == 404
    body = {"url": "https://ehr.example/", "events": ["task-assigned"], "organization": "Organization/hospital"}
    assert (await acting.http.post("/admin/webhooks", json=body)).status_code == 403
    await leave(world, admin, "hospital")
    assert (await acting.http.get("/admin/webhooks")).json()["webhooks"] == []
    assert (await acting.http.get(address)).status_code == 404


async def test_dead_letters_about_what_is_labelled_stay_the_members(
    world: World, hospital: Caller, ngo: Caller, acting: Caller
) -> None:
    body = {"url": "https://ehr.example/hook", "events": ["referral-status-changed"]}
    await hospital.http.post("/admin/webhooks", json=body)
    seen, hidden = await refer(hospital), await prepare_labelled(hospital)
    rows = "INSERT INTO delivery (webhook_id, event_id, referral, number, due_at, state, ended_at) "
    await world.pool.execute(
        f"{rows} SELECT w.id, e.id, e.referral, e.id, now(), 'dead', now() FROM webhook w, event e "
        "WHERE e.topic = 'referral-status-changed'"
    )

    async def list_dead(caller: Caller) -> set[str]:
        dead = (await caller.http.get("/admin/delivery/dead")).json()["deliveries"]
        return {each["referral"] for each in dead}

    assert await list_dead(acting) == {seen[1]}
    assert await list_dead(hospital) == {seen[1], hidden[1]}


async def test_a_poll_is_told_anew_when_the_network_changes(
    world: World, hospital: Caller, acting: Caller, admin: Caller
) -> None:
    await refer(hospital)
    path = "/Task?_lastUpdated=gt1970-01-01"

    async def poll(**headers: str) -> httpx.Response:
        return await acting.get(path, **headers)

    first = await poll()
    assert len(first.json()["entry"]) == 1
    assert (await poll(If_None_Match=first.headers["etag"])).status_code == 304
    await leave(world, admin, "hospital")
    second = await poll(If_None_Match=first.headers["etag"])
    assert (second.status_code, "entry" in second.json()) == (200, False)


async def test_the_register_is_the_operators(
    world: World, hospital: Caller, coordinator: Caller, admin: Caller
) -> None:
    body = {"coordinator": NETWORK, "member": "Organization/hospital", "may": "sees"}
    named: Any = {name: body[name] for name in ("coordinator", "member")}
    for caller in (hospital, coordinator):
        assert (await caller.http.put("/admin/networks", json=body)).status_code == 403
        assert (await caller.http.get("/admin/networks")).status_code == 403
        assert (await caller.http.delete("/admin/networks", params=named)).status_code == 403
    made = (await admin.http.put("/admin/networks", json=body)).json()
    assert {**body, "since": made["since"]} == made
    changed = (await admin.http.put("/admin/networks", json={**body, "may": "acts"})).json()
    assert (await admin.http.get("/admin/networks")).json() == {"members": [changed]}
    assert changed == {**made, "may": "acts"}
    for wrong, status in (
        ({**body, "member": "Organization/nowhere"}, 404),
        ({**body, "member": NETWORK}, 400),
        ({**body, "may": "owns"}, 400),
        ({**body, "member": "Patient/x"}, 400),
        (named, 400),
    ):
        assert (await admin.http.put("/admin/networks", json=wrong)).status_code == status, wrong
    assert (await admin.http.delete("/admin/networks", params=named)).status_code == 204
    assert (await admin.http.delete("/admin/networks", params=named)).status_code == 404
    assert (await admin.http.delete("/admin/networks", params={"member": NETWORK})).status_code == 400
    rows = await world.pool.fetch(
        "SELECT interaction FROM audit WHERE interaction LIKE '%network hospital%' ORDER BY id"
    )
    assert [row[0] for row in rows] == [
        "PUT /admin/networks network hospital sees",
        "PUT /admin/networks network hospital acts",
        "DELETE /admin/networks network hospital",
    ]
