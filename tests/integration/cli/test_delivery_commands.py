"""`handoff delivery` and `handoff webhook`, against a real receiver."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.core.errors import Conflict, NotFound
from app.core.settings import Settings
from app.delivery.fan_out import fan_out
from app.interactions.command import open_hub
from app.interactions.hub import Hub
from app.interactions.operate import ensure_organization
from app.interactions.webhook_status import show_statuses
from app.worker import keep_statuses_shown
from tests.api import World
from tests.integration.cli.conftest import Attempt, Command
from tests.integration.delivery.receiver import Receiver, Request, open_receiver
from tests.integration.delivery.test_delivery import delivering, emit, make_task, states, until_states
from tests.waiting import until

EVENTS = "referral-status-changed"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as opened:
        yield opened


@pytest.fixture
async def hub(settings: Settings) -> AsyncIterator[Hub]:
    async with open_hub(settings, settings.database_url or "") as opened:
        await ensure_organization(opened, "Organization/ngo", "A partner")
        yield opened


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_retry_schedule": "0,0", "webhook_timeout": 5.0})


async def register(handoff: Command, url: str) -> tuple[str, str]:
    """(id, secret)."""
    told = await handoff("webhook", "add", url, "--organization", "Organization/ngo", "--events", EVENTS)
    first, secret = told.splitlines()
    return first.split("Subscription/")[1].split(".")[0], secret


def statuses(receiver: Receiver) -> list[str]:
    return [each.json["status"] for each in receiver.requests]


async def test_status_and_dead_letters_and_replay_of_one(
    pool: asyncpg.Pool, hub: Hub, quick: Settings, receiver: Receiver, handoff: Command, attempt: Attempt
) -> None:
    async def refuse(request: Request) -> tuple[int, dict[str, str]]:
        return (500 if request.json["status"] == "one" else 204), {}

    receiver.answer = refuse
    webhook, _ = await register(handoff, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "one", "two")
    assert "2 events wait for the dispatcher" in await handoff("delivery", "status")
    assert "There is no dead letter" in await handoff("delivery", "dead")
    async with delivering(pool, quick):
        await until_states(pool, ["dead", "delivered"])
    head, line = (await handoff("delivery", "status")).splitlines()
    assert head.split("  ")[0] == "WEBHOOK"
    assert line.split()[:7] == [webhook, "active", "0", "-", "1", "2", "1"]
    told = await handoff("delivery", "dead", "--webhook", webhook)
    assert f"1  webhook {webhook}, event 1  {EVENTS} of Task/t" in told
    assert "after 2 attempts" in told
    assert [line.split("UTC")[1].strip() for line in told.splitlines() if "answered" in line] == ["answered 500"] * 2
    assert "There is no dead letter" in await handoff("delivery", "dead", "--webhook", "another")

    receiver.answer = Receiver().answer
    assert "Sent again: 1." in await handoff("delivery", "replay", receiver.requests[0].headers["webhook-id"])
    async with delivering(pool, quick):
        await until_states(pool, ["delivered", "delivered"])
    assert statuses(receiver) == ["one", "one", "two", "one"]
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 2
    attempts = await pool.fetch("SELECT number, status FROM attempt WHERE delivery_id = 1 ORDER BY number")
    assert [tuple(row) for row in attempts] == [(1, 500), (2, 500), (3, 204)]

    refused = await attempt("delivery", "replay", "1")
    assert isinstance(refused.exception, Conflict)
    assert "Sent again: 1." in await handoff("delivery", "replay", "1", "--delivered")
    assert await states(pool) == ["queued", "delivered"]


async def test_replay_of_a_range_keeps_the_order_of_each_referral(
    pool: asyncpg.Pool, hub: Hub, quick: Settings, receiver: Receiver, handoff: Command
) -> None:
    await register(handoff, receiver.url)
    webhook = await pool.fetchval("SELECT id FROM webhook")
    for task in ("a", "b"):
        await make_task(pool, task)
    for step in range(4):
        for task in ("a", "b"):
            await emit(pool, task, f"{task}{step}")
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"] * 8)
    await pool.execute("UPDATE event SET created_at = created_at - interval '1 day' WHERE id <= 4")
    since = (await pool.fetchval("SELECT min(created_at) FROM event WHERE id > 4")).isoformat()
    assert "Sent again: 0." in await handoff("delivery", "replay", "--webhook", webhook, "--since", since)
    del receiver.requests[:]
    told = await handoff("delivery", "replay", "--webhook", webhook, "--since", since, "--delivered")
    assert "Sent again: 4." in told
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"] * 8)
    for task in ("a", "b"):
        assert [each for each in statuses(receiver) if each[0] == task] == [f"{task}2", f"{task}3"]
    del receiver.requests[:]
    assert "Sent again: 7." in await handoff(
        "delivery", "replay", "--webhook", webhook, "--from-number", "2", "--delivered"
    )
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"] * 8)
    assert sorted(each.json["eventNumber"] for each in receiver.requests) == list(range(2, 9))


async def test_what_waits_behind_a_replayed_one_becomes_due_with_it(
    pool: asyncpg.Pool, hub: Hub, quick: Settings, receiver: Receiver, handoff: Command
) -> None:
    webhook, _ = await register(handoff, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "one", "two", "three", "four")
    async with pool.acquire() as connection:
        await fan_out(connection)
        await connection.execute("UPDATE delivery SET state = 'dead', ended_at = now() WHERE number = 1")
        await connection.execute("UPDATE delivery SET due_at = now() + interval '1 hour' WHERE number > 1")
    assert "Sent again: 1. Due at once instead of later: 3." in await handoff("delivery", "replay", "1")
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"] * 4)
    assert statuses(receiver) == ["one", "two", "three", "four"]
    assert webhook


async def test_a_replayed_one_waits_for_what_is_under_way_in_its_stream(
    pool: asyncpg.Pool, hub: Hub, receiver: Receiver, handoff: Command
) -> None:
    await register(handoff, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "one", "two")
    async with pool.acquire() as connection:
        await fan_out(connection)
        await connection.execute("UPDATE delivery SET state = 'dead', ended_at = now() WHERE number = 1")
        await connection.execute(
            "UPDATE delivery SET lease = 'x', leased_until = now() + interval '1 minute' WHERE number = 2"
        )
    await handoff("delivery", "replay", "1")
    assert await pool.fetchval(
        "SELECT (SELECT due_at FROM delivery WHERE number = 1) = (SELECT leased_until FROM delivery WHERE number = 2)"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("1", "--webhook", "w"),
        ("--webhook", "w"),
        ("--from-number", "1"),
        ("--webhook", "w", "--since", "yesterday"),
        ("x1",),
    ],
    ids=" ".join,
)
async def test_replay_says_what_it_wants(arguments: tuple[str, ...], attempt: Attempt) -> None:
    result = await attempt("delivery", "replay", *arguments)
    assert result.exit_code == 2
    assert "Error" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("delivery", "replay", "7"),
        ("delivery", "replay", "--webhook", "w", "--from-number", "1"),
        ("delivery", "pause", "w"),
        ("delivery", "resume", "w"),
        ("webhook", "secret", "w"),
        ("webhook", "rate", "w", "5"),
        ("webhook", "remove", "w"),
    ],
    ids=" ".join,
)
async def test_what_is_not_there_is_not_found(arguments: tuple[str, ...], attempt: Attempt) -> None:
    assert isinstance((await attempt(*arguments)).exception, NotFound)


async def test_paused_queues_and_resumed_delivers(
    pool: asyncpg.Pool, hub: Hub, quick: Settings, world: World, receiver: Receiver, handoff: Command
) -> None:
    webhook, _ = await register(handoff, receiver.url)
    ngo = await world.caller("ngo")
    await handoff("delivery", "pause", webhook)
    shown = await ngo.read(f"Subscription/{webhook}")
    assert (shown["status"], shown["error"]) == ("off", "paused by the operator")
    await make_task(pool, "t")
    await emit(pool, "t", "one", "two")
    async with delivering(pool, quick):
        await until_states(pool, ["queued", "queued"])
        assert "nothing goes before" in await handoff("delivery", "replay", "1")
        assert not receiver.requests
        assert (await handoff("delivery", "status")).splitlines()[1].split()[1:3] == ["paused", "2"]
        await handoff("delivery", "resume", webhook)
        await until_states(pool, ["delivered", "delivered"])
    assert statuses(receiver) == ["one", "two"]
    shown = await ngo.read(f"Subscription/{webhook}")
    assert (shown["status"], "error" in shown, shown["meta"]["versionId"]) == ("active", False, "3")


async def test_gone_and_days_of_failure_are_shown_and_mended(
    pool: asyncpg.Pool, hub: Hub, quick: Settings, world: World, receiver: Receiver, handoff: Command, attempt: Attempt
) -> None:
    answers = iter([410])

    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return next(answers, 500), {}

    receiver.answer = answer
    webhook, _ = await register(handoff, receiver.url)
    ngo = await world.caller("ngo")
    await make_task(pool, "t")
    await emit(pool, "t", "one")

    async def shows(status: str) -> None:
        async def does() -> bool:
            return bool((await ngo.read(f"Subscription/{webhook}"))["status"] == status)

        await until(does)

    stop = asyncio.Event()
    showing = asyncio.create_task(keep_statuses_shown(pool, quick, stop))
    async with delivering(pool, quick.model_copy(update={"webhook_retry_schedule": "0,60,60,60"})):
        await shows("off")
        assert isinstance((await attempt("delivery", "pause", webhook)).exception, Conflict)
        await handoff("delivery", "resume", webhook)
        await shows("active")
        await receiver.wait_for(2)

        async def failing() -> bool:
            return bool(await pool.fetchval("SELECT failing_since IS NOT NULL FROM webhook"))

        await until(failing)
    stop.set()
    await showing
    await pool.execute("UPDATE webhook SET status = 'error', error = 'answered 500'")
    assert await show_statuses(hub) == 1
    assert await show_statuses(hub) == 0
    shown = await ngo.read(f"Subscription/{webhook}")
    assert (shown["status"], shown["error"]) == ("error", "answered 500")
    vouched = await pool.fetchval("SELECT content FROM provenance ORDER BY last_updated DESC LIMIT 1")
    assert "Its webhook is error" in vouched
    await handoff("delivery", "resume", webhook)
    assert await pool.fetchval("SELECT failing_since IS NULL AND error IS NULL FROM webhook")


async def test_a_rotated_secret_and_its_grace(
    pool: asyncpg.Pool, hub: Hub, quick: Settings, receiver: Receiver, handoff: Command
) -> None:
    webhook, old = await register(handoff, receiver.url)
    new = (await handoff("webhook", "secret", webhook)).splitlines()[-1]
    assert "OLD SECRET GOOD UNTIL" in await handoff("webhook", "list")
    assert new != old
    await make_task(pool, "t")
    await emit(pool, "t", "one")
    async with delivering(pool, quick):
        await receiver.wait_for(1)
        await pool.execute("UPDATE webhook SET previous_until = now()")
        await emit(pool, "t", "two")
        await receiver.wait_for(2)
        told, newest = (await handoff("webhook", "secret", webhook, "--grace", "0")).splitlines()
        assert "good no more" in told
        assert (await handoff("webhook", "list")).splitlines()[1].split()[-2] == "-"
        await emit(pool, "t", "three")
        await receiver.wait_for(3)
    both, late, last = receiver.requests
    assert [each[:3] for each in both.headers["webhook-signature"].split(" ")] == ["v1,", "v1,"]
    for request, good, bad in ((both, (old, new), ()), (late, (new,), (old,)), (last, (newest,), (old, new))):
        for secret in good:
            Webhook(secret).verify(request.body.decode(), request.headers)
        for secret in bad:
            with pytest.raises(WebhookVerificationError):
                Webhook(secret).verify(request.body.decode(), request.headers)


async def test_a_secret_under_a_lost_key_is_replaced(
    pool: asyncpg.Pool, hub: Hub, quick: Settings, receiver: Receiver, handoff: Command
) -> None:
    webhook, _ = await register(handoff, receiver.url)
    await pool.execute("UPDATE webhook SET secret = sha512(secret)")
    new = (await handoff("webhook", "secret", webhook)).splitlines()[-1]
    await make_task(pool, "t")
    await emit(pool, "t", "one")
    async with delivering(pool, quick):
        [request] = await receiver.wait_for(1)
    Webhook(new).verify(request.body.decode(), request.headers)


async def test_listed_and_removed(
    pool: asyncpg.Pool, hub: Hub, world: World, receiver: Receiver, handoff: Command, attempt: Attempt
) -> None:
    assert "There is no webhook" in await handoff("webhook", "list")
    assert "There is no webhook" in await handoff("delivery", "status")
    webhook, _ = await register(handoff, receiver.url)
    line = (await handoff("webhook", "list")).splitlines()[1]
    assert line.split() == [webhook, "active", "Organization/ngo", EVENTS, "-", receiver.url]
    assert "at most 2.5 a second" in await handoff("webhook", "rate", webhook, "2.5")
    assert await pool.fetchval("SELECT rate FROM webhook") == 2.5
    assert "as the settings say" in await handoff("webhook", "rate", webhook)
    assert await pool.fetchval("SELECT rate FROM webhook") is None
    await make_task(pool, "t")
    await emit(pool, "t", "one")
    async with pool.acquire() as connection:
        await fan_out(connection)
    assert "Nothing is blocked" in await handoff("delivery", "blocked")
    assert isinstance((await attempt("webhook", "remove", webhook)).exception, Conflict)
    assert "1 queued" in await handoff("webhook", "remove", webhook, "--drop")
    ngo = await world.caller("ngo")
    assert (await ngo.get(f"/Subscription/{webhook}")).status_code == 410
    assert await pool.fetchval("SELECT count(*) FROM delivery") == 0
