"""Readers hand on connections: the same one again, none that is dead, and all of them back to the pool soon."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.core import database
from app.core.caller import Caller
from app.core.database import Lender, is_alive, open_pool
from app.core.errors import Unavailable
from app.core.settings import Settings
from app.interactions.hub import Hub
from app.interactions.read import reading
from tests.waiting import until

SIZE = 4
CALLER = Caller("reader", "hospital", "referrer", (("*", frozenset("rs")),))


@pytest.fixture
async def small(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool of four."""
    opened = await open_pool(database_url, size=SIZE, application_name="handoff-test", statement_timeout=30)
    yield opened
    opened.terminate()


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing goes back by itself."""
    monkeypatch.setattr(database, "LINGER", 3_600)


async def number(connection: database.Connection) -> int:
    found: int = await connection.fetchval("SELECT pg_backend_pid()")
    return found


@pytest.mark.usefixtures("long")
async def test_the_next_reader_has_the_same_connection(small: asyncpg.Pool) -> None:
    lender = Lender(small)
    first = await lender.take()
    before = await number(first)
    await lender.give(first)
    assert await number(await lender.take()) == before


@pytest.mark.usefixtures("long")
async def test_two_at_once_have_two(small: asyncpg.Pool) -> None:
    lender = Lender(small)
    first, second = await lender.take(), await lender.take()
    assert await number(first) != await number(second)


@pytest.mark.usefixtures("long")
async def test_at_most_half_of_the_pool_waits_here(small: asyncpg.Pool) -> None:
    lender = Lender(small)
    taken = [await lender.take() for _ in range(SIZE)]
    for each in taken:
        await lender.give(each)
    assert len(lender.idle) == SIZE // 2
    assert len([await asyncio.wait_for(small.acquire(), 30) for _ in range(SIZE // 2)]) == SIZE // 2


@pytest.mark.usefixtures("long")
async def test_who_waits_for_the_pool_is_served_before_the_next_reader(small: asyncpg.Pool) -> None:
    """A writer, the audit trail, the watch of clients: readers in a crowd must not keep them out."""
    lender = Lender(small)
    taken = [await lender.take() for _ in range(SIZE)]

    async def write() -> int:
        async with small.acquire() as connection:
            return await number(connection)

    freed = await number(taken[0])
    waiting = asyncio.create_task(write())
    await lender.give(taken[0])
    assert await asyncio.wait_for(waiting, 30) == freed


@pytest.mark.usefixtures("long")
async def test_a_dead_connection_is_not_lent(small: asyncpg.Pool) -> None:
    lender = Lender(small)
    dead = await lender.take()
    before = await number(dead)
    await lender.give(dead)
    async with small.acquire() as other:
        await other.execute("SELECT pg_terminate_backend($1)", before)

    async def is_known() -> bool:
        return not is_alive(dead)

    await until(is_known)
    assert await number(await lender.take()) != before


async def test_what_nobody_wants_goes_back(small: asyncpg.Pool) -> None:
    lender = Lender(small)
    await lender.give(await lender.take())

    async def is_back() -> bool:
        return not lender.idle and small.get_idle_size() == small.get_size()

    await until(is_back)
    await small.close()


@pytest.mark.usefixtures("long")
async def test_a_failed_or_abandoned_read_gives_its_connection_to_the_pool(
    small: asyncpg.Pool, settings: Settings
) -> None:
    hub = Hub(settings, small, "http://test/fhir")

    async def wait_long() -> None:
        async with reading(hub, CALLER) as (connection, _):
            await connection.execute("SELECT pg_sleep(3600)")

    task = asyncio.create_task(wait_long())

    async def is_asking() -> bool:
        return bool(await small.fetchval("SELECT true FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(3600)'"))

    await until(is_asking)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(Unavailable, match="too long"):
        async with reading(hub, CALLER) as (connection, _):
            await connection.execute("SET LOCAL statement_timeout = 1; SELECT pg_sleep(3600)")
    with pytest.raises(Unavailable, match="cannot be reached"):
        async with reading(hub, CALLER) as (connection, _):
            await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    assert hub.lender.idle == []
    async with asyncio.timeout(30):
        async with reading(hub, CALLER) as (connection, _):
            assert await connection.fetchval("SELECT 1") == 1
