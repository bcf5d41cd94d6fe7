"""Runs one piece of an operator's command on the database, whether or not a server runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from typing import TypeVar

from app.core.database import open_pool
from app.core.operator_database import reach_database
from app.core.progress import when_slow
from app.core.settings import Settings
from app.interactions.hub import Hub

Result = TypeVar("Result")

STATEMENT_TIMEOUT = 600.0
"""Seconds; what an operator asks for may take longer than what a client may ask for."""


@asynccontextmanager
async def open_hub(settings: Settings, url: str) -> AsyncIterator[Hub]:
    """What the interactions need, on a small pool of its own."""
    pool = await open_pool(url, size=4, application_name="handoff-command", statement_timeout=STATEMENT_TIMEOUT)
    try:
        yield Hub(settings, pool, f"{(settings.public_url or '').rstrip('/')}/fhir")
    finally:
        await pool.close()


def run_command(settings: Settings, work: Callable[[Hub], Awaitable[Result]]) -> Result:
    """What ``work`` answers; the embedded database is started for it where no server runs."""

    async def run(url: str) -> Result:
        async with open_hub(settings, url) as hub:
            return await work(hub)

    with ExitStack() as stack:
        with when_slow("Starting the database"):
            url = stack.enter_context(reach_database(settings))
        return asyncio.run(run(url))
