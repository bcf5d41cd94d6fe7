"""Subscriptions whose criteria are a search: which versions are told, to whom, from when on, and how."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from standardwebhooks import Webhook

from app.core.caller import Scope
from app.core.data_dir import load_secret_key
from app.delivery.follow import Follow
from app.interactions.operate import OPERATOR
from app.interactions.webhooks import change_secret
from app.store.followed import versions_statement
from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver
from tests.integration.delivery.test_delivery import delivering
from tests.integration.delivery.test_subscriptions import LABEL, move, refer, until_settled, until_status
from tests.integration.interactions.samples import patient, reference
from tests.integration.store.test_plans import check_plan, explain, walk_plan
from tests.waiting import until

CODE = {"coding": [{"system": "http://loinc.org", "code": "1975-2"}]}
JSON = {"payload": "application/fhir+json"}


def classic(url: str, criteria: str, **channel: Any) -> Resource:
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "Follow",
        "criteria": criteria,
        "channel": {"type": "rest-hook", "endpoint": url, **channel},
    }


def observation(subject: str, **more: Any) -> Resource:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": CODE,
        "subject": {"reference": subject},
        "valueQuantity": {"value": 1.10},
        **more,
    }


def look(world: World) -> Follow:
    return Follow(world.pool, world.settings, world.hub.base_url)


async def told(world: World) -> list[tuple[str, int]]:
    """(reference, version) of each event, in the order in which they are told."""
    rows = await world.pool.fetch(
        "SELECT focus_type || '/' || focus_id, focus_version FROM event WHERE topic = 'resource-version' ORDER BY id"
    )
    return [(row[0], row[1]) for row in rows]


async def test_the_resource_by_put_as_it_was(world: World, hospital: Caller, receiver: Receiver) -> None:
    wanted = classic(f"{receiver.url}?tenant=1", "Observation?code=http://loinc.org|1975-2", header=["X-A: b"], **JSON)
    created = await hospital.create(wanted)
    secret = await change_secret(world.hub, OPERATOR, load_secret_key(world.settings), created["id"], 0)
    subject = reference(await hospital.create(patient()))
    made = await hospital.create(observation(subject))
    await hospital.create(observation(subject, code={"text": "another"}))
    async with delivering(world.pool, world.settings):
        await until_status(world, hospital, created, "active")
        await receiver.wait_for(1)
        changed = await hospital.update({**made, "status": "amended"})
        assert changed.status_code == 200
        first, second = await receiver.wait_for(2)
    path = receiver.url.removeprefix("http://").partition("/")[2].rstrip("/")
    address = f"/{path}/{reference(made)}?tenant=1".replace("//", "/")
    assert (first.line, second.line) == (f"PUT {address}", f"PUT {address}")
    assert (first.json, second.json) == (made, changed.json())
    assert (first.headers["content-type"], first.headers["x-a"]) == ("application/fhir+json", "b")
    for each in (first, second):
        Webhook(secret).verify(each.body.decode(), each.headers)


async def test_without_a_payload_an_empty_post(world: World, hospital: Caller, receiver: Receiver) -> None:
    created = await hospital.create(classic(receiver.url, "Patient"))
    secret = await change_secret(world.hub, OPERATOR, load_secret_key(world.settings), created["id"], 0)
    await hospital.create(patient())
    async with delivering(world.pool, world.settings):
        [came] = await receiver.wait_for(1)
    assert came.line.startswith("POST ")
    assert came.body == b""
    assert "content-type" not in came.headers
    with pytest.raises(json.JSONDecodeError):  # the signature fits; there only is no JSON in nothing
        Webhook(secret).verify("", came.headers)


async def test_each_version_that_matches_though_the_resource_has_moved_on(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    await hospital.create(classic(receiver.url, "Observation?status=amended,final", **JSON))
    made = await hospital.create(observation(reference(await hospital.create(patient()))))
    for status in ("amended", "preliminary", "final", "corrected"):
        await move(hospital, made, status)
    assert (await hospital.send("DELETE", f"/{reference(made)}")).status_code == 204
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(3)
        await until_settled(world)
    assert [each.json["status"] for each in came] == ["final", "amended", "final"]
    assert [each.json["meta"]["versionId"] for each in came] == ["1", "2", "4"]


async def test_what_is_stamped_after_the_subscription_and_all_of_it(world: World, hospital: Caller) -> None:
    writing = asyncio.Event()
    made: list[Resource] = []

    async def write(number: int) -> None:
        for step in range(8):
            made.append(await hospital.create(patient(f"{number}-{step}")))
            if step == 2:
                writing.set()

    async def follow() -> Resource:
        await writing.wait()
        return await hospital.create(classic("http://127.0.0.1:1/hook", "Patient"))

    eyes = [look(world) for _ in range(2)]
    done = asyncio.Event()

    async def watch(each: Follow) -> None:
        while not done.is_set():
            await each.look()

    watchers = [asyncio.create_task(watch(each)) for each in eyes]
    writers = [asyncio.create_task(write(number)) for number in range(4)]
    created = await follow()
    await asyncio.gather(*writers)
    expected = {reference(each) for each in made if each["meta"]["lastUpdated"] > created["meta"]["lastUpdated"]}
    earlier = {reference(each) for each in made if each["meta"]["lastUpdated"] < created["meta"]["lastUpdated"]}
    assert expected
    assert earlier

    async def all_told() -> bool:
        return expected <= {each for each, _ in await told(world)}

    await until(all_told)
    done.set()
    await asyncio.gather(*watchers)
    found = await told(world)
    assert len(found) == len(set(found))
    # What the Subscription's own transaction overlapped may be told as well; nothing older.
    begun = await world.pool.fetchval("SELECT since FROM followed")
    late = {reference(each) for each in made if each["meta"]["lastUpdated"] > begun.isoformat()[:23]}
    assert {each for each, _ in found} <= late


async def test_only_to_who_may_see_it(world: World, hospital: Caller, receiver: Receiver) -> None:
    ngo, stranger = await world.caller("ngo", "provider"), await world.caller("stranger")
    for caller in (ngo, stranger):
        await caller.create(classic(f"{receiver.url}{caller.organization}", "Task?owner=Organization/ngo", **JSON))
    made = await refer(hospital)
    await refer(hospital, status="draft")
    async with delivering(world.pool, world.settings):
        [came] = await receiver.wait_for(1)
        await until_settled(world)
    assert came.line.endswith(f"ngo/{reference(made)}")
    assert await told(world) == [(reference(made), 1)]


async def test_who_may_see_it_no_more_when_it_is_sent(world: World, hospital: Caller, receiver: Receiver) -> None:
    ngo = await world.caller("ngo", "provider")
    await ngo.create(classic(receiver.url, "Task", **JSON))
    made = await refer(hospital)
    assert await look(world).look() == 1
    await world.pool.execute("UPDATE task SET assigned_org = NULL, shared_with = '{}' WHERE id = $1", made["id"])

    async def withdrawn() -> bool:
        return bool(await world.pool.fetchval("SELECT state FROM delivery") == "withdrawn")

    async with delivering(world.pool, world.settings):
        await until(withdrawn)
    assert receiver.requests == []


async def test_the_directory_is_for_everyone(world: World, hospital: Caller) -> None:
    await hospital.create(classic("http://127.0.0.1:1/hook", "Organization?name=ngo"))
    await world.organization("ngo", "NGO")
    assert await look(world).look() == 1
    assert await told(world) == [("Organization/ngo", 1)]


async def test_what_is_labelled_goes_as_an_empty_post(world: World, hospital: Caller, receiver: Receiver) -> None:
    await hospital.create(classic(receiver.url, "Patient", **JSON))
    await hospital.create(patient(meta=LABEL))
    async with delivering(world.pool, world.settings):
        [came] = await receiver.wait_for(1)
    assert (came.line.partition(" ")[0], came.body) == ("POST", b"")


async def test_off_hears_nothing_and_changes_go_on(world: World, hospital: Caller) -> None:
    created = await hospital.create(classic("http://127.0.0.1:1/hook", "Patient"))
    off = (await hospital.update({**created, "status": "off"})).json()
    await hospital.create(patient("while-off"))
    assert await look(world).look() == 0
    on = (await hospital.update({**off, "status": "requested"})).json()
    assert await look(world).look() == 0
    before = await hospital.create(patient("before-the-change"))
    changed = await hospital.update({**on, "criteria": "Patient?identifier=before-the-change,after"})
    assert changed.status_code == 200, changed.text
    after = await hospital.create(patient("after"))
    await hospital.create(patient("another"))
    assert await look(world).look() == 2
    assert {each for each, _ in await told(world)} == {reference(before), reference(after)}
    assert (await hospital.send("DELETE", f"/{reference(created)}")).status_code == 204
    assert await world.pool.fetchval("SELECT count(*) FROM followed") == 0
    await hospital.create(patient("after"))
    assert await look(world).look() == 0


async def test_criteria_that_are_understood_no_more_are_an_error(world: World, hospital: Caller) -> None:
    created = await hospital.create(classic("http://127.0.0.1:1/hook", "Patient"))
    await world.pool.execute("UPDATE followed SET criteria = 'Patient?nothing=x'")
    await hospital.create(patient())
    assert await look(world).look() == 0
    failed = await until_status(world, hospital, created, "error")
    assert failed["error"].startswith("criteria: Patient has no search parameter 'nothing'")


async def test_a_backlog_is_told_once_in_order(world: World, hospital: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.delivery.follow.BATCH", 3)
    await hospital.create(classic("http://127.0.0.1:1/hook", "Patient"))
    made = [await hospital.create(patient(str(number))) for number in range(7)]
    assert sum(await asyncio.gather(look(world).look(), look(world).look())) == 7
    assert [each for each, _ in await told(world)] == [reference(each) for each in made]


async def test_refused(world: World, hospital: Caller) -> None:
    url = "https://ehr.example/hook"
    backport = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
    content = {"extension": [{"url": f"{backport}/backport-payload-content", "valueCode": "empty"}]}
    for wanted, where in (
        (classic(url, "Nothing?x=y"), "criteria"),
        (classic(url, "Task?nothing=x"), "criteria"),
        (classic(url, "Task?_sort=_id"), "criteria"),
        (classic(url, "Task", payload="application/fhir+xml"), "channel.payload"),
        (classic(url, "Task", type="email", endpoint="mailto:a@b.example"), "channel.type"),
        (classic(url, "Task", **JSON, _payload=content), "criteria"),
        (classic("https://10.0.0.1/hook", "Task"), "channel.endpoint"),
    ):
        answer = await hospital.send("POST", "/Subscription", wanted)
        assert answer.status_code == 422, answer.text
        assert answer.json()["issue"][0]["expression"] == [f"Subscription.{where}"]
    reader = await world.caller("hospital", scopes="system/Subscription.cruds system/Patient.rs")
    assert (await reader.send("POST", "/Subscription", classic(url, "Observation"))).status_code == 403
    assert await world.pool.fetchval("SELECT count(*) FROM followed") == 0


async def test_who_follows_nothing_costs_nothing(world: World, hospital: Caller) -> None:
    await hospital.create(patient())
    assert await look(world).look() == 0
    assert await world.pool.fetchval("SELECT count(*) FROM follow_cursor") == 0
    assert await told(world) == []


async def test_what_came_since_is_found_by_its_index(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO patient (id, version, last_updated, content, owner_org) "
        "SELECT n::text, 1, '2026-01-01'::timestamptz + make_interval(mins => n), '{}', 'o' "
        "FROM generate_series(1, 5000) n"
    )
    scope = Scope((), everything=True)
    cursor, mark = (datetime(2026, 1, day, tzinfo=UTC) for day in (2, 3))
    plan = await explain(pool, versions_statement("Patient", scope), [["o"], cursor, "x", mark, 200])
    # A page of versions, and of each its resource's row; never what lies before the cursor.
    assert check_plan("what came since", plan, 450) == []
    assert {"patient_last_updated", "resource_history_type_time"} <= {
        each.get("Index Name") for each in walk_plan(plan)
    }
