"""From committed events to a receiver: order, retries, dead letters, leases, withdrawal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from standardwebhooks import Webhook

from app.core.data_dir import load_secret_key
from app.core.database import Connection
from app.core.settings import Settings
from app.delivery.claim import Result, claim_due, finish
from app.delivery.fan_out import fan_out
from app.delivery.webhooks import add_webhook
from app.delivery.worker import run_delivery
from app.store.outbox import Event
from app.store.session import Session
from tests.integration.delivery.receiver import Receiver, Request, open_receiver
from tests.waiting import until

TOPICS = ["referral-status-changed", "task-assigned", "care-plan-changed"]


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_retry_schedule": "0,0,0,0,0", "webhook_timeout": 5.0})


@asynccontextmanager
async def delivering(pool: asyncpg.Pool, settings: Settings, workers: int = 1) -> AsyncIterator[None]:
    """Workers run meanwhile, and stop as the program stops them."""
    stop = asyncio.Event()
    key = load_secret_key(settings)
    running = [asyncio.create_task(run_delivery(pool, settings, key, stop)) for _ in range(workers)]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*running)


async def make_webhook(
    pool: asyncpg.Pool, settings: Settings, url: str, webhook_id: str = "w", organization: str = "ngo"
) -> str:
    async with pool.acquire() as connection:
        return await add_webhook(
            connection,
            webhook_id=webhook_id,
            organization=organization,
            url=url,
            topics=TOPICS,
            client_id="c",
            secret_key=load_secret_key(settings),
        )


async def make_task(pool: asyncpg.Pool, task_id: str, shared_with: tuple[str, ...] = ("ngo", "other")) -> None:
    """A row as the store writes it, without the rest of the world."""
    await pool.execute(
        "INSERT INTO task (id, version, last_updated, content, owner_org, shared_with, referral, requester_org) "
        "VALUES ($1, 1, clock_timestamp(), '{}', 'hospital', $2, $3, 'hospital')",
        task_id,
        list(shared_with),
        f"Task/{task_id}",
    )
    await pool.execute("INSERT INTO referral (id, sequence) VALUES ($1, 0)", f"Task/{task_id}")


async def emit(pool: asyncpg.Pool, task_id: str, *statuses: str) -> None:
    for status in statuses:
        event = Event(
            "referral-status-changed",
            f"Task/{task_id}",
            ("Task", task_id, 1),
            ("hospital", "ngo", "other"),
            False,
            f'{{"task":"Task/{task_id}","status":"{status}"}}',
        )
        async with pool.acquire() as connection, connection.transaction():
            await Session(connection).flush([event])


async def states(pool: asyncpg.Pool) -> list[str]:
    return [row[0] for row in await pool.fetch("SELECT state FROM delivery ORDER BY id")]


async def until_states(pool: asyncpg.Pool, expected: list[str]) -> None:
    async def reached() -> bool:
        return await states(pool) == expected

    await until(reached)


async def test_signed_and_in_order_with_two_workers(pool: asyncpg.Pool, quick: Settings, receiver: Receiver) -> None:
    secret = await make_webhook(pool, quick, receiver.url)
    tasks = [f"t{n}" for n in range(10)]
    for task in tasks:
        await make_task(pool, task)
    async with delivering(pool, quick, workers=2):
        for step in range(10):
            for task in tasks:
                await emit(pool, task, f"step-{step}")
        came = await receiver.wait_for(100)
        await until_states(pool, ["delivered"] * 100)
    for task in tasks:
        mine = [each.json for each in came if each.json["task"] == f"Task/{task}"]
        assert [each["sequence"] for each in mine] == list(range(1, 11))
        assert [each["status"] for each in mine] == [f"step-{step}" for step in range(10)]
    assert len({each.headers["webhook-id"] for each in came}) == 100
    assert sorted(each.json["eventNumber"] for each in came) == list(range(1, 101))
    for each in came:
        verified = Webhook(secret).verify(each.body.decode(), each.headers)
        assert verified["links"] == {"task": f"http://handoff.test/fhir/{verified['task']}"}


async def test_a_dispatcher_that_takes_too_long_goes_on_with_fewer(
    pool: asyncpg.Pool, quick: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def fan_out_slowly(connection: Connection, most: int) -> tuple[int, int]:
        asked.append(most)
        if most > 4:
            await connection.execute("SET statement_timeout = 1")
            try:
                await connection.execute("SELECT pg_sleep(60)")
            finally:
                await connection.execute("RESET statement_timeout")
        return await fan_out(connection, most)

    monkeypatch.setattr("app.delivery.worker.fan_out", fan_out_slowly)
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", *(f"step-{step}" for step in range(12)))
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"] * 12)
    assert asked[:5] == [500, 125, 31, 7, 1]


async def test_retried_under_the_same_id_until_accepted(
    pool: asyncpg.Pool, quick: Settings, receiver: Receiver
) -> None:
    answers = iter([500, 302, 404, 204, 204])

    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return next(answers), {"location": "http://127.0.0.1:1/elsewhere"}

    receiver.answer = answer
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "one", "two")
    async with delivering(pool, quick):
        came = await receiver.wait_for(5)
        await until_states(pool, ["delivered", "delivered"])
    assert [each.json["status"] for each in came] == ["one"] * 4 + ["two"]
    assert len({each.headers["webhook-id"] for each in came}) == 2
    attempts = await pool.fetch("SELECT number, status, reason FROM attempt WHERE delivery_id = 1 ORDER BY number")
    assert [row["status"] for row in attempts] == [500, 302, 404, 204]
    assert [row["reason"] for row in attempts] == ["answered 500", "answered 302", "answered 404", None]


async def test_a_dead_letter_lets_its_stream_go_on(pool: asyncpg.Pool, quick: Settings, receiver: Receiver) -> None:
    async def answer(request: Request) -> tuple[int, dict[str, str]]:
        return (500 if request.json["status"] == "poison" else 204), {}

    receiver.answer = answer
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "poison", "completed")
    async with delivering(pool, quick):
        await until_states(pool, ["dead", "delivered"])
    assert [each.json["status"] for each in receiver.requests] == ["poison"] * 5 + ["completed"]


async def test_a_hanging_receiver_holds_up_nobody_else(pool: asyncpg.Pool, quick: Settings, receiver: Receiver) -> None:
    released = asyncio.Event()
    async with open_receiver() as hanging:

        async def hang(_: Request) -> tuple[int, dict[str, str]]:
            await released.wait()
            return 204, {}

        hanging.answer = hang
        await make_webhook(pool, quick, hanging.url, "hangs", "ngo")
        await make_webhook(pool, quick, receiver.url, "works", "other")
        for n in range(40):
            await make_task(pool, f"t{n}")
            await emit(pool, f"t{n}", "requested")
        patient = quick.model_copy(update={"webhook_timeout": 30.0, "webhook_concurrency": 8})
        async with delivering(pool, patient):
            await receiver.wait_for(40)
            assert not hanging.requests
            released.set()
            await hanging.wait_for(40)
            await until_states(pool, ["delivered"] * 80)


async def test_the_total_deadline_of_an_attempt(pool: asyncpg.Pool, quick: Settings, receiver: Receiver) -> None:
    async def hang(_: Request) -> tuple[int, dict[str, str]]:
        await asyncio.Event().wait()
        return 204, {}

    receiver.answer = hang
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "requested")
    short = quick.model_copy(update={"webhook_timeout": 0.2, "webhook_retry_schedule": "0,0"})
    async with delivering(pool, short):
        await until_states(pool, ["dead"])
    reasons = [row[0] for row in await pool.fetch("SELECT reason FROM attempt ORDER BY number")]
    assert reasons == ["no whole answer within 0.2 s"] * 2


async def test_gone_turns_the_webhook_off(pool: asyncpg.Pool, quick: Settings, receiver: Receiver) -> None:
    async def answer(_: Request) -> tuple[int, dict[str, str]]:
        return 410, {}

    receiver.answer = answer
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "requested")
    async with delivering(pool, quick):
        await receiver.wait_for(1)

        async def is_off() -> bool:
            return bool(await pool.fetchval("SELECT status = 'off' FROM webhook"))

        await until(is_off)
    await emit(pool, "t", "accepted")
    async with pool.acquire() as connection:
        assert await fan_out(connection) == (1, 0)
    assert await states(pool) == ["queued"]


async def test_what_may_not_be_seen_any_more_is_withdrawn(
    pool: asyncpg.Pool, quick: Settings, receiver: Receiver
) -> None:
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "hidden", shared_with=())
    await make_task(pool, "seen")
    await emit(pool, "hidden", "requested")
    await emit(pool, "seen", "requested")
    async with delivering(pool, quick):
        await until_states(pool, ["withdrawn", "delivered"])
    assert [each.json["task"] for each in receiver.requests] == ["Task/seen"]


async def test_an_organisation_hears_only_of_what_it_may(
    pool: asyncpg.Pool, quick: Settings, receiver: Receiver
) -> None:
    await make_webhook(pool, quick, receiver.url, organization="stranger")
    await make_task(pool, "t")
    await emit(pool, "t", "requested")
    async with pool.acquire() as connection:
        assert await fan_out(connection) == (1, 0)


async def test_a_lease_that_ran_out_is_taken_again(pool: asyncpg.Pool, quick: Settings, receiver: Receiver) -> None:
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "requested", "accepted")
    async with pool.acquire() as connection:
        await fan_out(connection)
        options: dict[str, Any] = {"busy": {}, "most_each": 10}
        [lost] = await claim_due(connection, 10, lease_seconds=0.001, **options)
        await until_lease_ends(connection)
        [taken] = await claim_due(connection, 10, lease_seconds=60, **options)
        assert (taken.id, taken.attempts) == (lost.id, 2)
        assert await claim_due(connection, 10, lease_seconds=60, **options) == []
        assert not await finish(connection, [(lost, Result("delivered"))])
        assert await finish(connection, [(taken, Result("delivered"))])
        [following] = await claim_due(connection, 10, lease_seconds=60, **options)
        assert following.sequence == 2


async def until_lease_ends(connection: Any) -> None:
    async def ended() -> bool:
        return not await connection.fetchval("SELECT bool_or(leased_until >= clock_timestamp()) FROM delivery")

    await until(ended)


async def test_a_delivery_that_kills_its_worker_is_counted_and_ends(
    pool: asyncpg.Pool, quick: Settings, receiver: Receiver
) -> None:
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "poison", "completed")
    async with pool.acquire() as connection:
        await fan_out(connection)
        for _ in range(5):
            assert await claim_due(connection, 10, lease_seconds=0.001, busy={}, most_each=10)
            await until_lease_ends(connection)
    async with delivering(pool, quick):
        await until_states(pool, ["dead", "delivered"])
    assert [each.json["status"] for each in receiver.requests] == ["completed"]


async def test_private_addresses_are_not_connected_to(pool: asyncpg.Pool, quick: Settings, receiver: Receiver) -> None:
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "requested")
    guarded = quick.model_copy(update={"webhook_allowed_networks": ""})
    async with delivering(pool, guarded):
        await until_states(pool, ["dead"])
    assert receiver.connections == 0
    assert "not allowed" in await pool.fetchval("SELECT reason FROM attempt LIMIT 1")


async def test_what_was_rolled_back_is_never_sent(pool: asyncpg.Pool, quick: Settings, receiver: Receiver) -> None:
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await Session(connection).flush(
            [Event("task-assigned", "Task/t", ("Task", "t", 1), ("ngo",), False, '{"task":"Task/t"}')]
        )
        await transaction.rollback()
    await emit(pool, "t", "requested")
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"])
    assert [each.json["sequence"] for each in receiver.requests] == [1]
