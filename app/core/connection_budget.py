"""Checks that PostgreSQL has room for every connection that the processes may open together."""

import asyncpg

from app.core.errors import HandoffError

SPARE = 5
"""For commands, migrations and people beside the server."""


async def check_connections(url: str, pool_size: int, processes: int) -> None:
    """Raises HandoffError where the pools of so many processes would not fit."""
    connection = await asyncpg.connect(url)
    try:
        row = await connection.fetchrow(
            """SELECT current_setting('max_connections')::int AS most,
            current_setting('superuser_reserved_connections')::int
            + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved"""
        )
    finally:
        await connection.close()
    if row is None:
        return
    needed, free = pool_size * processes + SPARE, row["most"] - row["reserved"]
    if needed > free:
        raise HandoffError(
            f"{processes} processes with HANDOFF_POOL_SIZE={pool_size} need {needed} connections with {SPARE} "
            f"to spare, but PostgreSQL gives {free} (max_connections {row['most']}, {row['reserved']} reserved): "
            "lower HANDOFF_POOL_SIZE or --workers, or raise max_connections"
        )
