"""The leak suite's doors of delivery: who is sent what, for each topic, payload content and kind of event.

Everyone subscribes to everything. The hospital's own things are sent to nobody else, and what it has labelled not even
to itself; the partner is sent what is shared with it; a stranger and a coordinator are sent nothing.
"""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from app.delivery import fan_out as dispatcher
from app.delivery.send import Sender
from app.delivery.telling import CONTENTS
from app.delivery.topics import SUBSCRIPTION_TOPICS
from app.interactions.operate import OPERATOR
from app.interactions.overdue import tell_overdue
from app.interactions.webhooks import add_webhook
from app.referral.events import TOPICS
from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver, Request, open_receiver
from tests.integration.delivery.test_classic import classic, look
from tests.integration.delivery.test_delivery import delivering
from tests.integration.delivery.test_subscriptions import subscription
from tests.integration.interactions.samples import patient, reference, service_request, task
from tests.waiting import until

ROLES = {"hospital": "referrer", "ngo": "provider", "stranger": "referrer", "network": "coordinator"}
FOLLOWED = ("Patient", "ServiceRequest", "Task", "CarePlan", "Procedure", "Consent", "Provenance")
CANARY, LABELLED, SHARED = "CANARY", "LABELLED", "CANARI"
RESTRICTED = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}
EVENT = re.compile(rb'"event-notification"')


async def subscribe(world: World, caller: Caller, receiver: Receiver) -> dict[str, str]:
    """Everything that an organisation can subscribe to; what each Subscription asks for, by its id."""
    asked = {}
    here = f"{receiver.url}/{caller.organization}"
    for topic in SUBSCRIPTION_TOPICS:
        for content in CONTENTS:
            name = f"{topic.name}.{content}"
            made = await caller.create(subscription(f"{here}/{name}", content, topic.canonical))
            asked[made["id"]] = name
    for followed in FOLLOWED:
        for name, more in ((f"{followed}.full", {"payload": "application/fhir+json"}), (f"{followed}.none", {})):
            made = await caller.create(classic(f"{here}/{name}", f"{followed}?_lastUpdated=gt2020", **more))
            asked[made["id"]] = name
    key = world.hub.secret_key
    made_id, _ = await add_webhook(
        world.hub, OPERATOR, key, f"{here}/compact", f"Organization/{caller.organization}", TOPICS, reason_text=True
    )
    return {**asked, made_id: "compact"}


async def play(world: World, hospital: Caller, text: str, owner: str, **labels: Resource) -> set[str]:
    """Every kind of event of a referral that says ``text`` wherever it may; the references of its resources."""
    who = await hospital.create(patient(None, name=[{"family": text}], **labels))
    asked = await hospital.create(service_request(reference(who), code={"text": text}, **labels))
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    wanted = {
        "status": "draft",
        "owner": {"reference": f"Organization/{owner}"},
        "description": text,
        "restriction": {"period": {"end": past}},
        **labels,
    }
    made = await hospital.create(task(reference(who), reference(asked), **wanted))
    made = (await hospital.update({**made, "status": "requested"})).json()
    plan = {
        "resourceType": "CarePlan",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": reference(who)},
        "description": text,
        "activity": [{"reference": {"reference": reference(asked)}}],
        **labels,
    }
    planned = await hospital.create(plan)
    assert (await hospital.update({**planned, "title": text})).status_code == 200
    assert (await hospital.update({**asked, "note": [{"text": text}]})).status_code == 200
    await tell_overdue(world.hub)
    made = await hospital.read(reference(made))
    cancelled = await hospital.update({**made, "status": "cancelled", "statusReason": {"text": text}})
    assert cancelled.status_code == 200, cancelled.text
    for each in (planned, made):
        assert (await hospital.send("DELETE", f"/{reference(each)}")).status_code == 204
    return {reference(each) for each in (who, asked, made, planned)}


