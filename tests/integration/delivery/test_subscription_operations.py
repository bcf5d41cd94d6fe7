"""$status, $events and $resend of a Subscription."""

from typing import Any

import pytest

from app.core.data_dir import load_secret_key
from app.delivery.fan_out import fan_out
from app.fhir.validation import validate
from app.interactions.operate import OPERATOR
from app.interactions.webhooks import add_webhook
from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver
from tests.integration.delivery.test_delivery import delivering, until_states
from tests.integration.delivery.test_subscriptions import (
    GONE,
    bare,
    move,
    parameters,
    refer,
    subscription,
    until_status,
)
from tests.integration.interactions.samples import reference


def statuses(bundle: Resource) -> list[dict[str, Any]]:
    """The parameters of each status of a searchset."""
    assert [issue for issue in validate(bundle) if issue.severity == "error"] == []
    assert (bundle["type"], bundle["total"]) == ("searchset", len(bundle.get("entry", ())))
    return [{each["name"]: bare(each) for each in entry["resource"]["parameter"]} for entry in bundle.get("entry", ())]


def numbers(bundle: Resource) -> list[str]:
    """The numbers of the events of a notification."""
    assert [issue for issue in validate(bundle) if issue.severity == "error"] == []
    events = [each for each in bundle["entry"][0]["resource"]["parameter"] if each["name"] == "notification-event"]
    return [bare(each)["event-number"] for each in events]


async def ask(caller: Caller, path: str) -> Resource:
    answer = await caller.get(f"/Subscription/{path}")
    assert answer.status_code == 200, answer.text
    found: Resource = answer.json()
    return found


async def fan_out_all(world: World) -> None:
    async with world.pool.acquire() as connection:
        while (await fan_out(connection))[0]:
            pass


async def test_the_status_of_one_and_of_all(world: World, hospital: Caller, ngo: Caller) -> None:
    first, second = [await hospital.create(subscription(GONE)) for _ in range(2)]
    await ngo.create(subscription(GONE))
    await world.pool.execute(
        "UPDATE webhook SET status = 'error', error = 'handshake: answered 500', last_number = 7 WHERE id = $1",
        first["id"],
    )
    [one] = statuses(await ask(hospital, f"{first['id']}/$status?id=other&status=active"))
    assert one == {
        "subscription": f"http://handoff.test/fhir/Subscription/{first['id']}",
        "topic": first["criteria"],
        "status": "error",
        "type": "query-status",
        "events-since-subscription-start": "7",
        "error": {"text": "handshake: answered 500"},
    }
    for query, found in (
        ("", [first, second]),
        (f"?id={second['id']}", [second]),
        (f"?id={second['id']}&id={first['id']}", [first, second]),
        ("?status=requested", [second]),
        ("?status=requested&status=error", [first, second]),
        (f"?id={first['id']}&status=active", []),
        ("?id=nothing", []),
    ):
        told = statuses(await ask(hospital, f"$status{query}"))
        assert [each["subscription"].rpartition("/")[2] for each in told] == [each["id"] for each in found], query


async def test_the_status_by_post(hospital: Caller) -> None:
    made = await hospital.create(subscription(GONE))
    for path in ("/Subscription/$status", f"/Subscription/{made['id']}/$status"):
        body = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueId": made["id"]}]}
        for sent in (None, body):
            answer = await hospital.send("POST", path, sent)
            assert answer.status_code == 200, answer.text
            assert len(statuses(answer.json())) == 1


async def test_the_status_of_a_compact_webhook(world: World, hospital: Caller) -> None:
    key = load_secret_key(world.settings)
    events = ["task-assigned", "care-plan-changed"]
    made, _ = await add_webhook(world.hub, OPERATOR, key, GONE, "Organization/hospital", events)
    [one] = statuses(await ask(hospital, "$status"))
    assert one["subscription"].endswith(made)
    assert "topic" not in one


