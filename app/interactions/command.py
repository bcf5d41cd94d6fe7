"""Runs one piece of an operator's command on the database, whether or not a server runs."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TypeVar

from app.audit.access import Access, access_under_way
from app.audit.address import Target
from app.audit.record import record_access
from app.core.command import COMMAND
from app.core.database import open_pool
from app.core.errors import HandoffError, Unavailable
from app.core.operator_database import application_url, reach_database
from app.core.progress import when_slow
from app.core.settings import Settings
from app.interactions.hub import Hub
from app.interactions.operate import OPERATOR

Result = TypeVar("Result")

STATEMENT_TIMEOUT = 600.0
"""Seconds; what an operator asks for may take longer than what a client may ask for."""


@asynccontextmanager
async def open_hub(settings: Settings, url: str) -> AsyncIterator[Hub]:
    """What the interactions need, on a small pool of its own."""
    pool = await open_pool(url, size=4, application_name="handoff-command", statement_timeout=STATEMENT_TIMEOUT)
    hub = Hub(settings, pool, settings.base_url)
    try:
        yield hub
    finally:
        await hub.trail.close()
        await pool.close()


def run_command(settings: Settings, work: Callable[[Hub], Awaitable[Result]]) -> Result:
    """What ``work`` answers; the embedded database is started for it where no server runs."""

    async def run(url: str) -> Result:
        async with open_hub(settings, url) as hub:
            return await record_command(hub, work)

    with ExitStack() as stack:
        with when_slow("Starting the database"):
            url = application_url(settings, stack.enter_context(reach_database(settings)))
        return asyncio.run(run(url))


async def record_command(hub: Hub, work: Callable[[Hub], Awaitable[Result]]) -> Result:
    """What ``work`` answers. The audit trail tells that the operator gave this command, and whether it failed."""
    access = Access(Target(f"handoff {COMMAND.get()}"))
    access.note_client(OPERATOR.client_id, OPERATOR.organization, OPERATOR.role)
    with access_under_way(access):
        try:
            result = await work(hub)
        except HandoffError as error:
            access.reason = error.code
            await record_access(hub.trail, access, error.status)
            raise
        except Exception:
            # What went wrong must not hide behind a trail that cannot be written either.
            with suppress(Unavailable):
                await record_access(hub.trail, access, 500)
            raise
        if not access.recorded:
            await record_access(hub.trail, access, 200)
        return result
