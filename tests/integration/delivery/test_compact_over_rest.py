"""A compact webhook of a client's own, over REST: made, given its secret, changed, stopped, removed."""

from typing import Any

import pytest
from standardwebhooks import Webhook

from app.core.data_dir import load_secret_key
from app.interactions.operate import OPERATOR
from app.interactions.webhooks import add_webhook
from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver
from tests.integration.delivery.test_delivery import delivering
from tests.integration.delivery.test_subscriptions import GONE, refer, subscription, until_status
from tests.integration.interactions.samples import patient, reference, service_request, task


def compact(url: str, events: str = "referral-status-changed,task-assigned", **channel: Any) -> Resource:
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Follow our referrals",
        "criteria": f"urn:warm-handoff:webhook?events={events}",
        "channel": {"type": "rest-hook", "endpoint": url, "payload": "application/json", **channel},
    }


async def make_secret(caller: Caller, created: Resource, body: Resource | None = None) -> str:
    answer = await caller.send("POST", f"/{reference(created)}/$webhook-secret", body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    [secret] = answer.json()["parameter"]
    assert secret["name"] == "secret"
    return str(secret["valueString"])


async def test_from_its_creation_to_its_end(world: World, hospital: Caller, receiver: Receiver) -> None:
    created = await hospital.create(compact(receiver.url, header=["X-Tenant: one"]))
    assert created["status"] == "requested"
    async with delivering(world.pool, world.settings):
        # Without a secret it is not asked: what verifies signatures could not say yes.
        await refer(hospital)
        secret = await make_secret(hospital, created)
        await until_status(world, hospital, created, "active")
        came = await receiver.wait_for(3)
        assert [each.json["type"] for each in came] == ["webhook-handshake", "referral-status-changed", "task-assigned"]
        for each in came:
            assert Webhook(secret).verify(each.body.decode(), each.headers)["id"] == each.headers["webhook-id"]
            assert each.headers["content-type"] == "application/json"
            assert each.headers["x-tenant"] == "one"
        assert came[0].json["subscription"] == reference(created)
        found = await hospital.find("Subscription?status=active")
        assert found == [reference(created)]
        active = await hospital.read(reference(created))
        off = await hospital.update({**active, "status": "off"})
        assert off.json()["status"] == "off"
        assert (await hospital.send("DELETE", f"/{reference(created)}")).status_code == 204
    assert await world.pool.fetchval("SELECT count(*) FROM webhook") == 0


async def test_a_secret_is_rotated_with_a_grace(world: World, hospital: Caller, receiver: Receiver) -> None:
    created = await hospital.create(subscription(receiver.url))
    first = await make_secret(hospital, created)
    second = await make_secret(hospital, created)
    async with delivering(world.pool, world.settings):
        [handshake] = await receiver.wait_for(1)
        await until_status(world, hospital, created, "active")
        assert len(handshake.headers["webhook-signature"].split()) == 2
        third = await make_secret(
            hospital, created, {"resourceType": "Parameters", "parameter": [{"name": "grace", "valueUnsignedInt": 0}]}
        )
        await refer(hospital)
        event = (await receiver.wait_for(2))[1]
    assert len({first, second, third}) == 3
    assert len(event.headers["webhook-signature"].split()) == 1
    Webhook(third).verify(event.body.decode(), event.headers)


async def test_whose_secret_it_is(world: World, hospital: Caller, ngo: Caller) -> None:
    created = await hospital.create(compact(GONE))
    path = f"/{reference(created)}/$webhook-secret"
    assert (await ngo.send("POST", path)).status_code == 404
    assert (await hospital.get(path)).status_code == 405
    reader = await world.caller("hospital", scopes="system/Subscription.rs")
    assert (await reader.send("POST", path)).status_code == 403
    for kind, value in (("valueUnsignedInt", 40_000_000), ("valueString", "soon"), ("valueUnsignedInt", -1)):
        body = {"resourceType": "Parameters", "parameter": [{"name": "grace", kind: value}]}
        assert (await hospital.send("POST", path, body)).status_code in (400, 422)
    assert await world.pool.fetchval("SELECT secret FROM webhook") is None


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"criteria": "urn:warm-handoff:webhook?events=nothing"}, "criteria"),
        ({"criteria": "urn:warm-handoff:webhook"}, "criteria"),
        ({"criteria": "urn:warm-handoff:webhook?events="}, "criteria"),
        ({"criteria": "urn:warm-handoff:webhook?events=task-assigned&reasonText=true"}, "criteria"),
        ({"criteria": "urn:warm-handoff:webhook?events=referral-status-changed&reasonText=yes"}, "criteria"),
        ({"channel": {"type": "rest-hook", "endpoint": GONE, "payload": "application/fhir+json"}}, "channel.payload"),
        ({"channel": {"type": "email", "endpoint": GONE, "payload": "application/json"}}, "channel.type"),
        (
            {"channel": {"type": "rest-hook", "endpoint": "https://10.0.0.1/", "payload": "application/json"}},
            "channel.endpoint",
        ),
    ],
)
async def test_what_is_refused(hospital: Caller, change: Resource, where: str) -> None:
    answer = await hospital.send("POST", "/Subscription", {**compact(GONE), **change})
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (422, [f"Subscription.{where}"])


