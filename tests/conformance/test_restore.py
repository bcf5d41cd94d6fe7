"""Restore from a base backup, a backlog after an outage, and a message that kills every worker that takes it."""

import asyncio
import shutil
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from app.core.embedded_postgres import run_tool, start_cluster
from tests.conformance.faults import halt_postgres
from tests.conformance.hosts import Hosts
from tests.conformance.play import MOVES, REFERRALS, Play, Poll
from tests.conformance.reconcile import COMPACT, NOTIFIED, Change, find_disorder, find_faults, find_forged, read_journal
from tests.conformance.test_faults import SEEDS
from tests.integration.interactions.samples import bundle, entry, patient, reference, task
from tests.processes import await_that

EVENTS = 500 * SEEDS
PARTS = 2
"""Tests that share the seeds of the restores."""
AT_ONCE = 100
"""Tasks in one Bundle."""
PATIENCE = 1_800


def take_backup(hosts: Hosts) -> None:
    """As pg_basebackup takes it while the hosts serve."""
    backup = hosts.layout.home / "backup"
    shutil.rmtree(backup, ignore_errors=True)
    options = ("-h", str(hosts.layout.socket), "-U", "handoff", "-X", "stream", "-c", "fast")
    run_tool(hosts.layout, "pg_basebackup", "-D", str(backup), *options)


def restore_backup(hosts: Hosts) -> None:
    """The database is lost; the backup takes its place while the hosts run."""
    halt_postgres(hosts, "immediate")
    shutil.rmtree(hosts.layout.cluster)
    (hosts.layout.home / "backup").rename(hosts.layout.cluster)
    start_cluster(hosts.layout)
    for each in hosts.servers:
        await_that(each.answers)


async def move_on(play: Play, name: str, upto: int) -> None:
    """From the version that the Task has, as far as ``upto`` moves from its beginning."""
    done = len(await play.read_history(name)) - 1
    for status in MOVES[done:upto]:
        await play.move(name, status)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
async def test_restore_from_a_base_backup(
    play: Play, part: int, record_property: Callable[[str, object], None]
) -> None:
    """What was acknowledged before the backup is there; what came after it is told again as something new."""
    seeds = range(1 + part, SEEDS + 1, PARTS)
    for seed in seeds:
        await restore_once(play, seed)
    what = "restore from a base backup taken while writers write"
    record_property(what, {"seeds": len(seeds), **play.counts})


async def restore_once(play: Play, seed: int) -> None:
    play.receiver.journal.unlink(missing_ok=True)
    play.acknowledged.clear()
    play.tasks.clear()
    play.order(seed, ("503",))
    names = [await play.begin() for _ in range(REFERRALS)]
    poll = Poll(play.hospital[seed % 2])
    await asyncio.gather(*(move_on(play, name, 2) for name in names))
    sure = set(play.acknowledged)
    backing = asyncio.create_task(asyncio.to_thread(take_backup, play.hosts))
    await asyncio.gather(*(move_on(play, name, 3) for name in names))
    await backing
    await asyncio.gather(*(move_on(play, name, 4) for name in names))
    await play.begin()
    await play.drain()
    await poll.once()
    history = await play.list_committed()
    told = len(read_journal(play.receiver.journal))
    await asyncio.to_thread(restore_backup, play.hosts)
    del play.tasks[REFERRALS:]
    kept = await play.list_committed()
    assert sure <= kept, "acknowledged before the backup, and gone"
    await asyncio.gather(*(move_on(play, name, len(MOVES)) for name in [*names, await play.begin()]))
    await play.drain()
    await poll.follow(lambda: not poll.has_last(play.tasks), PATIENCE)
    check_restored(play, await play.list_committed(), history - kept, told)


