"""Versions that were replaced long ago go; the current one, and what is still to be told, stay."""

import asyncio

import asyncpg
import pytest

from app.fhir.registry import TYPES
from app.store import history_retention
from app.store.history_retention import LOCK, delete_versions
from tests.api import Caller, Resource, World
from tests.integration.cli.conftest import Attempt, Command, attempt, handoff
from tests.integration.delivery.test_delivery import make_webhook
from tests.integration.interactions.samples import refer, reference

__all__ = ["attempt", "handoff"]

OBSERVATION: Resource = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}


async def age(pool: asyncpg.Pool, about: str, *days: int) -> None:
    """Each version of a resource was written so many days ago, the first one first."""
    name, _, resource_id = about.partition("/")
    for version, each in enumerate(days, 1):
        for table, more in ((TYPES[name].table, ""), ("resource_history", f" AND type = '{name}'")):
            await pool.execute(
                f"UPDATE {table} SET last_updated = now() - make_interval(days => $3) "
                f"WHERE id = $1 AND version = $2{more}",
                resource_id,
                version,
                each,
            )


async def left(who: Caller, about: str) -> list[str]:
    """The numbers of the versions that there are, the newest first."""
    entries = (await who.get(f"/{about}/_history")).json()["entry"]
    return [each["response"]["etag"][3:-1] for each in entries]


async def write(who: Caller, versions: int) -> str:
    made = await who.create(OBSERVATION)
    for number in range(1, versions):
        made = (await who.update({**made, "code": {"text": f"x{number}"}})).json()
    return reference(made)


async def prune(world: World, days: int = 60) -> int:
    return await delete_versions(world.pool, days, asyncio.Event())


async def test_what_was_replaced_long_ago_goes(world: World, hospital: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_retention, "BATCH", 2)
    changed, quiet, deleted = [await write(hospital, each) for each in (5, 1, 2)]
    assert (await hospital.send("DELETE", f"/{deleted}")).status_code == 204
    # The third one was replaced 50 days ago, however old it is itself.
    await age(world.pool, changed, 400, 300, 200, 50, 40)
    await age(world.pool, quiet, 400)
    await age(world.pool, deleted, 400, 300, 100)
    assert await prune(world) == 4
    assert await left(hospital, changed) == ["5", "4", "3"]
    assert await left(hospital, quiet) == ["1"]
    assert await left(hospital, deleted) == ["3"]
    assert (await hospital.get(f"/{changed}/_history/1")).status_code == 404
    assert (await hospital.get(f"/{deleted}")).status_code == 410
    assert await prune(world) == 0


async def test_a_binary_goes_with_its_content(world: World, hospital: Caller) -> None:
    answer = await hospital.send("POST", "/Binary", "first", Content_Type="text/plain")
    about = "/".join(answer.headers["location"].split("/fhir/")[1].split("/")[:2])
    assert (await hospital.send("PUT", f"/{about}", "second", Content_Type="text/plain")).status_code == 200
    await age(world.pool, about, 100, 90)
    assert await prune(world) == 1
    for table in ("binary_content", "binary_chunk"):
        assert await world.pool.fetchval(f"SELECT array_agg(version) FROM {table}") == [2]
    assert (await hospital.get(f"/{about}")).text == "second"


async def test_what_is_still_to_be_told_stays(world: World, hospital: Caller) -> None:
    await make_webhook(world.pool, world.settings, "http://127.0.0.1:1/", organization="hospital")
    await world.organization("ngo")
    _, _, about = await refer(hospital)
    for status in ("ready", "on-hold"):
        found = await hospital.read(about)
        await world.pool.execute("UPDATE event SET fanned_out_at = now()")
        assert (await hospital.update({**found, "priority": "urgent", "description": status})).status_code == 200
    await age(world.pool, about, 400, 300, 200)
    event = await world.pool.fetchval("SELECT min(id) FROM event WHERE focus_id = $1", about[5:])
    await world.pool.execute("UPDATE event SET focus_version = 1, fanned_out_at = NULL WHERE id = $1", event)
    assert await prune(world) == 1
    await world.pool.execute("UPDATE event SET fanned_out_at = now()")
    await world.pool.execute(
        "INSERT INTO delivery (webhook_id, event_id, referral, number, state) SELECT 'w', id, referral, 1, 'dead' "
        "FROM event WHERE id = $1",
        event,
    )
    assert await prune(world) == 0
    await world.pool.execute("UPDATE delivery SET state = 'delivered'")
    assert await prune(world) == 1
    assert await left(hospital, about) == ["3"]


async def test_what_a_search_follows_stays_until_it_was_looked_at(world: World, hospital: Caller) -> None:
    about = await write(hospital, 3)
    await age(world.pool, about, 400, 300, 200)
    await make_webhook(world.pool, world.settings, "http://127.0.0.1:1/")
    await world.pool.execute(
        "INSERT INTO followed (webhook_id, type, criteria, since) VALUES ('w', 'Observation', 'Observation?', now())"
    )
    await world.pool.execute(
        "INSERT INTO follow_cursor (type, last_updated, id) VALUES ('Observation', now() - interval '350 days', '')"
    )
    assert await prune(world) == 1
    assert await left(hospital, about) == ["3", "2"]


async def test_one_at_a_time(world: World, hospital: Caller) -> None:
    about = await write(hospital, 2)
    await age(world.pool, about, 400, 300)
    async with world.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        assert await prune(world) == 0
    assert await prune(world) == 1


async def test_by_command(
    world: World, hospital: Caller, handoff: Command, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    about = await write(hospital, 2)
    await age(world.pool, about, 400, 300)
    assert (await attempt("db", "prune")).exit_code == 1
    assert len(await left(hospital, about)) == 2
    for name in ("HISTORY", "EVENT", "ATTEMPT", "AUDIT"):
        monkeypatch.setenv(f"HANDOFF_{name}_RETENTION_DAYS", "90")
    said = await handoff("db", "prune")
    assert said.splitlines() == [
        "Dropped 0 months.",
        "Deleted 1 versions.",
        "Deleted 0 attempts.",
        "Deleted 0 events.",
    ]
    assert len(await left(hospital, about)) == 1