async def test_what_a_call_is_refused_for(hospital: Caller, ngo: Caller) -> None:
    made = await hospital.create(subscription(GONE))
    own = made["id"]
    for path, status, code in (
        ("$status?colour=red", 400, "not-supported"),
        ("$status?status=asleep", 400, "invalid"),
        ("$status?id=a/b", 400, "invalid"),
        (f"{own}/$status?since=1", 400, "not-supported"),
        (f"{own}/$events?eventsSinceNumber=0", 400, "invalid"),
        (f"{own}/$events?eventsSinceNumber=one", 400, "invalid"),
        (f"{own}/$events?eventsSinceNumber=1&eventsSinceNumber=2", 400, "invalid"),
        (f"{own}/$events?eventsSinceNumber=3&eventsUntilNumber=2", 400, "invalid"),
        (f"{own}/$events?content=everything", 400, "invalid"),
        ("nothing/$status", 404, "not-found"),
        ("nothing/$events", 404, "not-found"),
        (f"{own}/$resend", 405, "not-supported"),
    ):
        answer = await hospital.get(f"/Subscription/{path}")
        assert (answer.status_code, answer.json()["issue"][0]["code"]) == (status, code), path
    for body in (None, {"resourceType": "Parameters"}, {"resourceType": "Task"}):
        assert (await hospital.send("POST", f"/Subscription/{own}/$resend", body)).status_code == 400
    for operation in ("$status", "$events"):
        assert (await ngo.get(f"/Subscription/{own}/{operation}")).status_code == 404
    since = {"resourceType": "Parameters", "parameter": [{"name": "eventsSinceNumber", "valueString": "1"}]}
    assert (await ngo.send("POST", f"/Subscription/{own}/$resend", since)).status_code == 404


async def test_scopes(world: World, hospital: Caller) -> None:
    made = await hospital.create(subscription(GONE))
    await refer(hospital)
    await fan_out_all(world)
    reader = await world.caller("hospital", scopes="system/Subscription.r")
    assert (await reader.get(f"/Subscription/{made['id']}/$status")).status_code == 200
    assert (await reader.get("/Subscription/$status")).status_code == 403
    since = {"resourceType": "Parameters", "parameter": [{"name": "eventsSinceNumber", "valueString": "1"}]}
    assert (await reader.send("POST", f"/Subscription/{made['id']}/$resend", since)).status_code == 403
    # Events name Tasks: the token has to allow reading them, too.
    assert (await reader.get(f"/Subscription/{made['id']}/$events")).status_code == 403
    assert (await reader.get(f"/Subscription/{made['id']}/$events?content=empty")).status_code == 200


async def test_past_events_by_number_and_content(world: World, hospital: Caller, ngo: Caller) -> None:
    created = await hospital.create(subscription(GONE, filters=("owner=Organization/ngo",)))
    made = await refer(hospital)
    for status in ("accepted", "in-progress", "completed"):
        await move(ngo, made, status)
    await fan_out_all(world)
    path = f"{created['id']}/$events"
    whole = await ask(hospital, f"{path}?content=full-resource")
    assert numbers(whole) == ["1", "2", "3", "4"]
    told = {each["name"]: bare(each) for each in whole["entry"][0]["resource"]["parameter"]}
    assert (told["type"], told["status"], told["events-since-subscription-start"]) == ("query-event", "requested", "4")
    resources = [entry["resource"] for entry in whole["entry"][1:]]
    assert [each["status"] for each in resources] == ["requested", "accepted", "in-progress", "completed"]
    as_asked = await ask(hospital, f"{path}?eventsSinceNumber=2&eventsUntilNumber=3")
    assert numbers(as_asked) == ["2", "3"]
    assert all("resource" not in entry for entry in as_asked["entry"][1:])
    assert [entry["fullUrl"] for entry in as_asked["entry"][1:]] == [f"http://handoff.test/fhir/{reference(made)}"] * 2
    assert len((await ask(hospital, f"{path}?content=empty"))["entry"]) == 1
    assert numbers(await ask(hospital, f"{path}?eventsSinceNumber=5")) == []


async def test_past_events_come_in_pages(world: World, hospital: Caller, ngo: Caller) -> None:
    created = await hospital.create(subscription(GONE))
    made = await refer(hospital)
    for status in ("accepted", "in-progress", "completed"):
        await move(ngo, made, status)
    await fan_out_all(world)
    world.app.state.hub.settings = world.settings.model_copy(update={"max_count": 3})
    first = await ask(hospital, f"{created['id']}/$events?content=empty")
    assert numbers(first) == ["1", "2", "3"]
    links = {each["relation"]: each["url"] for each in first["link"]}
    second = await ask(hospital, links["next"].partition("/Subscription/")[2])
    assert numbers(second) == ["4"]
    assert [each["relation"] for each in second["link"]] == ["self"]


async def test_past_events_tell_no_more_than_may_be_seen_now(world: World, hospital: Caller, ngo: Caller) -> None:
    created = await ngo.create(subscription(GONE, "full-resource"))
    labelled, withdrawn, seen = await refer(hospital), await refer(hospital), await refer(hospital)
    await move(hospital, {**labelled}, "cancelled")
    await fan_out_all(world)
    await world.pool.execute("UPDATE event SET labelled = true WHERE focus_id = $1", labelled["id"])
    await world.pool.execute("UPDATE task SET assigned_org = NULL, shared_with = '{}' WHERE id = $1", withdrawn["id"])
    bundle = await ask(ngo, f"{created['id']}/$events")
    assert numbers(bundle) == ["1", "2", "3", "4"]
    # What the ngo may not see any more has its number alone, so that no gap is taken for a loss.
    assert withdrawn["id"] not in str(bundle)
    by_focus: dict[str, list[bool]] = {}
    for entry in bundle["entry"][1:]:
        by_focus.setdefault(entry["fullUrl"].rpartition("/")[2], []).append("resource" in entry)
    assert by_focus == {labelled["id"]: [False, False], seen["id"]: [True]}


