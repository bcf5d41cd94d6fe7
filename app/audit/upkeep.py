"""Makes the trail's months before their first row comes."""

import asyncio

import asyncpg

from app.core.rounds import repeat
from app.store.audit import make_months

EVERY = 6 * 3_600.0
"""Seconds between two looks; two months are made ahead."""


async def keep_months(pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Looks again and again until ``stop`` is set; a month that is missing all the same has its rows in a default."""

    async def look() -> bool:
        async with pool.acquire() as connection:
            await make_months(connection)
        return False

    await repeat(look, EVERY, stop, "The next months of the audit trail")
