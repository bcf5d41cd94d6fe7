"""Who polls, and who only reads."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.api import Caller, World


@pytest.fixture
async def hospital(world: World) -> Caller:
    """Its server reads the mark at each poll: rows come from other connections, and no test waits."""
    world.hub.low_water.reuse = 0
    return await world.caller("hospital")


@pytest.fixture
async def reader(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """In a transaction like pg_dump's, under a name of ours."""
    connection = await asyncpg.connect(database_url, server_settings={"application_name": "handoff-web"})
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.fetch("SELECT * FROM patient")
        yield connection
    await connection.close()
