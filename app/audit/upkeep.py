"""Makes the trail's months before their first row comes."""

import asyncio
import logging
from contextlib import suppress

import asyncpg

from app.audit.trail import AWAY
from app.store.audit import make_months

logger = logging.getLogger("handoff.audit")

EVERY = 6 * 3_600.0
"""Seconds between two looks; two months are made ahead."""


async def keep_months(pool: asyncpg.Pool, stop: asyncio.Event) -> None:
    """Looks again and again until ``stop`` is set; a month that is missing all the same has its rows in a default."""
    while not stop.is_set():
        try:
            async with pool.acquire() as connection:
                await make_months(connection)
        except AWAY as error:
            logger.warning("The next months of the audit trail could not be made: %s", type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), EVERY)
