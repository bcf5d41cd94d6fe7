"""A poller misses nothing (delivery.md, Polling loses nothing either), beside a naive one that does."""

import math
from dataclasses import replace
from unittest.mock import ANY

import asyncpg
import httpx
import pytest

from app.core.settings import Settings
from tests.api import Caller, World
from tests.integration.interactions.samples import bundle, entry, patient, reference
from tests.integration.store.polling import (
    Poller,
    follow,
    insert,
    poll_by_link,
    poll_history,
    poll_history_by_link,
    poll_later_than,
    poll_naively,
    run_writers,
)
from tests.server import serve


async def test_the_naive_cursor_misses_a_late_commit_and_ours_does_not(
    world: World, hospital: Caller, pool: asyncpg.Pool, settings: Settings
) -> None:
    naive, later, history, link, versions = (Poller() for _ in range(5))

    async def poll_all() -> None:
        await poll_naively(pool, settings, naive)
        await poll_later_than(hospital, later)
        await poll_history(hospital, history)
        await poll_by_link(hospital, link)
        await poll_history_by_link(hospital, versions)

    async with pool.acquire() as slow, pool.acquire() as quick:
        late = slow.transaction()
        await late.start()
        await insert(slow, "late")
        await insert(quick, "early")
        await poll_all()
        await late.commit()
    await poll_all()
    assert naive.seen == {("early", 1)}
    assert later.seen == history.seen == link.seen == versions.seen == {("early", 1), ("late", 1)}


async def test_a_transaction_that_has_only_begun_holds_nothing_back(hospital: Caller, pool: asyncpg.Pool) -> None:
    poller = Poller()
    async with pool.acquire() as slow, slow.transaction():
        await slow.fetchval("SELECT count(*) FROM patient")
        await hospital.create(patient())
        await poll_later_than(hospital, poller)
        assert len(poller.seen) == 1
        await insert(slow, "late")
    await poll_later_than(hospital, poller)
    assert ("late", 1) in poller.seen


async def test_eight_writers_of_random_length(world: World, reader: asyncpg.Connection) -> None:
    """Over HTTP; the long form is tests/conformance/test_polling_over_http.py."""
    caller = await world.caller("hospital")
    async with serve(world.app) as address, httpx.AsyncClient(base_url=address, headers=caller.http.headers) as http:
        naive, ours = await run_writers(Caller("hospital", http), world.settings, 8, 24, 40)
    assert ours == 0
    assert naive > 0


async def test_a_long_reader_holds_nothing_back(
    hospital: Caller, database_url: str, reader: asyncpg.Connection
) -> None:
    made = await hospital.create(patient())
    assert await hospital.find("Patient?_lastUpdated=gt2020") == [reference(made)]


async def test_a_writer_reads_its_own_writes_where_it_does_not_poll(hospital: Caller) -> None:
    answer = await hospital.send(
        "POST",
        "",
        bundle(
            "transaction",
            entry("POST", "Patient", patient(), "urn:uuid:0d1f8f0e-2a5c-4d3c-9c39-0c2a7fbb0c01"),
            entry("GET", "Patient?_sort=_lastUpdated"),
            entry("GET", "Patient?_lastUpdated=lt2100"),
            entry("GET", "Patient?_lastUpdated=gt2020"),
        ),
    )
    found = [each["resource"].get("entry", []) for each in answer.json()["entry"][1:]]
    assert [len(each) for each in found] == [1, 1, 0]
    assert len(await hospital.find("Patient?_lastUpdated=gt2020")) == 1


@pytest.mark.parametrize(
    ("query", "held"),
    [
        ("_lastUpdated=gt2020", True),
        ("_lastUpdated=ge2020&_lastUpdated=lt2100", True),
        ("_lastUpdated=sa2020", True),
        ("_lastUpdated=lt2000,gt2020", True),
        ("_lastUpdated=%d", True),
        ("_lastUpdated=lt2100", False),
        ("_lastUpdated=ne2020", False),
        ("_sort=_lastUpdated", False),
        ("_count=10", False),
    ],
)
async def test_what_is_held_back(hospital: Caller, pool: asyncpg.Pool, query: str, held: bool) -> None:
    async with pool.acquire() as slow:
        late = slow.transaction()
        await late.start()
        await insert(slow, "late")
        made = await hospital.create(patient())
        found = await hospital.find("Patient?" + query.replace("%d", made["meta"]["lastUpdated"][:4]))
        assert found == ([] if held else [reference(made)])
        await late.rollback()


