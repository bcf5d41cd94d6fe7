"""Deletes what is old: events with their deliveries and attempts, or attempts alone, in batches that hold nobody up."""

import asyncio
import logging

import asyncpg

from app.core.database import Connection
from app.core.rounds import repeat
from app.core.settings import Settings

logger = logging.getLogger("handoff.delivery")

RETENTION_LOCK = 0x68616E646F6667
BATCH = 200
PAUSE = 3_600.0
"""Seconds between two looks at what has grown old."""
BREATH = 0.05
"""Seconds between two batches."""

WINDOW = """
SELECT id, created_at < now() - make_interval(days => $2) FROM event WHERE id > $1 ORDER BY id LIMIT $3
"""
"""By id, which costs no index more at each write; the first batch in which nothing is old is the last."""

HOLD = "SELECT 1 FROM delivery WHERE event_id = ANY($1) AND state <> 'queued' ORDER BY id FOR UPDATE"
"""What has ended can only be replayed; from now on it cannot."""

OLD = """
SELECT e.id FROM event e WHERE e.id = ANY($1) AND e.fanned_out_at IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM delivery d WHERE d.event_id = e.id AND (
        d.ended_at IS NULL
        OR d.state = 'queued'
        OR d.ended_at >= now() - make_interval(days => CASE WHEN d.state = 'dead' THEN $3::int ELSE $2::int END)
        OR d.state = 'dead' AND $3::int IS NULL))
"""


ATTEMPTS = """
WITH page AS MATERIALIZED (
    SELECT delivery_id, number, at < now() - make_interval(days => $3) AS old FROM attempt
    WHERE (delivery_id, number) > ($1::bigint, $2::int) ORDER BY delivery_id, number LIMIT $4
), gone AS (
    DELETE FROM attempt a USING page p JOIN delivery d ON d.id = p.delivery_id
    WHERE p.old AND d.state IN ('delivered', 'withdrawn') AND a.delivery_id = p.delivery_id AND a.number = p.number
    RETURNING 1
)
SELECT delivery_id, number, bool_or(old) OVER (), (SELECT count(*) FROM gone) FROM page
ORDER BY delivery_id DESC, number DESC LIMIT 1
"""
"""What is queued or dead keeps its attempts: they say why."""


async def keep_young(pool: asyncpg.Pool, settings: Settings, stop: asyncio.Event) -> None:
    """Deletes what has grown old, again and again until ``stop`` is set; nothing where no retention is set."""
    days, attempt_days = settings.event_retention_days, settings.attempt_retention_days

    async def look() -> bool:
        if attempt_days is not None:
            told(await delete_attempts(pool, attempt_days, stop), "attempts", attempt_days)
        if days is not None:
            told(await delete_old(pool, days, settings.dead_letter_retention_days, stop), "events", days)
        return False

    if days is not None or attempt_days is not None:
        await repeat(look, PAUSE, stop, "Deleting what is old")


def told(deleted: int, what: str, days: int) -> None:
    if deleted:
        logger.info("%d %s were deleted after %d days", deleted, what, days)


async def delete_attempts(pool: asyncpg.Pool, days: int, stop: asyncio.Event) -> int:
    """How many attempts over ``days`` old were deleted, of what was delivered or withdrawn.

    The first batch in which nothing is old is the last. Another worker that is at it goes on alone.
    """
    deleted, after = 0, (0, 0)
    while not stop.is_set():
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", RETENTION_LOCK):
                return deleted
            row = await connection.fetchrow(ATTEMPTS, *after, days, BATCH)
        if row is None or not row[2]:
            return deleted
        deleted, after = deleted + row[3], (row[0], row[1])
        await asyncio.sleep(BREATH)
    return deleted


async def delete_old(pool: asyncpg.Pool, days: int, dead_days: int | None, stop: asyncio.Event) -> int:
    """How many events were deleted: those of which everything ended over ``days`` ago, dead letters ``dead_days``.

    What is queued stays, and so does a dead letter where ``dead_days`` is None. Another worker that is at it goes
    on alone.
    """
    deleted, after = 0, 0
    while not stop.is_set():
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", RETENTION_LOCK):
                return deleted
            number, last = await delete_batch(connection, after, days, dead_days)
        if last is None:
            return deleted
        deleted, after = deleted + number, last
        await asyncio.sleep(BREATH)
    return deleted


async def delete_batch(connection: Connection, after: int, days: int, dead_days: int | None) -> tuple[int, int | None]:
    """(events deleted, the last one looked at) of the old ones after the id ``after``; None where there is none."""
    window = [row[0] for row in await connection.fetch(WINDOW, after, days, BATCH) if row[1]]
    if not window:
        return 0, None
    await connection.execute(HOLD, window)
    old = [row[0] for row in await connection.fetch(OLD, window, days, dead_days)]
    await connection.execute("DELETE FROM delivery WHERE event_id = ANY($1)", old)
    await connection.execute("DELETE FROM event WHERE id = ANY($1)", old)
    return len(old), window[-1]