def check_restored(play: Play, committed: set[Change], undone: set[Change], told: int) -> None:
    """Every change that stands was told, and nothing else but what the restore undid; no id means two things."""
    journal = read_journal(play.receiver.journal)
    for path in (COMPACT, NOTIFIED):
        mine = [each for each in journal if each.path == path]
        after = [each for each in journal[told:] if each.path == path]
        meanings: dict[str, set[str]] = defaultdict(set)
        for each in mine:
            meanings[each.id].add(each.body)
        assert committed <= {each.change for each in mine}
        assert {each.change for each in mine} - committed <= undone
        assert [name for name, bodies in meanings.items() if len(bodies) > 1] == []
        assert find_disorder(after) == []
        assert all(each.verified for each in mine)
        assert find_forged(mine, play.secrets[path]) == []
        play.counts["changes"] += len(committed)
        play.counts["receipts"] += len(mine)
        play.counts["undone by the restore"] += len(undone)


async def write_backlog(play: Play, events: int) -> None:
    """So many changes of status in Bundles, on both hosts."""
    hospital, ngo = play.hospital[0], play.ngo[1]
    for _ in range(max(1, events // (AT_ONCE * (1 + len(MOVES))))):
        who = reference(await hospital.create(patient()))
        ordered = {name: value for name, value in task(who, "").items() if name != "focus"}
        made = await send(hospital, *(entry("POST", "Task", ordered) for _ in range(AT_ONCE)))
        play.tasks += [f"Task/{each['id']}" for each in made]
        for status in MOVES:
            moved = [{**each, "status": status} for each in made]
            made = await send(ngo, *(entry("PUT", f"Task/{each['id']}", each, ifMatch=etag(each)) for each in moved))


def etag(resource: dict[str, Any]) -> str:
    return f'W/"{resource["meta"]["versionId"]}"'


async def send(caller: Any, *entries: Any) -> list[dict[str, Any]]:
    """One transaction; its resources as they were stored."""
    answer = await caller.send("POST", "", bundle("transaction", *entries), Prefer="return=representation")
    assert answer.status_code == 200, answer.text
    return [each["resource"] for each in answer.json()["entry"]]


@pytest.mark.soak
async def test_backlog_after_an_outage(play: Play, record_property: Callable[[str, object], None]) -> None:
    """The receiver is away while ten thousand events happen; then all come, in order."""
    play.receiver.stop()
    await write_backlog(play, EVENTS)
    async with play.open_pool() as pool:
        waiting = await pool.fetchval("SELECT count(*) FROM event")
    play.receiver.start()
    await play.drain(patience=PATIENCE)
    committed = await play.list_committed()
    journal = read_journal(play.receiver.journal)
    for path in (COMPACT, NOTIFIED):
        assert find_faults(committed, [each for each in journal if each.path == path]) == []
    counted = {"events": waiting, "changes": 2 * len(committed), "receipts": len(journal)}
    record_property("a backlog after an outage of the receiver", counted)


@pytest.mark.soak
@pytest.mark.parametrize("schedule", ["0,0.2,0.2,0.2,0.2"])
async def test_a_deadly_message_ends_as_a_dead_letter(
    play: Play, record_property: Callable[[str, object], None]
) -> None:
    """It kills each worker that sends it; all else arrives, and the hosts stay."""
    deadly = await play.begin()
    play.order(1, (), (deadly,))
    names = [await play.begin() for _ in range(REFERRALS)]
    await asyncio.gather(*(move_on(play, name, len(MOVES)) for name in names))
    await play.drain(ends=("dead", "delivered"), patience=PATIENCE)
    async with play.open_pool() as pool:
        dead = await pool.fetch(
            "SELECT e.focus_id, count(*) FROM delivery d JOIN event e ON e.id = d.event_id "
            "WHERE d.state = 'dead' GROUP BY 1"
        )
    assert [tuple(row) for row in dead] == [(deadly.removeprefix("Task/"), 2)]
    assert all(each.process.poll() is None for each in play.hosts.servers)
    play.tasks = names
    journal = read_journal(play.receiver.journal)
    for path in (COMPACT, NOTIFIED):
        mine = [each for each in journal if each.path == path and each.change[0] in names]
        assert find_faults(await play.list_committed(), mine) == []
    counted = {"kill -9": sum(each.answer == "kill" for each in journal), "receipts": len(journal)}
    record_property("a message that kills every worker that sends it", counted)
