"""Headers of a Subscription: sent as they were given, sealed at rest, never shown."""

import pytest

from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver
from tests.integration.delivery.test_delivery import delivering
from tests.integration.delivery.test_subscriptions import GONE, refer, subscription, until_status
from tests.integration.interactions.samples import reference

SECRET = "Bearer of-the-ehr"


async def dump_everything(world: World) -> str:
    """Every row of every table, as text."""
    tables = await world.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    rows = [await world.pool.fetch(f'SELECT t::text FROM "{name}" t') for (name,) in tables]
    return "\n".join(row[0] for found in rows for row in found)


async def test_a_value_is_shown_to_nobody_and_stored_nowhere(world: World, hospital: Caller) -> None:
    header = [f"Authorization: {SECRET}", "X-Tenant:one"]
    created = await hospital.create(subscription(GONE, header=header))
    assert created["channel"]["header"] == ["Authorization: ***", "X-Tenant: ***"]
    changed = await hospital.update({**created, "reason": "Another"})
    assert changed.status_code == 200, changed.text
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "request": {"method": "POST", "url": "Subscription"},
                "resource": subscription(GONE, header=[f"Authorization: {SECRET}"]),
            }
        ],
    }
    answers = [changed, await hospital.send("POST", "", bundle, Prefer="return=representation")]
    path = f"/{reference(created)}"
    answers += [await hospital.get(each) for each in (path, f"{path}/_history", f"{path}/_history/1", "/Subscription")]
    for answer in answers:
        assert answer.status_code == 200
        assert SECRET not in answer.text
    assert SECRET not in await dump_everything(world)


@pytest.mark.parametrize("again", [["Authorization: ***"], ["authorization:***", "X-New: two"]])
async def test_a_hidden_value_that_is_sent_back_is_kept(
    world: World, hospital: Caller, receiver: Receiver, again: list[str]
) -> None:
    created = await hospital.create(subscription(receiver.url, header=[f"Authorization: {SECRET}", "X-Tenant: one"]))
    channel = {**created["channel"], "header": again}
    answer = await hospital.update({**created, "status": "requested", "channel": channel})
    assert answer.status_code == 200, answer.text
    await refer(hospital)
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(2)
    for each in came:
        assert each.headers["authorization"] == SECRET
        assert each.headers.get("x-new") == ("two" if len(again) > 1 else None)
        assert "x-tenant" not in each.headers


async def test_a_new_value_takes_the_place_of_the_old(world: World, hospital: Caller, receiver: Receiver) -> None:
    created = await hospital.create(subscription(receiver.url, header=[f"Authorization: {SECRET}"]))
    channel = {**created["channel"], "header": ["Authorization: Bearer new"]}
    assert (await hospital.update({**created, "channel": channel})).status_code == 200
    async with delivering(world.pool, world.settings):
        [handshake] = await receiver.wait_for(1)
        await until_status(world, hospital, created, "active")
    assert handshake.headers["authorization"] == "Bearer new"


async def test_a_hidden_value_without_one_to_keep_is_refused(world: World, hospital: Caller, ngo: Caller) -> None:
    theirs = await ngo.create(subscription(GONE, header=[f"Authorization: {SECRET}"]))
    masked = subscription(GONE, header=["Authorization: ***"])
    answers = [await hospital.send("POST", "/Subscription", masked)]
    own: Resource = await hospital.create(subscription(GONE))
    answers.append(await hospital.update({**own, "channel": masked["channel"]}))
    for answer in answers:
        assert answer.status_code == 422
        assert answer.json()["issue"][0]["expression"] == ["Subscription.channel.header[0]"]
    # Neither is another organisation's value to be had by its id.
    assert (await hospital.send("PUT", f"/{reference(theirs)}", {**masked, "id": theirs["id"]})).status_code == 404


async def test_without_the_key_nothing_goes_and_nothing_is_told(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    created = await hospital.create(subscription(receiver.url, header=[f"Authorization: {SECRET}"]))
    other = world.settings.model_copy(update={"secret_key": "b3RoZXItb3RoZXItb3RoZXItb3RoZXItb3RoZXItb3Q="})
    async with delivering(world.pool, other):
        failed = await until_status(world, hospital, created, "error")
    assert "HANDOFF_SECRET_KEY" in failed["error"]
    assert receiver.requests == []
