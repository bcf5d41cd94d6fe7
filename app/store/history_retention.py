"""Deletes versions that were superseded long ago, with the content of Binaries, in batches that hold nobody up."""

import asyncio
import logging
from datetime import UTC, datetime
from functools import cache

import asyncpg

from app.core.rounds import repeat
from app.fhir.registry import STORED, TYPES

logger = logging.getLogger("handoff.history")

LOCK = 0x68616E646F6869
BATCH = 500
PAUSE = 3_600.0
"""Seconds between two looks at what has grown old."""
BREATH = 0.05
"""Seconds between two batches."""

Cursor = tuple[datetime, str, int]
BEGINNING: Cursor = (datetime(1, 1, 1, tzinfo=UTC), "", 0)


@cache
def delete_statement(resource_type: str) -> str:
    """$1-$3 the last version looked at, $4 days, $5 how many.

    The current version is not in this table, and of a deleted resource that is the deletion. What is still to be told
    stays: versions of which an event speaks that is not sent yet, or is a dead letter, and those that Subscriptions
    which follow the type have not come to.
    """
    table = TYPES[resource_type].table
    deletions = ["gone AS (DELETE FROM resource_history h USING page p "
                 f"WHERE p.old AND h.type = '{resource_type}' AND h.id = p.id AND h.version = p.version "
                 "RETURNING h.id, h.version)"]  # fmt: skip
    if resource_type == "Binary":
        deletions += [
            f"{content} AS (DELETE FROM {content} c USING gone g WHERE c.id = g.id AND c.version = g.version)"
            for content in ("binary_content", "binary_chunk")
        ]
    return f"""
WITH needed AS MATERIALIZED (
    SELECT focus_id AS id, focus_version AS version FROM event
    WHERE fanned_out_at IS NULL AND focus_type = '{resource_type}'
    UNION SELECT e.focus_id, e.focus_version FROM delivery d JOIN event e ON e.id = d.event_id
    WHERE d.state IN ('queued', 'dead') AND e.focus_type = '{resource_type}'
), page AS MATERIALIZED (
    SELECT h.id, h.version, h.last_updated,
        coalesce((SELECT min(n.last_updated) FROM resource_history n
                  WHERE n.type = h.type AND n.id = h.id AND n.version > h.version), r.last_updated)
            < now() - make_interval(days => $4)
        AND NOT EXISTS (SELECT 1 FROM needed n WHERE n.id = h.id AND n.version = h.version)
        AND NOT EXISTS (SELECT 1 FROM follow_cursor c JOIN followed f ON f.type = c.type
                        WHERE c.type = h.type AND c.last_updated < h.last_updated) AS old
    FROM resource_history h JOIN {table} r ON r.id = h.id
    WHERE h.type = '{resource_type}' AND h.last_updated < now() - make_interval(days => $4)
      AND (h.last_updated, h.id, h.version) > ($1, $2, $3)
    ORDER BY h.last_updated, h.id, h.version LIMIT $5
), {", ".join(deletions)}
SELECT last_updated, id, version, (SELECT count(*) FROM gone) FROM page
ORDER BY last_updated DESC, id DESC, version DESC LIMIT 1
"""


async def keep_history_young(pool: asyncpg.Pool, days: int | None, stop: asyncio.Event) -> None:
    """Deletes what has grown old, again and again until ``stop`` is set; nothing where no retention is set."""
    if days is None:
        return

    async def look() -> bool:
        if deleted := await delete_versions(pool, days, stop):
            logger.info("%d versions were deleted, %d days after the next one came", deleted, days)
        return False

    await repeat(look, PAUSE, stop, "Deleting old versions")


async def delete_versions(pool: asyncpg.Pool, days: int, stop: asyncio.Event) -> int:
    """How many versions were deleted, of all types: those that another one replaced over so many days ago."""
    return sum([await delete_of_type(pool, name, days, stop) for name in STORED])


async def delete_of_type(pool: asyncpg.Pool, resource_type: str, days: int, stop: asyncio.Event) -> int:
    """Each batch is a transaction of its own; another process that is at it goes on alone."""
    deleted, cursor = 0, BEGINNING
    while not stop.is_set():
        async with pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                break
            row = await connection.fetchrow(delete_statement(resource_type), *cursor, days, BATCH)
        if row is None:
            break
        deleted, cursor = deleted + row[3], (row[0], row[1], row[2])
        await asyncio.sleep(BREATH)
    return deleted