async def test_events_that_retention_took_are_gone(world: World, hospital: Caller, ngo: Caller) -> None:
    created = await hospital.create(subscription(GONE))
    made = await refer(hospital)
    for status in ("accepted", "in-progress", "completed"):
        await move(ngo, made, status)
    await fan_out_all(world)
    await world.pool.execute("DELETE FROM delivery WHERE number = 2")  # as if 1 were a dead letter, which is kept
    path = f"/Subscription/{created['id']}"
    gone = await hospital.get(f"{path}/$events?eventsSinceNumber=1")
    assert (gone.status_code, gone.json()["issue"][0]["code"]) == (410, "deleted")
    assert "from 3 on" in gone.json()["issue"][0]["diagnostics"]
    assert (await hospital.get(f"{path}/$events?eventsUntilNumber=2")).status_code == 410
    assert numbers(await ask(hospital, f"{created['id']}/$events")) == ["3", "4"]
    for name, value in (("eventsSinceNumber", "1"), ("eventsSinceInstant", "2020-01-01T00:00:00Z")):
        kind = "valueString" if name.endswith("Number") else "valueInstant"
        body = {"resourceType": "Parameters", "parameter": [{"name": name, kind: value}]}
        assert (await hospital.send("POST", f"{path}/$resend", body)).status_code == 410


async def test_events_are_sent_again_under_their_ids(
    world: World, hospital: Caller, ngo: Caller, receiver: Receiver
) -> None:
    created = await hospital.create(subscription(receiver.url))
    made = await refer(hospital)
    await move(ngo, made, "accepted")
    await move(ngo, made, "in-progress")
    path = f"/Subscription/{created['id']}/$resend"
    async with delivering(world.pool, world.settings):
        await until_status(world, hospital, created, "active")
        await until_states(world.pool, ["delivered"] * 3)
        bounds = [{"name": f"events{end}Number", "valueString": "2"} for end in ("Since", "Until")]
        answer = await hospital.send("POST", path, {"resourceType": "Parameters", "parameter": bounds})
        assert answer.status_code == 200, answer.text
        assert answer.json()["issue"][0]["severity"] == "information"
        came = await receiver.wait_for(5)
        await until_states(world.pool, ["delivered"] * 3)
        since = [{"name": "eventsSinceInstant", "valueInstant": "2020-01-01T00:00:00Z"}]
        answer = await hospital.send("POST", path, {"resourceType": "Parameters", "parameter": since})
        assert answer.json()["issue"][0]["diagnostics"].startswith("3 events go again")
        came = await receiver.wait_for(8)
    ids = [each.json["id"] for each in came[1:]]
    assert [parameters(each)["notification-event"]["event-number"] for each in came[1:5]] == ["1", "2", "3", "2"]
    assert ids[3] == ids[1]
    assert set(ids) == set(ids[:3])
    assert came[4].headers["webhook-id"] == came[2].headers["webhook-id"]


async def test_nothing_is_sent_again_to_one_that_is_off(world: World, hospital: Caller) -> None:
    created = await hospital.create(subscription(GONE))
    since = {"resourceType": "Parameters", "parameter": [{"name": "eventsSinceNumber", "valueString": "1"}]}
    path = f"/Subscription/{created['id']}/$resend"
    waiting = await hospital.send("POST", path, since)
    assert [each["severity"] for each in waiting.json()["issue"]] == ["information", "warning"]
    await hospital.update({**created, "status": "off"})
    assert (await hospital.send("POST", path, since)).status_code == 422


@pytest.mark.parametrize("operation", ["$status", "$events"])
async def test_a_deleted_subscription_is_gone(hospital: Caller, operation: str) -> None:
    created = await hospital.create(subscription(GONE))
    assert (await hospital.send("DELETE", f"/{reference(created)}")).status_code == 204
    assert (await hospital.get(f"/Subscription/{created['id']}/{operation}")).status_code == 410


async def test_the_statement_tells_the_operations(hospital: Caller) -> None:
    statement = (await hospital.get("/metadata")).json()
    [told] = [each for each in statement["rest"][0]["resource"] if each["type"] == "Subscription"]
    assert {"status", "events", "resend"} <= {each["name"] for each in told["operation"]}
