"""A Subscription over REST: refused or served, its handshake, and what its notifications say."""

import asyncio
from typing import Any

import pytest
from standardwebhooks import Webhook

from app.core.data_dir import load_secret_key
from app.core.errors import BusinessRule
from app.delivery.fan_out import fan_out
from app.fhir.validation import validate
from app.interactions.operate import OPERATOR
from app.interactions.webhook_status import show_statuses
from app.interactions.webhooks import add_webhook, change_secret
from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver, Request
from tests.integration.delivery.test_delivery import delivering
from tests.integration.interactions.samples import bundle, entry, patient, reference, service_request, task
from tests.waiting import until

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
GUIDE = "http://hl7.org/fhir/us/sdoh-clinicalcare/SubscriptionTopic"
CONTENT = f"{BACKPORT}/backport-payload-content"
LABEL = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}


GONE = "https://ehr.example/hook"
"""Where nobody is."""


def subscription(
    url: str, content: str = "id-only", topic: str = f"{GUIDE}/Task", filters: tuple[str, ...] = (), **channel: Any
) -> Resource:
    found: Resource = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Follow our referrals",
        "criteria": topic,
        "channel": {
            "type": "rest-hook",
            "endpoint": url,
            "payload": "application/fhir+json",
            "_payload": {"extension": [{"url": CONTENT, "valueCode": content}]},
            **channel,
        },
    }
    if filters:
        extension = [{"url": f"{BACKPORT}/backport-filter-criteria", "valueString": each} for each in filters]
        found["_criteria"] = {"extension": extension}
    return found


async def until_status(world: World, caller: Caller, created: Resource, status: str) -> Resource:
    """The Subscription, once it shows this status."""

    async def shown() -> bool:
        await show_statuses(world.hub)
        return bool((await caller.read(reference(created)))["status"] == status)

    await until(shown)
    return await caller.read(reference(created))


def parameters(request: Request) -> dict[str, Any]:
    """The status parameters by name, their values bare."""
    [first] = [
        entry for entry in request.json["entry"] if entry.get("resource", {}).get("resourceType") == "Parameters"
    ]
    return {each["name"]: bare(each) for each in first["resource"]["parameter"]}


def bare(parameter: Resource) -> Any:
    if "part" in parameter:
        return {each["name"]: bare(each) for each in parameter["part"]}
    value = next(value for name, value in parameter.items() if name.startswith("value"))
    return value.get("reference", value) if isinstance(value, dict) else value


async def refer(hospital: Caller, **more: Any) -> Resource:
    """A Task to the ngo."""
    subject = reference(await hospital.create(patient()))
    request = await hospital.create(service_request(subject))
    return await hospital.create(task(subject, reference(request), **more))


async def move(caller: Caller, created: Resource, status: str) -> None:
    found = await caller.read(reference(created))
    answer = await caller.update({**found, "status": status})
    assert answer.status_code == 200, answer.text


