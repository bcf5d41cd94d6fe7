"""Referrals that are overdue: told once for each deadline, in their place among the referral's events."""

import asyncio
import json
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from app.core.caller import Scope
from app.core.settings import Settings
from app.interactions.overdue import tell_overdue
from app.store.clocks import WORK, find_overdue, find_statement, has_work, set_missing_clocks, take_overdue
from app.store.rows import NO_CLOCK
from tests.api import Caller, Resource, World
from tests.integration.interactions.samples import patient, reference, service_request, task
from tests.integration.store.test_plans import check_plan, explain, walk_plan

EVERYTHING = Scope((), everything=True)
PAST = {"restriction": {"period": {"end": "2026-01-05T02:00:00Z"}}}
LABEL = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Only an urgent referral is overdue by its status, and at once."""
    return settings.model_copy(update={"overdue_hours": "requested:urgent=0,requested:routine=1"})


async def refer(hospital: Caller, **more: Any) -> Resource:
    subject = reference(await hospital.create(patient()))
    request = await hospital.create(service_request(subject, identifier=[{"system": "urn:p", "value": "P1"}]))
    return await hospital.create(task(subject, reference(request), **more))


async def change(caller: Caller, made: Resource, **more: Any) -> Resource:
    found = await caller.read(reference(made))
    answer = await caller.update({**found, **more})
    assert answer.status_code == 200, answer.text
    changed: Resource = answer.json()
    return changed


async def told(world: World) -> list[Any]:
    """The events of a referral that is overdue: (sequence, version, audience, labelled, facts)."""
    rows = await world.pool.fetch(
        "SELECT sequence, focus_version, audience, labelled, facts FROM event "
        "WHERE topic = 'referral-overdue' ORDER BY id"
    )
    return [(*row[:4], json.loads(row[4])) for row in rows]


async def due(world: World) -> datetime | None:
    found: datetime | None = await world.pool.fetchval("SELECT due_at FROM task")
    return found


async def test_told_once_in_its_place_to_whose_referral_it_is(world: World, hospital: Caller, ngo: Caller) -> None:
    made = await refer(hospital, **PAST)
    assert await has_work(world.pool)
    assert await tell_overdue(world.hub) == 1
    assert await tell_overdue(world.hub) == 0
    assert not await has_work(world.pool)
    await change(ngo, made, status="accepted")
    assert await tell_overdue(world.hub) == 0
    [(sequence, version, audience, labelled, facts)] = await told(world)
    # Before it came status changed, assigned and the guide's own event.
    assert (sequence, version, audience, labelled) == (4, 1, ["hospital", "ngo"], False)
    assert facts == {
        "task": reference(made),
        "serviceRequest": made["focus"]["reference"],
        "version": "1",
        "identifier": [{"system": "urn:p", "value": "P1"}],
        "status": "requested",
        "priority": "routine",
        "owner": "Organization/ngo",
        "deadline": "2026-01-05T02:00:01.000Z",
    }
    sequences = await world.pool.fetch(
        "SELECT sequence FROM event WHERE referral = $1 ORDER BY id", made["focus"]["reference"]
    )
    assert [row[0] for row in sequences] == list(range(1, len(sequences) + 1))


async def test_of_many_workers_at_once_one_tells(world: World, hospital: Caller) -> None:
    for _ in range(3):
        await refer(hospital, **PAST)
    counts = await asyncio.gather(*(tell_overdue(world.hub) for _ in range(4)))
    assert sum(counts) == 3
    assert len(await told(world)) == 3


async def test_a_worker_that_dies_over_it_has_told_nothing(world: World, hospital: Caller) -> None:
    made = await refer(hospital, **PAST)
    dying = await asyncpg.connect(world.settings.database_url)
    await dying.execute("BEGIN")
    taken = await take_overdue(dying, EVERYTHING, made["id"])
    assert taken is not None
    assert taken.first
    dying.terminate()
    assert await tell_overdue(world.hub) == 1
    assert len(await told(world)) == 1


async def test_a_mark_that_is_there_is_not_told_again(world: World, hospital: Caller) -> None:
    made = await refer(hospital, **PAST)
    await tell_overdue(world.hub)
    await world.pool.execute("UPDATE task SET due_at = '2026-01-05T02:00:01Z' WHERE id = $1", made["id"])
    assert await tell_overdue(world.hub) == 0
    assert await due(world) is None


async def test_another_deadline_is_told_anew(world: World, hospital: Caller) -> None:
    made = await refer(hospital, **PAST)
    await tell_overdue(world.hub)
    later = {"restriction": {"period": {"end": "2026-02-05T02:00:00Z"}}}
    await change(hospital, made, **later)
    assert await tell_overdue(world.hub) == 1
    assert [facts["deadline"] for *_, facts in await told(world)] == [
        "2026-01-05T02:00:01.000Z",
        "2026-02-05T02:00:01.000Z",
    ]


async def test_unanswered_by_priority(world: World, hospital: Caller, ngo: Caller) -> None:
    made = await refer(hospital)
    stamped = datetime.fromisoformat(made["meta"]["lastUpdated"])
    first = await due(world)
    assert first is not None
    assert (first - stamped).total_seconds() == 3600
    await change(hospital, made, note=[{"text": "Please"}])
    assert await due(world) == first
    assert await tell_overdue(world.hub) == 0
    await change(hospital, made, priority="urgent")
    assert await due(world) == stamped
    assert await tell_overdue(world.hub) == 1
    await change(ngo, made, status="accepted")
    assert await due(world) is None


async def test_what_has_been_answered_or_ended_is_not_overdue(world: World, hospital: Caller, ngo: Caller) -> None:
    await change(ngo, await refer(hospital, priority="urgent"), status="accepted")
    await change(ngo, await refer(hospital, **PAST), status="rejected", statusReason={"text": "Full"})
    await change(hospital, await refer(hospital, **PAST), status="cancelled", statusReason={"text": "Moved"})
    await refer(hospital, status="draft", priority="urgent")
    gone = await refer(hospital, **PAST)
    assert (await hospital.send("DELETE", f"/{reference(gone)}")).status_code == 204
    assert await tell_overdue(world.hub) == 0
    assert await told(world) == []


async def test_what_is_labelled_is_told_by_its_ids(world: World, hospital: Caller) -> None:
    made = await refer(hospital, meta=LABEL, **PAST)
    assert await tell_overdue(world.hub) == 1
    [(*_, labelled, facts)] = await told(world)
    assert labelled
    assert facts == {"task": reference(made), "serviceRequest": made["focus"]["reference"], "version": "1"}


async def test_tasks_from_before_there_were_clocks_get_theirs(world: World, hospital: Caller) -> None:
    old = await refer(hospital, **PAST)
    ended = await refer(hospital, status="draft", **PAST)
    deleted = await refer(hospital, **PAST)
    await hospital.send("DELETE", f"/{reference(deleted)}")
    await world.pool.execute("UPDATE task SET due_at = '-infinity'")
    assert await has_work(world.pool)
    assert await tell_overdue(world.hub) == 1
    [(*_, facts)] = await told(world)
    assert facts["task"] == reference(old) != reference(ended)
    assert [row[0] for row in await world.pool.fetch("SELECT due_at FROM task")] == [None] * 3


async def test_a_task_that_cannot_be_told_holds_up_no_other(
    world: World, hospital: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await refer(hospital, restriction={"period": {"end": "2026-01-01T00:00:00Z"}})
    await refer(hospital, **PAST)
    await world.pool.execute("UPDATE task SET content = 'x' WHERE id = $1", broken["id"])
    assert await tell_overdue(world.hub) == 1
    assert f"Task {broken['id']} is overdue could not be told" in caplog.text
    assert [row[0] for row in await find_overdue(world.pool, EVERYTHING, 10)] == [broken["id"]]


async def test_the_clock_looks_by_its_index(pool: asyncpg.Pool) -> None:
    await pool.execute(
        "INSERT INTO task (id, version, last_updated, content, owner_org, referral, requester_org, due_at) "
        "SELECT n::text, 1, now(), '{}', 'o', 'Task/' || n, 'o', "
        "CASE WHEN n % 2 = 0 THEN now() + make_interval(mins => n) END FROM generate_series(1, 5000) n"
    )
    looks = "\n".join(row[0] for row in await pool.fetch(f"EXPLAIN {WORK}"))
    assert "task_due" in looks, looks
    assert "Seq Scan" not in looks, looks
    plan = await explain(pool, find_statement(EVERYTHING), [["o"], 10])
    assert check_plan("overdue", plan, 10) == []
    assert "task_due" in {each.get("Index Name") for each in walk_plan(plan)}
    async with pool.acquire() as connection:
        assert await set_missing_clocks(connection, EVERYTHING, lambda _: NO_CLOCK, 10) == 0