async def deliver(world: World) -> None:
    """Until everything was sent, or withheld."""
    await look(world).look()

    async def settled() -> bool:
        return not await world.pool.fetchval(
            "SELECT (SELECT count(*) FROM event WHERE fanned_out_at IS NULL)"
            " + (SELECT count(*) FROM delivery WHERE state = 'queued')"
            " + (SELECT count(*) FROM webhook WHERE status = 'requested')"
        )

    async with delivering(world.pool, world.settings):
        await until(settled)


def sort_by_receiver(requests: list[Request]) -> dict[str, dict[str, list[Request]]]:
    """What came about events, by organisation and by what it had asked for."""
    found: dict[str, dict[str, list[Request]]] = defaultdict(lambda: defaultdict(list))
    for each in requests:
        path = each.line.split(" ")[1].removeprefix("/hook/").split("/")
        if b'"handshake"' not in each.body and b'"webhook-handshake"' not in each.body:
            found[path[0]][path[1]].append(each)
    return found


def say_all(requests: dict[str, list[Request]]) -> str:
    return "\n".join(each.line + each.body.decode() for several in requests.values() for each in several)


@pytest.mark.parametrize("layer", ["both", "the audience at fan-out alone", "the look at sending alone"])
async def test_what_is_not_shared_is_sent_to_nobody_else(
    world: World, monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    callers = {name: await world.caller(name, role) for name, role in ROLES.items()}
    hospital = callers["hospital"]
    if layer == "the look at sending alone":
        audience = " AND w.organization = ANY(b.hearers) AND (w.network OR w.organization = ANY(b.audience))"
        assert audience in dispatcher.FAN_OUT
        monkeypatch.setattr(dispatcher, "FAN_OUT", dispatcher.FAN_OUT.replace(audience, ""))
    if layer == "the audience at fan-out alone":
        monkeypatch.setattr(Sender, "find_barred", nothing_is_barred)
    async with open_receiver() as receiver:
        asked = {name: await subscribe(world, caller, receiver) for name, caller in callers.items()}
        secret = await play(world, hospital, CANARY, "hospital")
        secret |= await play(world, hospital, LABELLED, "hospital", meta=RESTRICTED)
        shared = await play(world, hospital, SHARED, "ngo")
        await deliver(world)
        sent = sort_by_receiver(receiver.requests)
    assert set(sent) == {"hospital", "ngo"}, "somebody was sent what is nothing to do with it"
    told = say_all(sent["ngo"])
    assert CANARY not in told
    assert LABELLED not in told + say_all(sent["hospital"]), "what is labelled leaves by its id alone"
    assert [each for each in secret if each in told] == []
    assert [each for each in shared if each in told]
    for name, caller in callers.items():
        if name != "hospital":
            for each in asked[name]:
                past = await caller.get(f"/Subscription/{each}/$events?eventsSinceNumber=1&content=full-resource")
                assert CANARY not in past.text
                assert [each for each in secret if each in past.text] == []
    check_the_hospital(sent["hospital"])


async def nothing_is_barred(_sender: Sender, _claims: object) -> set[int]:
    return set()


def check_the_hospital(sent: dict[str, list[Request]]) -> None:
    """The control: its owner is sent everything, by each topic and in each form, as much as was asked for."""
    wanted = {f"{topic.name}.{content}" for topic in SUBSCRIPTION_TOPICS for content in CONTENTS} | {"compact"}
    assert wanted - set(sent) == set()
    for topic in SUBSCRIPTION_TOPICS:
        whole, ids, empty = (
            say_all({"": sent[f"{topic.name}.{each}"]}) for each in ("full-resource", "id-only", "empty")
        )
        assert CANARY in whole
        assert CANARY not in ids + empty
        assert f"{topic.resource_type}/" in ids
        assert f"{topic.resource_type}/" not in empty
    assert CANARY in say_all({"": sent["Patient.full"]})
    assert CANARY in say_all({"": sent["compact"]}), "it asked for the words of a reason"
