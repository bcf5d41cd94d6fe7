"""The queue before the trail: bounded, emptied at the end, and held up rather than dropped."""

import asyncio
from typing import Any

import asyncpg
import pytest

from app.core.settings import Settings
from app.store.audit import copy_rows
from tests.api import World, open_world
from tests.waiting import until

PATIENT = {"resourceType": "Patient", "gender": "female"}
COUNT = "SELECT count(*) FROM audit WHERE interaction = 'read'"


async def read_some(world: World, number: int) -> None:
    """So many reads, one after the other."""
    hospital = await world.caller("hospital")
    patient = (await hospital.create(PATIENT))["id"]
    for _ in range(number):
        await hospital.read(f"Patient/{patient}")


async def test_the_end_of_a_process_writes_what_waits(settings: Settings, pool: asyncpg.Pool) -> None:
    async with open_world(settings) as world:
        await read_some(world, 3)
    assert await pool.fetchval(COUNT) == 3


async def test_synchronous_writes_before_the_answer(settings: Settings, pool: asyncpg.Pool) -> None:
    async with open_world(settings.model_copy(update={"audit": "synchronous"})) as world:
        await read_some(world, 2)
        assert await pool.fetchval(COUNT) == 2


async def test_a_full_queue_holds_up_and_loses_nothing(
    world: World, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital = await world.caller("hospital")
    patient = f"Patient/{(await hospital.create(PATIENT))['id']}"
    await world.hub.trail.flush()
    monkeypatch.setattr("app.audit.trail.MOST", 10)
    monkeypatch.setattr("app.audit.trail.PATIENCE", 60.0)
    async with pool.acquire() as connection:
        lock = connection.transaction()
        await lock.start()
        await connection.execute("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
        reads = [asyncio.create_task(hospital.read(patient)) for _ in range(20)]
        trail = world.hub.trail

        async def full() -> bool:
            return trail.batch.weight + trail.under_way.weight >= 10

        await until(full)
        assert not all(each.done() for each in reads)
        assert trail.batch.weight + trail.under_way.weight <= 10 + 1
        await lock.rollback()
    await asyncio.gather(*reads)
    await trail.flush()
    assert await pool.fetchval(COUNT) == len(reads)


async def test_what_cannot_be_recorded_is_not_answered(
    world: World, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital = await world.caller("hospital")
    await world.hub.trail.flush()
    monkeypatch.setattr("app.audit.trail.PATIENCE", 0.1)
    async with pool.acquire() as connection:
        lock = connection.transaction()
        await lock.start()
        await connection.execute("LOCK TABLE audit IN ACCESS EXCLUSIVE MODE")
        answer = await hospital.get("/Patient?nonsense=1")
        await lock.rollback()
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (503, "transient")
    await world.hub.trail.flush()
    assert await pool.fetchval("SELECT count(*) FROM audit WHERE status = 400") == 1


async def test_a_copy_whose_acknowledgement_was_lost_is_not_tried_for_ever(
    world: World, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital = await world.caller("hospital")
    patient = f"Patient/{(await hospital.create(PATIENT))['id']}"
    await world.hub.trail.flush()
    lost = 0

    async def copy_and_lose(connection: Any, rows: Any) -> None:
        nonlocal lost
        await copy_rows(connection, rows)
        lost += 1
        if lost == 1:
            raise asyncpg.ConnectionDoesNotExistError

    monkeypatch.setattr("app.audit.trail.copy_rows", copy_and_lose)
    monkeypatch.setattr("app.audit.trail.PAUSE", 0.0)
    await hospital.read(patient)
    await world.hub.trail.flush()
    await hospital.read(patient)
    await world.hub.trail.flush()
    assert await pool.fetchval(COUNT) == 2