async def test_all_pages_of_a_poll_stay_below_its_first_mark(hospital: Caller) -> None:
    made = sorted([await hospital.create(patient()) for _ in range(3)], key=lambda each: str(each["id"]))
    first = (await hospital.get("/Patient?_lastUpdated=gt2020&_count=2")).json()
    changed = (await hospital.update(made[2])).json()
    await hospital.create(patient())
    following = next(each["url"] for each in first["link"] if each["relation"] == "next").partition("/fhir")[2]
    entries, links = await follow(hospital, following)
    assert entries == []
    later, _ = await follow(hospital, links["urn:warm-handoff:next-poll"])
    assert len(later) == 2
    assert changed in [each["resource"] for each in later]


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("_lastUpdated=gt2020&_count=5&active=true", "_count=5&active=true&_lastUpdated=ge"),
        ("_lastUpdated=sa2020&_lastUpdated=lt2100", "_lastUpdated=lt2100&_lastUpdated=ge"),
        ("_lastUpdated=gt2020,gt2021", None),
        ("_lastUpdated=ge2020&_lastUpdated=2026", None),
        ("_count=5", None),
    ],
)
async def test_the_link_to_the_next_poll(hospital: Caller, query: str, kept: str | None) -> None:
    _, links = await follow(hospital, f"/Patient?{query.replace('active=true', 'birthdate=lt2100')}")
    found = links.get("urn:warm-handoff:next-poll", "")
    assert found.startswith(f"/Patient?{kept}".replace("active=true", "birthdate=lt2100")) if kept else not found


@pytest.mark.parametrize("address", ["/Patient?_lastUpdated=gt2020", "/Patient/_history?_since=2020"])
async def test_a_process_that_knows_an_earlier_mark_does_not_lead_back(
    world: World, hospital: Caller, address: str
) -> None:
    """Each web process has a mark of its own: who polls one after the other is given nothing twice."""
    await hospital.create(patient())
    behind = replace(world.hub.low_water, began=math.inf)
    await hospital.create(patient())
    entries, links = await follow(hospital, address)
    assert len(entries) == 2
    ahead = links["urn:warm-handoff:next-poll"]
    low_water, world.hub.low_water = world.hub.low_water, behind
    assert await follow(hospital, ahead) == ([], {**links, "self": ahead})
    world.hub.low_water = low_water
    assert await follow(hospital, ahead) == ([], {**links, "self": ahead, "urn:warm-handoff:next-poll": ANY})


async def test_all_pages_of_a_history_stay_below_its_first_mark(hospital: Caller) -> None:
    made = [await hospital.create(patient()) for _ in range(3)]
    first = (await hospital.get("/Patient/_history?_since=2020&_count=2")).json()
    late = await hospital.create(patient())
    following = next(each["url"] for each in first["link"] if each["relation"] == "next").partition("/fhir")[2]
    entries, links = await follow(hospital, following)
    assert [each["resource"]["id"] for each in entries] == [made[0]["id"]]
    assert links["urn:warm-handoff:next-poll"].startswith("/Patient/_history?_count=2&_since=2")
    later, _ = await follow(hospital, links["urn:warm-handoff:next-poll"])
    assert [each["resource"]["id"] for each in later] == [late["id"]]


async def test_a_history_that_does_not_poll_has_no_link_to_a_next_poll(hospital: Caller) -> None:
    made = await hospital.create(patient())
    _, links = await follow(hospital, f"/{reference(made)}/_history")
    assert set(links) == {"self"}
    _, links = await follow(hospital, f"/{reference(made)}/_history?_since=2020")
    assert links["urn:warm-handoff:next-poll"].startswith(f"/{reference(made)}/_history?_since=2")
