"""A referral that is begun while the Consent under it is withdrawn: whichever is first, nothing stays open."""

import asyncio

import pytest

from app.store.grounds import hold_consents
from tests.api import Caller, World
from tests.integration.interactions.consents import change, consent, prepare
from tests.integration.interactions.samples import reference
from tests.integration.interactions.test_visibility import everything
from tests.waiting import until


async def until_waiting(world: World, statement: str) -> None:
    """Somebody's transaction waits for the lock on a patient's Consents."""

    async def waits() -> bool:
        count: int = await world.pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND query LIKE $1", f"%{statement}%"
        )
        return count > 0

    await until(waits)


@pytest.mark.parametrize("ends", ["withdrawn", "denied"])
async def test_who_shares_waits_for_who_writes_a_consent(
    world: World, hospital: Caller, ngo: Caller, ends: str
) -> None:
    who, condition, asked, body = await prepare(hospital)
    given = reference(await hospital.create(consent(who, "ngo")))
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        # As a transaction that is about to write a Consent of this patient.
        await hold_consents(connection, [who.split("/")[1]], writing=True)
        sending = asyncio.create_task(hospital.send("POST", "/Task", body))
        await until_waiting(world, "pg_advisory_xact_lock_shared")
        if ends == "withdrawn":
            await connection.execute(
                "UPDATE consent SET content = replace(content, '\"active\"', '\"inactive\"') WHERE id = $1",
                given.split("/")[1],
            )
        else:
            await connection.execute(
                "UPDATE consent SET content = replace(content, '\"permit\"', '\"deny\"') WHERE id = $1",
                given.split("/")[1],
            )
        await transaction.commit()
    assert (await sending).status_code == 422
    assert await everything(ngo, [who, condition, asked]) == []


async def test_many_at_once_leave_nothing_open(world: World, hospital: Caller, ngo: Caller) -> None:
    """Those who share and who withdraws all wait for one lock: in whatever order they get it, nothing stays open."""
    who, condition, asked, body = await prepare(hospital)
    given = reference(await hospital.create(consent(who, "ngo")))
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await hold_consents(connection, [who.split("/")[1]], writing=True)
        sending = [asyncio.create_task(hospital.send("POST", "/Task", body)) for _ in range(6)]
        await until_waiting(world, "pg_advisory_xact_lock_shared")
        withdrawing = asyncio.create_task(change(hospital, given, status="inactive"))
        await until_waiting(world, "pg_advisory_xact_lock(")
        await transaction.rollback()
    await withdrawing
    answers = [(await each).status_code for each in sending]
    assert set(answers) <= {201, 422}
    assert 201 in answers
    assert await everything(ngo, [who, condition, asked]) == []
    statuses = [(await hospital.read(each))["status"] for each in await hospital.find("Task")]
    assert statuses == ["cancelled"] * answers.count(201)
