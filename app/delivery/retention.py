"""Deletes what is old: events, with their deliveries and attempts, in batches that hold nobody up."""

import asyncio
import logging
from contextlib import suppress

import asyncpg

from app.core.database import Connection
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


async def keep_young(pool: asyncpg.Pool, settings: Settings, stop: asyncio.Event) -> None:
    """Deletes what has grown old, again and again until ``stop`` is set; nothing where no retention is set."""
    while settings.event_retention_days is not None and not stop.is_set():
        try:
            deleted = await delete_old(pool, settings.event_retention_days, settings.dead_letter_retention_days, stop)
            if deleted:
                logger.info("%d events were deleted after %d days", deleted, settings.event_retention_days)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
            logger.warning("Old events could not be deleted: %s", type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PAUSE)


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
