"""Stamps and marks keep apart whatever the clock does, and no write goes round them (delivery.md, Polling)."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from app.core.embedded_postgres import run_tool, start_cluster, start_postgres
from app.fhir.registry import STORED
from app.store.low_water import LowWater
from app.store.migrate import upgrade_database
from tests.api import Caller, World
from tests.integration.interactions.samples import patient, refer, reference, service_request
from tests.integration.store.polling import Poller, insert, poll_later_than


async def publish(pool: asyncpg.Pool, mark: datetime) -> None:
    """As if this mark had been given out before the wall clock was stepped back."""
    async with pool.acquire() as connection:
        await connection.fetchval("SELECT setval('published_mark', $1)", round(mark.timestamp() * 1000))


async def test_the_clock_may_be_stepped_back(world: World, hospital: Caller, pool: asyncpg.Pool) -> None:
    poller = Poller()
    await hospital.create(patient())
    await poll_later_than(hospital, poller)
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    await publish(pool, ahead)
    stamps = []
    for count in range(2, 6):
        made = await hospital.create(patient())
        stamps.append(made["meta"]["lastUpdated"])
        await poll_later_than(hospital, poller)
        assert len(poller.seen) == count
    assert stamps == sorted(set(stamps))
    assert stamps[0] >= ahead.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def test_marks_outlive_a_crash_and_a_slow_clock_after_it(tmp_path: Path) -> None:
    """The clock after the crash is an hour behind that of the marks before it."""
    running = start_postgres(tmp_path)
    try:
        await asyncio.to_thread(upgrade_database, running.url)
        ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        before = LowWater()
        named = {"application_name": "handoff-test"}
        connection = await asyncpg.connect(running.url, server_settings=named)
        await connection.fetchval("SELECT setval('published_mark', $1)", round(ahead.timestamp() * 1000))
        await before.read(connection)
        run_tool(running.layout, "pg_ctl", "-D", str(running.layout.cluster), "-m", "immediate", "stop")
        start_cluster(running.layout)
        connection = await asyncpg.connect(running.url, server_settings=named)
        assert await connection.fetchval("SELECT last_value FROM published_mark") == 1
        stored = await insert(connection, "after")
        assert stored.last_updated >= before.mark > ahead
        assert await LowWater().read(connection) > stored.last_updated
        await connection.close()
    finally:
        running.destroy()


async def read_stamps(pool: asyncpg.Pool) -> dict[tuple[str, int], tuple[str, datetime]]:
    """By id and version: the type and the stamp of every version of every resource."""
    parts = [f"SELECT '{name}' AS type, id, version, last_updated FROM {each.table}" for name, each in STORED.items()]
    parts.append("SELECT type, id, version, last_updated FROM resource_history")
    async with pool.acquire() as connection:
        rows = await connection.fetch(" UNION ALL ".join(parts))
    return {(row[1], row[2]): (row[0], row[3]) for row in rows}


async def test_every_write_is_stamped_above_the_published_mark(world: World, hospital: Caller) -> None:
    ngo = await world.caller("ngo", "provider")
    silent = await world.caller("hospital", server_makes_tasks=True)
    who, _, name = await refer(hospital)
    gone = reference(await hospital.create(patient()))
    known = await read_stamps(world.pool)
    ahead = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    await publish(world.pool, ahead)
    for status in ("accepted", "in-progress", "completed"):
        assert (await ngo.update({**await ngo.read(name), "status": status})).status_code == 200
    await silent.create(service_request(who, performer=[{"reference": "Organization/ngo"}]))
    assert (await hospital.send("PUT", "/Patient?identifier=x|1", patient())).status_code == 201
    assert (await hospital.send("DELETE", f"/{gone}")).status_code == 204
    written = [each for key, each in (await read_stamps(world.pool)).items() if key not in known]
    assert {name for name, _ in written} >= {"Patient", "Task", "ServiceRequest", "Provenance"}
    assert [(name, at) for name, at in written if at < ahead] == []


async def test_a_writer_that_the_mark_cannot_know_is_refused(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"application_name": "psql"})
    with pytest.raises(asyncpg.RaiseError):
        await insert(connection, "stranger")
    await connection.close()


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def test_the_mark_waits_for_open_writers_and_never_sinks() -> None:
    low_water = LowWater()
    low_water.settle(at(10), [], None)
    assert low_water.mark == at(10)
    low_water.settle(at(20), ["1"], at(15))
    assert low_water.mark == at(15)
    low_water.settle(at(30), ["1", "2"], at(5))
    assert low_water.mark == at(15)
    # After a step back of the clock, starts say nothing; that writer 1 has ended does.
    low_water.settle(at(40), ["2"], at(5))
    assert low_water.mark == at(20)
    low_water.settle(at(50), ["3"], at(5))
    assert low_water.mark == at(40)


async def test_of_many_polls_at_once_few_read_the_mark(world: World, pool: asyncpg.Pool) -> None:
    low_water = LowWater(reuse=60)

    async def read() -> datetime:
        async with pool.acquire() as connection:
            return await low_water.read(connection)

    marks = await asyncio.gather(*(read() for _ in range(50)))
    assert len(set(marks)) == 1
    low_water.expire()
    assert await read() > marks[0]