async def test_what_the_token_may_not_read_is_not_subscribed_to(world: World) -> None:
    narrow = await world.caller("hospital", scopes="system/Subscription.cruds system/CarePlan.r")
    for wanted in (compact(GONE), subscription(GONE)):
        assert (await narrow.send("POST", "/Subscription", wanted)).status_code == 403
    await narrow.create(compact(GONE, "care-plan-changed"))


async def test_one_that_the_operator_made_is_its_organisations(world: World, hospital: Caller, ngo: Caller) -> None:
    key = load_secret_key(world.settings)
    made, _ = await add_webhook(world.hub, OPERATOR, key, GONE, "Organization/hospital", ["task-assigned"])
    found = await hospital.read(f"Subscription/{made}")
    assert (await ngo.get(f"/Subscription/{made}")).status_code == 404
    assert (await hospital.update({**found, "status": "off"})).status_code == 200
    assert await world.pool.fetchval("SELECT status FROM webhook") == "off"
    assert (await hospital.send("DELETE", f"/Subscription/{made}")).status_code == 204


WORDS = "No bed is free"
CODED = {"coding": [{"code": "full"}], "text": WORDS}
RESTRICTED = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}


async def tell_refusals(world: World, hospital: Caller, receiver: Receiver, **labels: Resource) -> dict[str, Any]:
    """The statusReason of a cancelled referral as each webhook of the hospital was told it."""
    key = load_secret_key(world.settings)
    events = ["referral-status-changed"]
    for name in (True, False):
        url = f"{receiver.url}/operator/{name}"
        await add_webhook(world.hub, OPERATOR, key, url, "Organization/hospital", events, reason_text=name)
        body = {"url": f"{receiver.url}/admin/{name}", "events": events, "reasonText": name}
        answer = await hospital.http.post("/admin/webhooks", json=body)
        assert answer.json()["reasonText"] is name
        asked = f"{events[0]}&reasonText=true" if name else events[0]
        made = await hospital.create(compact(f"{receiver.url}/fhir/{name}", asked))
        await make_secret(hospital, made)
    who = await hospital.create(patient())
    request = await hospital.create(service_request(reference(who), **labels))
    made = await hospital.create(task(reference(who), reference(request)))
    answer = await hospital.update({**made, "status": "cancelled", "statusReason": CODED})
    assert answer.status_code == 200, answer.text
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(3 * 2 * 2 + 2)
    last = [each for each in came if each.json.get("version") == "2"]
    return {each.line.split("/hook/")[1]: each.json.get("statusReason") for each in last}


async def test_the_words_of_a_reason_are_told_where_they_were_asked_for(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    told = await tell_refusals(world, hospital, receiver)
    doors = ("operator", "admin", "fhir")
    assert told == {
        f"{each}/{asked}": {"code": "full", "text": WORDS} if asked else {"code": "full"}
        for each in doors
        for asked in (True, False)
    }
    kept = await world.pool.fetch("SELECT facts FROM event UNION ALL SELECT answer FROM attempt")
    assert WORDS not in str(kept)


async def test_a_label_forbids_the_words_of_a_reason(world: World, hospital: Caller, receiver: Receiver) -> None:
    told = await tell_refusals(world, hospital, receiver, meta=RESTRICTED)
    assert set(told.values()) == {None}
    assert len(told) == 6
    assert WORDS.encode() not in b"".join(each.body for each in receiver.requests)


async def test_a_label_that_comes_later_forbids_what_is_queued(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    key = load_secret_key(world.settings)
    events = ["referral-status-changed"]
    await add_webhook(world.hub, OPERATOR, key, receiver.url, "Organization/hospital", events, reason_text=True)
    made = await refer(hospital)
    cancelled = await hospital.update({**made, "status": "cancelled", "statusReason": {"text": WORDS}})
    assert (await hospital.update({**cancelled.json(), "meta": {**cancelled.json()["meta"], **RESTRICTED}})).is_success
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(2)
    assert [each.json.get("version") for each in came] == ["1", "2"]
    assert WORDS.encode() not in b"".join(each.body for each in came)


async def test_a_reason_in_words_alone_is_told_without_a_code(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    key = load_secret_key(world.settings)
    events = ["referral-status-changed", "task-assigned"]
    await add_webhook(world.hub, OPERATOR, key, receiver.url, "Organization/hospital", events, reason_text=True)
    made = await refer(hospital, statusReason={"text": WORDS})
    await hospital.update({**made, "status": "cancelled", "statusReason": {"text": WORDS}})
    async with delivering(world.pool, world.settings):
        came = [each.json for each in await receiver.wait_for(3)]
    told = {(each["type"], each["version"]): each.get("statusReason") for each in came}
    changed = "referral-status-changed"
    assert told == {(changed, "1"): {"text": WORDS}, ("task-assigned", "1"): None, (changed, "2"): {"text": WORDS}}
