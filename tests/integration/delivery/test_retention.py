"""What is old goes, what is still needed stays."""

import asyncio

import asyncpg
import pytest

from app.core.settings import Settings
from app.delivery import retention
from app.delivery.fan_out import fan_out
from app.delivery.retention import RETENTION_LOCK, delete_attempts, delete_old, keep_young
from tests.integration.delivery.test_delivery import emit, make_task, make_webhook
from tests.waiting import until

STEPS = ("delivered", "withdrawn", "dead", "queued", "delivered late", "delivered today")


@pytest.fixture
async def events(pool: asyncpg.Pool, settings: Settings) -> list[int]:
    """Events of 100 days ago (the sixth is of today), and a seventh that has not been fanned out."""
    await make_webhook(pool, settings, "http://127.0.0.1:1/")
    await make_task(pool, "t")
    await emit(pool, "t", *STEPS)
    async with pool.acquire() as connection:
        await fan_out(connection)
    for number, step in enumerate(STEPS, 1):
        state, _, when = step.partition(" ")
        days = 0 if when == "today" else 100
        await pool.execute(
            "UPDATE event SET created_at = now() - make_interval(days => $2) WHERE id = $1", number, days
        )
        ended = None if state == "queued" else 5 if when == "late" else days
        await pool.execute(
            "UPDATE delivery SET state = $2, ended_at = now() - make_interval(days => $3), attempts = 1 WHERE id = $1",
            number,
            state,
            ended,
        )
        await pool.execute("INSERT INTO attempt (delivery_id, number) VALUES ($1, 1)", number)
    await pool.execute(
        "INSERT INTO event (topic, referral, sequence, focus_type, focus_id, focus_version, audience, labelled, "
        "facts, created_at) "
        "VALUES ('task-assigned', 'Task/t', 99, 'Task', 't', 1, '{}', false, '{}', now() - interval '1 year')"
    )
    return await left(pool)


async def left(pool: asyncpg.Pool) -> list[int]:
    return [row[0] for row in await pool.fetch("SELECT id FROM event ORDER BY id")]


async def test_what_ended_long_ago_goes(pool: asyncpg.Pool, events: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    stop = asyncio.Event()
    assert events == [1, 2, 3, 4, 5, 6, 7]
    assert await delete_old(pool, 90, None, stop) == 2
    assert await left(pool) == [3, 4, 5, 6, 7]  # 7 has not been fanned out
    assert [row[0] for row in await pool.fetch("SELECT delivery_id FROM attempt ORDER BY 1")] == [3, 4, 5, 6]
    assert await delete_old(pool, 90, 101, stop) == 0
    assert await delete_old(pool, 90, 95, stop) == 1
    assert await left(pool) == [4, 5, 6, 7]
    async with pool.acquire() as connection:
        await fan_out(connection)
    assert await delete_old(pool, 4, None, stop) == 2
    assert await left(pool) == [4, 6]


async def test_one_worker_at_a_time(pool: asyncpg.Pool, events: list[int]) -> None:
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock($1)", RETENTION_LOCK)
        assert await delete_old(pool, 90, None, asyncio.Event()) == 0
    assert await left(pool) == events


async def test_what_is_being_replayed_stays(pool: asyncpg.Pool, events: list[int]) -> None:
    async with pool.acquire() as operator:
        replaying = operator.transaction()
        await replaying.start()
        await operator.execute("UPDATE delivery SET state = 'queued', ended_at = NULL WHERE id = 1")
        deleting = asyncio.create_task(delete_old(pool, 90, None, asyncio.Event()))

        async def waits() -> bool:
            return bool(await pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

        await until(waits)
        await replaying.commit()
    assert await deleting == 1
    assert await left(pool) == [each for each in events if each != 2]


async def test_the_worker_does_it_where_it_is_set(pool: asyncpg.Pool, settings: Settings, events: list[int]) -> None:
    stop = asyncio.Event()
    await keep_young(pool, settings, stop)
    assert await left(pool) == events
    running = asyncio.create_task(keep_young(pool, settings.model_copy(update={"event_retention_days": 90}), stop))

    async def gone() -> bool:
        return len(await left(pool)) == len(events) - 2

    await until(gone)
    stop.set()
    await running


async def test_attempts_have_a_retention_of_their_own(
    pool: asyncpg.Pool, events: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of what was delivered or withdrawn go, the deliveries stay; what is queued or dead keeps its reasons."""
    monkeypatch.setattr(retention, "BATCH", 4)
    await pool.execute("INSERT INTO attempt (delivery_id, number) SELECT id, 2 FROM delivery")
    await pool.execute("UPDATE attempt SET at = now() - interval '40 days' WHERE number = 1")
    stop = asyncio.Event()
    assert await delete_attempts(pool, 41, stop) == 0
    assert await delete_attempts(pool, 30, stop) == 4
    rows = await pool.fetch("SELECT delivery_id FROM attempt WHERE number = 1 ORDER BY 1")
    assert [row[0] for row in rows] == [3, 4]
    assert await pool.fetchval("SELECT count(*) FROM attempt WHERE number = 2") == 6
    assert await pool.fetchval("SELECT count(*) FROM delivery") == 6
    assert await left(pool) == events
