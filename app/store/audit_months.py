"""Drops the months of the audit trail that are kept no longer: only the owner of the tables can."""

import asyncio
import logging
from contextlib import suppress

import asyncpg

from app.core.database import Connection

logger = logging.getLogger("handoff.audit")

PAUSE = 3_600.0
"""Seconds between two looks."""
AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)


async def keep_audit_young(url: str, days: int | None, stop: asyncio.Event) -> None:
    """Looks again and again until ``stop`` is set; nothing where no retention is set. ``url`` is the owner's."""
    while days is not None and not stop.is_set():
        try:
            for name in await prune_audit(url, days):
                logger.warning("The audit trail's month %s was dropped after %d days", name, days)
        except AWAY as error:
            logger.warning("Old months of the audit trail could not be dropped: %s", type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PAUSE)


async def prune_audit(url: str, days: int) -> list[str]:
    """The names of the months that were dropped, on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        return await drop_months(connection, days)
    finally:
        await connection.close()


async def drop_months(connection: Connection, days: int) -> list[str]:
    """Drops the months of the trail that ended over so many days ago, as their owner; their names."""
    old = await connection.fetch(
        """SELECT tablename FROM pg_tables WHERE schemaname = 'audit_month' AND tablename ~ '^m[0-9]{4}_[0-9]{2}$'
        AND to_date(tablename, '"m"YYYY_MM') + interval '1 month' < now() - make_interval(days => $1) ORDER BY 1""",
        days,
    )
    for row in old:
        # It waits for whoever reads the trail, and makes whoever writes it wait: not for long.
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '2s'")
            await connection.execute(f"DROP TABLE audit_month.{row[0]}")
    await connection.execute("DELETE FROM audit_month.other WHERE recorded < now() - make_interval(days => $1)", days)
    return [row[0] for row in old]
