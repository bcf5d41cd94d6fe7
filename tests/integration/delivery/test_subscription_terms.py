"""The terms that a Subscription sets: heartbeat, timeout, max-count, end; and handshakes that are tried again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.delivery import handshake
from app.delivery.fan_out import fan_out
from tests.api import Caller, Resource, World
from tests.integration.delivery.receiver import Receiver, Request
from tests.integration.delivery.test_delivery import delivering, until_states
from tests.integration.delivery.test_subscriptions import BACKPORT, move, parameters, refer, subscription, until_status
from tests.waiting import until


def term(name: str, value: int, kind: str = "valueUnsignedInt") -> dict[str, Any]:
    return {"extension": [{"url": f"{BACKPORT}/backport-{name}", kind: value}]}


def kinds(receiver: Receiver) -> list[str]:
    return [parameters(each)["type"] for each in receiver.requests]


async def make_due(world: World, created: Resource) -> None:
    """As if the period had passed since the last heartbeat."""
    await world.pool.execute(
        "UPDATE webhook SET heartbeat_due = clock_timestamp() WHERE id = $1 AND heartbeat_due IS NOT NULL",
        created["id"],
    )


async def test_a_heartbeat_when_nothing_happens(world: World, hospital: Caller, receiver: Receiver) -> None:
    created = await hospital.create(subscription(receiver.url, **term("heartbeat-period", 60)))
    async with delivering(world.pool, world.settings):
        await until_status(world, hospital, created, "active")
        assert kinds(receiver) == ["handshake"]
        await make_due(world, created)
        beat = (await receiver.wait_for(2))[1]
        said = parameters(beat)
        assert (said["type"], said["status"], said["events-since-subscription-start"]) == ("heartbeat", "active", "0")
        assert len(beat.json["entry"]) == 1
        # Whoever heard of an event has heard: the next one is due a period after that.
        await refer(hospital)
        await until_states(world.pool, ["delivered"])
        await make_due(world, created)

        async def moved() -> bool:
            due = await world.pool.fetchval("SELECT heartbeat_due > clock_timestamp() + '30 s' FROM webhook")
            return bool(due)

        await until(moved)
        assert kinds(receiver) == ["handshake", "heartbeat", "event-notification"]
    assert await world.pool.fetchval("SELECT last_number FROM webhook") == 1


async def test_a_heartbeat_that_fails_is_told_and_410_ends_it(
    world: World, hospital: Caller, receiver: Receiver
) -> None:
    created = await hospital.create(subscription(receiver.url, **term("heartbeat-period", 60)))
    answers = iter([200, 500, 410])

    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return next(answers), {}

    receiver.answer = answer
    async with delivering(world.pool, world.settings):
        await until_status(world, hospital, created, "active")
        await make_due(world, created)

        async def failed() -> bool:
            found = await world.pool.fetchval("SELECT error FROM webhook WHERE failing_since IS NOT NULL")
            return bool(found == "heartbeat: answered 500")

        await until(failed)
        await make_due(world, created)
        off = await until_status(world, hospital, created, "off")
    assert off["error"] == "heartbeat: answered 410"


async def test_a_timeout_shorter_than_ours(world: World, hospital: Caller, receiver: Receiver) -> None:
    never = asyncio.Event()

    async def answer(request: Request) -> tuple[int, dict[str, str]]:
        if parameters(request)["type"] != "handshake":
            await never.wait()
        return 200, {}

    receiver.answer = answer
    await hospital.create(subscription(receiver.url, **term("timeout", 1)))
    await refer(hospital)
    async with delivering(world.pool, world.settings):

        async def given_up() -> bool:
            reason = await world.pool.fetchval("SELECT reason FROM attempt")
            return bool(reason == "no whole answer within 1 s")

        await until(given_up)
        never.set()


async def test_every_max_count_is_kept(world: World, hospital: Caller, ngo: Caller, receiver: Receiver) -> None:
    await hospital.create(subscription(receiver.url, **term("max-count", 1, "valuePositiveInt")))
    made = await refer(hospital)
    await move(ngo, made, "accepted")
    async with delivering(world.pool, world.settings):
        came = await receiver.wait_for(3)
    assert [len(each.json["entry"]) for each in came] == [1, 2, 2]


async def test_it_ends_when_it_was_to_end(world: World, hospital: Caller, receiver: Receiver) -> None:
    end = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="milliseconds")
    created = await hospital.create({**subscription(receiver.url), "end": end})
    async with delivering(world.pool, world.settings):
        await until_status(world, hospital, created, "active")
        await world.pool.execute("UPDATE webhook SET ends_at = clock_timestamp()")
        off = await until_status(world, hospital, created, "off")
    await refer(hospital)
    async with world.pool.acquire() as connection:
        while (await fan_out(connection))[0]:
            pass
    assert await world.pool.fetchval("SELECT count(*) FROM delivery") == 0
    # It begins again with a later end, or none.
    answer = await hospital.update({**off, "status": "requested", "end": "2020-01-01T00:00:00Z"})
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (422, ["Subscription.end"])
    again = {name: value for name, value in off.items() if name != "end"}
    assert (await hospital.update({**again, "status": "requested"})).status_code == 200


async def test_no_event_after_the_end_is_kept_whoever_is_first(world: World, hospital: Caller) -> None:
    created = await hospital.create(subscription("https://ehr.example/hook"))
    await world.pool.execute("UPDATE webhook SET ends_at = clock_timestamp() WHERE id = $1", created["id"])
    await refer(hospital)
    async with world.pool.acquire() as connection:
        while (await fan_out(connection))[0]:
            pass
    assert await world.pool.fetchval("SELECT count(*) FROM delivery") == 0


async def test_a_handshake_is_tried_again(
    world: World, hospital: Caller, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "PAUSES", (0.0, 0.0))
    answers = iter([503, 500, 200])

    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return next(answers), {}

    receiver.answer = answer
    created = await hospital.create(subscription(receiver.url))
    async with delivering(world.pool, world.settings):
        active = await until_status(world, hospital, created, "active")
    assert "error" not in active
    assert kinds(receiver) == ["handshake"] * 3


async def test_a_handshake_is_given_up(
    world: World, hospital: Caller, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "PAUSES", (0.0, 0.0))

    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return 503, {}

    receiver.answer = answer
    created = await hospital.create(subscription(receiver.url))
    async with delivering(world.pool, world.settings):
        failed = await until_status(world, hospital, created, "error")
        assert failed["error"] == "handshake: answered 503"
        assert len(receiver.requests) == 3
        # Asked for again, it is tried as often again.
        answered = await hospital.update({**failed, "status": "requested"})
        assert answered.status_code == 200, answered.text
        await receiver.wait_for(6)
        await until_status(world, hospital, created, "error")
