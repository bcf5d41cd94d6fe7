"""Which deliveries a claim takes, and which it leaves alone."""

from collections import Counter

import asyncpg
import pytest

from app.core.settings import Settings
from app.delivery.claim import Result, claim_due, finish
from app.delivery.fan_out import fan_out
from app.delivery.replay import Replay, pause_webhook, replay
from tests.integration.delivery.receiver import Receiver
from tests.integration.delivery.test_delivery import (
    delivering,
    emit,
    make_task,
    make_webhook,
    until_lease_ends,
    until_states,
)


async def test_what_waits_behind_a_failed_head_is_not_due_before_it(pool: asyncpg.Pool, settings: Settings) -> None:
    """Else every claim would look at the whole backlog of a dead endpoint."""
    await make_webhook(pool, settings, "http://127.0.0.1:1/")
    await make_task(pool, "t")
    await emit(pool, "t", "one", "two")
    async with pool.acquire() as connection:
        await fan_out(connection)
        [head] = await claim_due(connection, 10, lease_seconds=60, busy={}, most_each=10)
        assert await finish(connection, [(head, Result("queued", 3_600, 5, 500, "answered 500"))])
        await emit(pool, "t", "three")
        await fan_out(connection)
    assert await pool.fetchval("SELECT count(*) FROM delivery WHERE due_at > now() + interval '59 minutes'") == 3


async def test_a_lease_of_a_clock_since_set_back_ends_in_time(
    pool: asyncpg.Pool, settings: Settings, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its worker has died; what it held must not wait for an hour that the database's clock goes through twice."""
    monkeypatch.setattr("app.delivery.worker.LEASE_MARGIN", 0.0)
    quick = settings.model_copy(update={"webhook_lease": 3.0, "webhook_timeout": 1.0})
    await make_webhook(pool, quick, receiver.url)
    await make_task(pool, "t")
    await emit(pool, "t", "one")
    async with pool.acquire() as connection:
        await fan_out(connection)
        assert await claim_due(connection, 10, lease_seconds=3_600, busy={}, most_each=10)
    async with delivering(pool, quick):
        await until_states(pool, ["delivered"])
    assert [row[0] for row in await pool.fetch("SELECT number FROM attempt ORDER BY number")] == [1, 2]


async def test_no_webhook_takes_more_than_its_hands(pool: asyncpg.Pool, settings: Settings) -> None:
    for name in ("ngo", "other"):
        await make_webhook(pool, settings, "http://127.0.0.1:1/", name, name)
    for n in range(10):
        await make_task(pool, f"t{n}")
        await emit(pool, f"t{n}", "requested")
    async with pool.acquire() as connection:
        await fan_out(connection)
        await connection.execute("UPDATE webhook SET failing_since = now() WHERE id = 'other'")
        taken = await claim_due(connection, 30, lease_seconds=60, busy={"ngo": 3}, most_each=8)
    assert Counter(each.webhook_id for each in taken) == {"ngo": 5, "other": 2}


async def test_suspects_are_tried_without_each_other(pool: asyncpg.Pool, settings: Settings) -> None:
    """What was under way beside a delivery that kills its worker must not end as dead letters with it."""
    await make_webhook(pool, settings, "http://127.0.0.1:1/")
    for n in range(4):
        await make_task(pool, f"t{n}")
        await emit(pool, f"t{n}", "requested")
    async with pool.acquire() as connection:
        await fan_out(connection)
        for _ in range(3):
            assert len(await claim_due(connection, 10, lease_seconds=0.001, busy={}, most_each=10)) == 4
            await until_lease_ends(connection)
        [alone] = await claim_due(connection, 10, lease_seconds=60, busy={}, most_each=10)
        assert alone.suspect
        assert await claim_due(connection, 10, lease_seconds=60, busy={}, most_each=10, suspects=False) == []


async def test_what_is_sent_again_is_not_held_back_by_a_later_one_that_fails(
    pool: asyncpg.Pool, settings: Settings
) -> None:
    await make_webhook(pool, settings, "http://127.0.0.1:1/")
    await make_task(pool, "t")
    await emit(pool, "t", "one", "two", "three")
    async with pool.acquire() as connection:
        await fan_out(connection)
        await connection.execute("UPDATE delivery SET state = 'dead' WHERE number = 1")
        [later] = await claim_due(connection, 10, lease_seconds=60, busy={}, most_each=10)
        await replay(connection, Replay(delivery_id=1))
        assert await claim_due(connection, 10, lease_seconds=60, busy={}, most_each=10) == []
        assert await finish(connection, [(later, Result("queued", 3_600, 5, 500, "answered 500"))])
        soon = await connection.fetch("SELECT number FROM delivery WHERE due_at < now() + interval '2 minutes'")
    assert [row[0] for row in soon] == [1]


async def test_days_of_failure_do_not_end_a_pause(pool: asyncpg.Pool, settings: Settings) -> None:
    await make_webhook(pool, settings, "http://127.0.0.1:1/")
    await make_task(pool, "t")
    await emit(pool, "t", "one")
    async with pool.acquire() as connection:
        await fan_out(connection)
        [under_way] = await claim_due(connection, 10, lease_seconds=60, busy={}, most_each=10)
        await connection.execute("UPDATE webhook SET failing_since = now() - interval '6 days'")
        await pause_webhook(connection, "w")
        assert await finish(connection, [(under_way, Result("queued", 0, 5, 500, "answered 500"))])
        assert await claim_due(connection, 10, lease_seconds=60, busy={}, most_each=10) == []
        assert await connection.fetchval("SELECT status FROM webhook") == "paused"