async def test_handshake_then_each_version_with_its_own_content(
    world: World, hospital: Caller, ngo: Caller, receiver: Receiver
) -> None:
    header = ["Authorization: Bearer of-the-ehr", "X-Tenant: one"]
    wanted = subscription(receiver.url, "full-resource", filters=("Task?owner=Organization/ngo",), header=header)
    created = await hospital.create(wanted)
    assert created["status"] == "requested"
    made = await refer(hospital)
    await move(ngo, made, "accepted")
    await move(ngo, made, "in-progress")
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(4)
        active = await until_status(world, hospital, created, "active")
    assert "error" not in active
    for each in came:
        assert each.headers["content-type"] == "application/fhir+json"
        assert each.headers["authorization"] == "Bearer of-the-ehr"
        assert each.headers["x-tenant"] == "one"
        assert "webhook-signature" not in each.headers
        assert each.json["type"] == "history"
        assert all("request" in entry and "response" in entry for entry in each.json["entry"])
        assert [issue for issue in validate(each.json) if issue.severity == "error"] == []
        assert parameters(each)["subscription"] == f"http://handoff.test/fhir/Subscription/{created['id']}"
        assert parameters(each)["topic"] == f"{GUIDE}/Task"
    first, *events = came
    assert (parameters(first)["type"], parameters(first)["status"]) == ("handshake", "requested")
    assert len(first.json["entry"]) == 1
    assert first.json["entry"][0]["request"]["url"].endswith(f"/Subscription/{created['id']}/$status")
    focus = f"http://handoff.test/fhir/Task/{made['id']}"
    for number, each in enumerate(events, start=1):
        said = parameters(each)
        assert (said["type"], said["status"]) == ("event-notification", "active")
        assert said["events-since-subscription-start"] == str(number)
        assert said["notification-event"]["event-number"] == str(number)
        assert said["notification-event"]["focus"] == focus
        assert each.json["entry"][1]["fullUrl"] == focus
    # Each notification tells the version of its event, though the Task had moved on before the first was sent.
    resources = [each.json["entry"][1]["resource"] for each in events]
    assert [each["status"] for each in resources] == ["requested", "accepted", "in-progress"]
    assert [each["meta"]["versionId"] for each in resources] == ["1", "2", "3"]
    assert [each.json["entry"][1]["request"]["method"] for each in events] == ["POST", "PUT", "PUT"]


@pytest.mark.parametrize("content", ["empty", "id-only"])
async def test_no_more_than_the_content_asked_for(
    world: World, hospital: Caller, receiver: Receiver, content: str
) -> None:
    await hospital.create(subscription(receiver.url, content))
    made = await refer(hospital)
    async with delivering(world.pool, world.settings):
        _, event = await receiver.wait_for(2)
    entries = event.json["entry"]
    assert parameters(event)["notification-event"]["event-number"] == "1"
    if content == "empty":
        assert len(entries) == 1
        assert "focus" not in parameters(event)["notification-event"]
        assert made["id"] not in event.body.decode()
    else:
        assert "resource" not in entries[1]
        assert entries[1]["fullUrl"] == f"http://handoff.test/fhir/Task/{made['id']}"


async def test_what_is_labelled_goes_by_its_id_alone(world: World, hospital: Caller, receiver: Receiver) -> None:
    await hospital.create(subscription(receiver.url, "full-resource"))
    await refer(hospital, meta=LABEL)
    async with delivering(world.pool, world.settings):
        _, event = await receiver.wait_for(2)
    assert "focus" in parameters(event)["notification-event"]
    assert "resource" not in event.json["entry"][1]


async def test_a_deletion_is_told_without_content(world: World, hospital: Caller, receiver: Receiver) -> None:
    await hospital.create(subscription(receiver.url, "full-resource"))
    made = await refer(hospital)
    assert (await hospital.send("DELETE", f"/{reference(made)}")).status_code == 204
    async with delivering(world.pool, world.settings):
        event = (await receiver.wait_for(3))[2]
    assert event.json["entry"][1]["request"] == {"method": "DELETE", "url": reference(made)}
    assert "resource" not in event.json["entry"][1]


async def test_filters_are_met_all_together(world: World, hospital: Caller, receiver: Receiver) -> None:
    both = ("Task.status=accepted,rejected", "owner=Organization/ngo&requester=Organization/hospital")
    await hospital.create(subscription(receiver.url, filters=both))
    await hospital.create(subscription(receiver.url, filters=("status=accepted", "owner=Organization/elsewhere")))
    await hospital.create(subscription(receiver.url, filters=("code=http://hl7.org/fhir/CodeSystem/task-code|abort",)))
    ngo = await world.caller("ngo", "provider")
    made = await refer(hospital)
    await move(ngo, made, "accepted")
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(4)
    await until_settled(world)
    assert sorted(parameters(each)["type"] for each in came) == ["event-notification", *["handshake"] * 3]
    [event] = [each for each in came if parameters(each)["type"] == "event-notification"]
    assert event.json["entry"][1]["response"]["etag"] == 'W/"2"'
    assert await world.pool.fetchval("SELECT count(*) FROM delivery") == 1


