"""A poller of a running server misses nothing (delivery.md, Polling loses nothing either)."""

import asyncio
from collections.abc import Callable

import asyncpg
import httpx
import pytest

from app.core.embedded_postgres import find_installation
from tests.api import Caller
from tests.conformance.conftest import Site, find_client
from tests.conformance.hosts import Renewed
from tests.integration.store.polling import run_writers
from tests.processes import PATIENCE

WRITERS = 16
ROWS = 10_000
LONGEST = 60
"""Round trips of a transaction, at most."""


async def dump_again_and_again(url: str, ended: asyncio.Event) -> int:
    """Runs pg_dump until it is to end; how often."""
    count = 0
    while not ended.is_set():
        command = find_installation() / "bin" / "pg_dump"
        dump = await asyncio.create_subprocess_exec(command, url, stdout=asyncio.subprocess.DEVNULL)
        assert await dump.wait() == 0
        count += 1
    return count


@pytest.mark.soak
async def test_sixteen_writers_and_ten_thousand_rows(
    site: Site, record_property: Callable[[str, object], None]
) -> None:
    """Two web processes; a transaction like pg_dump's stays open all the while, and pg_dump runs again and again."""
    settings = site.settings
    client = await find_client(settings, "hospital", "referrer")
    ended = asyncio.Event()
    reader = await asyncpg.connect(settings.database_url, server_settings={"application_name": "handoff-web"})
    async with (
        reader.transaction(isolation="repeatable_read", readonly=True),
        httpx.AsyncClient(base_url=site.server.address, auth=Renewed(settings, client, 0), timeout=PATIENCE) as http,
    ):
        await reader.fetch("SELECT * FROM patient")
        dumping = asyncio.create_task(dump_again_and_again(settings.database_url or "", ended))
        try:
            naive, ours = await run_writers(Caller("hospital", http), settings, WRITERS, ROWS // WRITERS, LONGEST)
        finally:
            ended.set()
            dumps = await dumping
    await reader.close()
    counted = {"rows": ROWS, "missed by the naive cursor": naive, "missed by ours": ours, "dumps": dumps}
    record_property("polling over HTTP: 16 writers, transactions of random length, pg_dump and a long reader", counted)
    assert ours == 0
    assert naive > 0
    assert dumps > 0