async def test_last_updated_as_a_filter_compares_as_a_search_does(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    stamp = (await refer(hospital))["meta"]["lastUpdated"]
    fits = [f"_lastUpdated={each}" for each in (stamp, f"ge{stamp}", f"le{stamp}", f"ap{stamp[:10]}", "lt2020,gt2020")]
    others = [f"_lastUpdated={each}" for each in (f"gt{stamp}", f"lt{stamp}", f"ne{stamp}", "lt2020,eb2021")]
    made = {each: await hospital.create(subscription(receiver.url, filters=(each,))) for each in (*fits, *others)}
    async with world.pool.acquire() as connection:
        await fan_out(connection)
    told = {row[0] for row in await world.pool.fetch("SELECT webhook_id FROM delivery")}
    assert {each for each in made if made[each]["id"] in told} == set(fits)
    for each in made:
        assert bool(await hospital.find(f"Task?{each}")) is (made[each]["id"] in told), each


async def test_an_organisation_has_no_more_subscriptions_than_the_setting_says(world: World, hospital: Caller) -> None:
    hub = world.app.state.hub
    hub.settings = world.settings.model_copy(update={"max_subscriptions": 2})
    first = await hospital.create(subscription(GONE))
    await add_webhook(hub, OPERATOR, hub.secret_key, GONE, "Organization/hospital", ["task-assigned"])
    for answer in (
        await hospital.send("POST", "/Subscription", subscription(GONE)),
        await hospital.send("POST", "", bundle("transaction", entry("POST", "Subscription", subscription(GONE)))),
    ):
        assert answer.status_code == 422
        assert answer.json()["issue"][0]["code"] == "business-rule"
        assert "HANDOFF_MAX_SUBSCRIPTIONS" in answer.json()["issue"][0]["diagnostics"]
    with pytest.raises(BusinessRule):
        await add_webhook(hub, OPERATOR, hub.secret_key, GONE, "Organization/hospital", ["task-assigned"])
    assert (await hospital.update({**first, "status": "off"})).status_code == 200
    assert (await hospital.send("DELETE", f"/{reference(first)}")).status_code == 204
    await hospital.create(subscription(GONE))
    await (await world.caller("ngo")).create(subscription(GONE))


async def until_settled(world: World) -> None:
    """Until every event has been fanned out."""

    async def settled() -> bool:
        return bool(await world.pool.fetchval("SELECT count(*) FROM event WHERE fanned_out_at IS NULL") == 0)

    await until(settled)


async def test_a_service_request_is_told_of_when_it_changes(world: World, hospital: Caller, receiver: Receiver) -> None:
    await hospital.create(subscription(receiver.url, "full-resource", f"{GUIDE}/Servicerequest"))
    subject = reference(await hospital.create(patient()))
    request = await hospital.create(service_request(subject))
    await move(hospital, request, "on-hold")
    async with delivering(world.pool, world.settings):
        _, event = await receiver.wait_for(2)
    assert event.json["entry"][1]["resource"]["status"] == "on-hold"
    assert await world.pool.fetchval("SELECT count(*) FROM delivery") == 1


async def test_our_own_topics(world: World, hospital: Caller, receiver: Receiver) -> None:
    await hospital.create(subscription(receiver.url, topic="urn:warm-handoff:topic:referral-status-changed"))
    ngo = await world.caller("ngo", "provider")
    made = await refer(hospital)
    await move(ngo, made, "accepted")
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(3)
    assert parameters(came[2])["topic"] == "urn:warm-handoff:topic:referral-status-changed"
    assert parameters(came[2])["notification-event"]["event-number"] == "2"


async def test_who_may_not_see_it_hears_nothing(world: World, hospital: Caller, receiver: Receiver) -> None:
    stranger = await world.caller("stranger")
    await stranger.create(subscription(receiver.url))
    await refer(hospital)
    async with delivering(world.pool, world.settings):
        await receiver.wait_for(1)
        await until_settled(world)
    assert await world.pool.fetchval("SELECT count(*) FROM delivery") == 0


async def test_the_authorization_is_asked_again_when_it_is_sent(
    world: World, hospital: Caller, ngo: Caller, receiver: Receiver
) -> None:
    held = asyncio.Event()

    async def hold_handshake(_: Request) -> tuple[int, dict[str, str]]:
        await held.wait()
        return 204, {}

    receiver.answer = hold_handshake
    await ngo.create(subscription(receiver.url, "full-resource"))
    made = await refer(hospital)
    async with delivering(world.pool, world.settings):
        await until_settled(world)
        await world.pool.execute("UPDATE task SET assigned_org = NULL, shared_with = '{}' WHERE id = $1", made["id"])
        held.set()

        async def withdrawn() -> bool:
            return bool(await world.pool.fetchval("SELECT state FROM delivery") == "withdrawn")

        await until(withdrawn)
    assert [parameters(each)["type"] for each in receiver.requests] == ["handshake"]


async def test_a_failed_handshake_is_an_error_and_the_client_asks_again(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    answers = iter([404, 200, 200])

    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return next(answers), {}

    receiver.answer = answer
    created = await hospital.create(subscription(receiver.url))
    async with delivering(world.pool, world.settings):
        failed = await until_status(world, hospital, created, "error")
        assert failed["error"] == "handshake: answered 404"
        await refer(hospital)  # what happens meanwhile counts, and comes once it is active
        answered = await hospital.update({**failed, "status": "requested"})
        assert answered.status_code == 200, answered.text
        assert "error" not in answered.json()
        await until_status(world, hospital, created, "active")
        came = await receiver.wait_for(3)
    assert [parameters(each)["type"] for each in came] == ["handshake", "handshake", "event-notification"]


async def test_signed_once_a_secret_was_made(world: World, hospital: Caller, receiver: Receiver) -> None:
    created = await hospital.create(subscription(receiver.url))
    secret = await change_secret(world.hub, OPERATOR, load_secret_key(world.settings), created["id"], 0)
    await refer(hospital)
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(2)
    for each in came:
        assert Webhook(secret).verify(each.body.decode(), each.headers)["resourceType"] == "Bundle"


async def test_off_and_deleted_hear_nothing_more(world: World, hospital: Caller, receiver: Receiver) -> None:
    created = await hospital.create(subscription(receiver.url))
    off = await hospital.update({**created, "status": "off"})
    assert off.json()["status"] == "off"
    other = await hospital.create(subscription(receiver.url))
    assert (await hospital.send("DELETE", f"/{reference(other)}")).status_code == 204
    await refer(hospital)
    async with delivering(world.pool, world.settings):
        await until_settled(world)
    assert receiver.requests == []
    [left] = await world.pool.fetch("SELECT id, status FROM webhook")
    assert tuple(left) == (created["id"], "off")


async def test_another_organisation_neither_sees_nor_changes_it(
    world: World, hospital: Caller, ngo: Caller, receiver: Receiver
) -> None:
    created = await hospital.create(subscription(receiver.url))
    assert (await ngo.get(f"/{reference(created)}")).status_code == 404
    assert (await ngo.update(created)).status_code == 404
    assert (await ngo.send("DELETE", f"/{reference(created)}")).status_code == 404


async def test_a_refusal_leaves_nothing_behind(world: World, hospital: Caller) -> None:
    for wanted, where, code in (
        (subscription("https://ehr.example/hook", topic=f"{GUIDE}/Observation"), "criteria", "not-supported"),
        (subscription("https://10.0.0.1/hook"), "channel.endpoint", "processing"),
        (subscription("https://ehr.example/hook", type="websocket"), "channel.type", "not-supported"),
        (subscription("https://ehr.example/hook", filters=("priority=urgent",)), "criteria.extension", "processing"),
        (subscription("https://ehr.example/hook", topic="urn:warm-handoff:webhook?events=x"), "criteria", "processing"),
    ):
        answer = await hospital.send("POST", "/Subscription", wanted)
        assert answer.status_code == 422, answer.text
        [issue] = answer.json()["issue"]
        assert (issue["code"], issue["expression"]) == (code, [f"Subscription.{where}"])
    assert await world.pool.fetchval("SELECT (SELECT count(*) FROM webhook) + (SELECT count(*) FROM subscription)") == 0
