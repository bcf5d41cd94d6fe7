"""Referrals played from beginning to end on two hosts while faults fall, and what is to be held against each other."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx

from app.core.data_dir import load_secret_key
from app.core.database import open_pool
from app.interactions.command import open_hub
from app.interactions.deliveries import resume
from app.interactions.operate import OPERATOR
from app.interactions.webhooks import add_webhook, change_secret
from tests.api import Caller, Resource
from tests.conformance.conftest import find_client
from tests.conformance.faults import Fault, fake_clock, kill_worker, step_clock_back
from tests.conformance.hosts import Hosts, Receiver, come_of_age
from tests.conformance.reconcile import (
    COMPACT,
    NOTIFIED,
    Change,
    find_faults,
    find_forged,
    find_needless,
    list_changes,
    read_journal,
)
from tests.integration.delivery.test_subscriptions import subscription
from tests.integration.interactions.samples import SYSTEM, patient, reference, service_request, task
from tests.processes import PATIENCE
from tests.waiting import until

MOVES = ("accepted", "in-progress", "on-hold", "in-progress", "completed")
REFERRALS = 4
LATEST = 12
"""Moves between two blows, less one, at most."""
PACE = 0.05
"""Seconds between two moves of one referral."""
RETRY = 0.1
"""Seconds before a request that failed is sent again, to the other host."""
POLL = 0.25
"""Seconds between two polls of a poller."""
LONG = 3 * PATIENCE
"""Seconds: every step waits for several processes that start again."""
GRACE = 86_400
"""Seconds for which the old secret signs too."""
GONE = "410"
UNQUEUED = """
SELECT e.focus_id, e.focus_version, e.facts::json ->> 'status' FROM event e
WHERE e.focus_type = 'Task' AND NOT EXISTS (
    SELECT 1 FROM delivery d JOIN event f ON f.id = d.event_id
    WHERE d.webhook_id = $1 AND f.focus_type = 'Task' AND f.focus_id = e.focus_id AND f.focus_version = e.focus_version)
"""
WAITING = """
SELECT d.id, d.number, d.referral, d.attempts, d.due_at - now() AS due, d.leased_until - now() AS leased, w.status,
       w.error, w.failures, w.resting_until - now() AS resting, (
           SELECT string_agg(concat(a.number, ': ', a.status, ' ', a.reason), ', ' ORDER BY a.number)
           FROM attempt a WHERE a.delivery_id = d.id) AS tried
FROM delivery d JOIN webhook w ON w.id = d.webhook_id WHERE d.state = 'queued' ORDER BY d.id LIMIT 20
"""
BEGINNING = "1970-01-01T00:00:00.000Z"


@dataclass
class Play:
    """Referrals on two hosts; ``acknowledged`` are the changes that a host said were written.

    ``secrets`` are those of each path of the receiver, ``subscribers`` its webhooks. ``counts`` is what happened.
    """

    hosts: Hosts
    receiver: Receiver
    hospital: list[Caller] = field(default_factory=list)
    ngo: list[Caller] = field(default_factory=list)
    subscribers: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    acknowledged: set[Change] = field(default_factory=set)
    tasks: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    moved: int = 0
    struck: bool = False

    async def begin(self) -> str:
        """A new referral; its Task."""
        who = await self.create(patient())
        asked = await self.create(service_request(who))
        name = await self.create(task(who, asked))
        self.tasks.append(name)
        return name

    async def create(self, resource: Resource) -> str:
        """Tries one host after the other: a create that was cut off may have been done, and is not done twice."""
        key = uuid4().hex
        identified = {**resource, "identifier": [{"system": SYSTEM, "value": key}]}
        hosts = cycle(random.sample(self.hospital, 2))
        made: list[str] = []

        async def succeed() -> bool:
            try:
                answer = await next(hosts).send(
                    "POST", f"/{resource['resourceType']}", identified, If_None_Exist=f"identifier={SYSTEM}|{key}"
                )
            except httpx.TransportError:
                self.counts["requests cut off"] += 1
                return False
            assert answer.status_code in (200, 201) or answer.status_code >= 500, answer.text
            if answer.status_code < 300:
                made.append(reference(answer.json()))
            return bool(made)

        await until(succeed, LONG, turn=RETRY)
        return made[0]

    async def move(self, name: str, status: str) -> None:
        """Tries one host after the other until the Task has the status: what was cut off may have been done."""
        hosts = cycle(random.sample(self.ngo, 2))

        async def succeed() -> bool:
            ngo = next(hosts)
            try:
                current = await ngo.get(f"/{name}")
                if current.status_code != 200:
                    assert current.status_code >= 500, current.text
                    return False
                found = current.json()
                if found["status"] == status:
                    return True
                answer = await ngo.update({**found, "status": status})
            except httpx.TransportError:
                self.counts["requests cut off"] += 1
                return False
            if answer.status_code == 200:
                self.acknowledged.add((name, int(answer.json()["meta"]["versionId"]), status))
                return True
            assert answer.status_code >= 500 or answer.status_code in (409, 412), answer.text
            return False

        await until(succeed, LONG, turn=RETRY)

    async def run(self, seed: int, fault: Fault) -> None:
        """Referrals from beginning to end, and more until all blows have fallen, at moments that the seed chooses."""
        dice = random.Random(seed)
        if step_clock_back in fault.blows:
            await asyncio.to_thread(fake_clock, self.hosts)
        await until(self.answer, LONG)
        # Before anything is played: whoever dies young makes its supervisor give up, and to play meanwhile costs much.
        await asyncio.to_thread(lambda: come_of_age([*self.hosts.webs, *self.hosts.workers]))
        self.receiver.journal.unlink(missing_ok=True)
        self.acknowledged.clear()
        self.tasks.clear()
        self.moved, self.struck = 0, False
        self.order(seed, fault.answers)
        polls = [Poll(each) for each in self.hospital]
        async with asyncio.TaskGroup() as group:
            playing = [group.create_task(self.play()) for _ in range(REFERRALS)]
            for poll in polls:
                group.create_task(poll.follow(lambda: not all(each.done() for each in playing)))
            if GONE in fault.answers:
                group.create_task(self.resume_all(lambda: all(each.done() for each in playing)))
            await self.rotate()
            for blow in dice.sample(fault.blows, len(fault.blows)):
                await self.await_moment(dice.randrange(1, LATEST), hanging=blow is kill_worker)
                await asyncio.to_thread(blow, self.hosts)
                self.counts["blows"] += 1
                self.counts["kill -9"] += blow.__name__.startswith("kill")
            self.struck = True
        await self.drain(hurried=fault.hurried)
        for poll in polls:
            await poll.follow(lambda poll=poll: not poll.has_last(self.tasks), LONG)  # type: ignore[misc]

    async def resume_all(self, ended: Callable[[], bool]) -> None:
        """An operator who turns on at once what the receiver turned off."""
        async with self.open_hub() as hub:

            async def look() -> bool:
                for row in await hub.pool.fetch("SELECT id FROM webhook WHERE status <> 'active'"):
                    await resume(hub, OPERATOR, row["id"])
                return ended()

            await until(look, LONG)

    async def answer(self) -> bool:
        """Whether both hosts are ready."""
        return all([await asyncio.to_thread(each.answers) for each in self.hosts.servers])

    async def play(self) -> None:
        """One referral after the other until all blows have fallen, not faster than people and machines would."""
        never = asyncio.get_running_loop().create_future()
        while True:
            name = await self.begin()
            for status in MOVES:
                await self.move(name, status)
                self.moved += 1
                await asyncio.wait([never], timeout=PACE)
            if self.struck:
                return

    async def rotate(self) -> None:
        """New secrets for all subscribers; the old ones sign too."""
        async with self.open_hub() as hub:
            key = load_secret_key(hub.settings)
            for path, webhook in self.subscribers.items():
                self.secrets.setdefault(path, []).append(await change_secret(hub, OPERATOR, key, webhook, GRACE))
        self.show_secrets()

    def show_secrets(self) -> None:
        replace(self.receiver.folder / "secrets", self.secrets)

    @asynccontextmanager
    async def open_hub(self) -> AsyncIterator[Any]:
        """What an operator's command has."""
        settings = self.hosts.settings
        async with open_hub(settings, settings.database_url or "") as hub:
            yield hub

    async def await_moment(self, moves: int, *, hanging: bool) -> None:
        """Until so many more moves were made; with ``hanging``, until one more delivery hangs as well."""
        moment, before = self.moved + moves, self.count_hanging()

        async def has_come() -> bool:
            return self.moved >= moment and (not hanging or self.count_hanging() > before)

        await until(has_come, LONG)

    def count_hanging(self) -> int:
        return sum(each.answer == "hang" for each in read_journal(self.receiver.journal))

    def order(self, seed: int, answers: tuple[str, ...] = (), deadly: tuple[str, ...] = ()) -> None:
        """What the receiver is to answer from now on."""
        replace(self.receiver.folder / "orders", {"seed": seed, "answers": answers, "deadly": deadly})

    async def drain(
        self, *, hurried: bool = False, ends: tuple[str, ...] = ("delivered",), patience: float = LONG
    ) -> None:
        """Until nothing waits; a webhook that the receiver turned off is turned on again, as an operator would."""
        async with self.open_hub() as hub:

            async def is_empty() -> bool:
                for row in await hub.pool.fetch("SELECT id, status FROM webhook"):
                    if hurried or row["status"] != "active":
                        await resume(hub, OPERATOR, row["id"])
                return not await hub.pool.fetchval(
                    "SELECT (SELECT count(*) FROM event WHERE fanned_out_at IS NULL)"
                    " + (SELECT count(*) FROM delivery WHERE state = 'queued')"
                )

            try:
                await until(is_empty, patience, turn=0.05)
            except TimeoutError:
                waiting = "\n".join(str(dict(row)) for row in await hub.pool.fetch(WAITING))
                raise AssertionError(f"the queue is not empty:\n{waiting}") from None
            found = await hub.pool.fetch("SELECT DISTINCT state FROM delivery ORDER BY state")
            assert tuple(row[0] for row in found) == ends

    async def read_history(self, name: str) -> list[dict[str, Any]]:
        """The versions of a Task, the oldest first, each stamped later than the one before it."""
        answer = (await self.hospital[0].get(f"/{name}/_history?_count=100")).json()
        versions = [each["resource"] for each in reversed(answer["entry"])]
        stamps = [each["meta"]["lastUpdated"] for each in versions]
        assert stamps == sorted(stamps)
        return versions

    async def list_committed(self) -> set[Change]:
        """The changes of status of all Tasks, by their histories."""
        return {change for name in self.tasks for change in list_changes(await self.read_history(name))}

    async def reconcile(self) -> list[str]:
        """What is wrong, by the server's own history and the receiver's journal."""
        committed = await self.list_committed()
        assert len(committed) == len(self.tasks) * (1 + len(MOVES))
        faults = [f"acknowledged and gone: {each}" for each in self.acknowledged - committed]
        journal = read_journal(self.receiver.journal)
        for path in (COMPACT, NOTIFIED):
            mine = [each for each in journal if each.path == path]
            promised = committed - (await self.list_unqueued(path) if GONE in {each.answer for each in mine} else set())
            wrong = find_faults(promised, mine) + find_forged(mine, self.secrets[path])
            faults += [f"{path}: {each}" for each in wrong]
            self.counts["changes"] += len(committed)
            self.counts["receipts"] += len(mine)
        faults += [f"elsewhere: {each.path}" for each in journal if each.path not in (COMPACT, NOTIFIED)]
        async with self.open_pool() as pool:
            return faults + await find_needless(pool, [each for each in journal if each.path in (COMPACT, NOTIFIED)])

    async def list_unqueued(self, path: str) -> set[Change]:
        """What happened while a subscriber was off, which is not kept for it."""
        async with self.open_pool() as pool:
            rows = await pool.fetch(UNQUEUED, self.subscribers[path])
        return {(f"Task/{row[0]}", row[1], row[2]) for row in rows}

    @asynccontextmanager
    async def open_pool(self) -> AsyncIterator[asyncpg.Pool]:
        url = self.hosts.settings.database_url or ""
        pool = await open_pool(url, size=2, application_name="handoff-test", statement_timeout=60)
        try:
            yield pool
        finally:
            await pool.close()


@dataclass
class Poll:
    """A poller of Tasks by ``_lastUpdated=gt``; ``seen`` is the latest version of each that it was given."""

    caller: Caller
    cursor: str = BEGINNING
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    async def follow(self, goes_on: Callable[[], bool], patience: float = 20 * LONG) -> None:
        """Polls again and again, through all faults."""

        async def has_ended() -> bool:
            with suppress(httpx.TransportError):
                await self.once()
            return not goes_on()

        await until(has_ended, patience, turn=POLL)

    async def once(self) -> None:
        """All pages of one poll; one that breaks off counts for nothing."""
        path, found = f"/Task?_lastUpdated=gt{self.cursor}&_count=50", []
        while path:
            answer = await self.caller.get(path)
            if answer.status_code != 200:
                assert answer.status_code >= 500, answer.text
                return
            page = answer.json()
            found += [each["resource"] for each in page.get("entry", ())]
            following = (each["url"] for each in page["link"] if each["relation"] == "next")
            path = next(following, "").partition("/fhir")[2]
        for each in found:
            self.seen[reference(each)] = each
            self.cursor = max(self.cursor, each["meta"]["lastUpdated"])

    def has_last(self, tasks: list[str]) -> bool:
        """Whether it has the last version of each Task."""
        return all(self.seen.get(name, {}).get("status") == MOVES[-1] for name in tasks)


def replace(path: Path, content: Any) -> None:
    """Writes JSON so that whoever reads it reads the old or the new."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(content))
    new.rename(path)


async def open_play(hosts: Hosts, receiver: Receiver) -> Play:
    """Clients in front of both hosts, and two subscribers at the receiver: a compact webhook and a Subscription."""
    play = Play(hosts, receiver)
    settings = hosts.settings
    for organization, role, callers in (("hospital", "referrer", play.hospital), ("ngo", "provider", play.ngo)):
        callers += hosts.callers(await find_client(settings, organization, role))
    url = f"http://127.0.0.1:{receiver.port}"
    async with play.open_hub() as hub:
        key = load_secret_key(settings)
        events = ["referral-status-changed"]
        webhook, secret = await add_webhook(hub, OPERATOR, key, url + COMPACT, "Organization/hospital", events)
        play.secrets[COMPACT] = [secret]
        wanted = {**subscription(url + NOTIFIED, "full-resource"), "status": "off"}
        created = await play.hospital[0].create(wanted)
        play.subscribers = {COMPACT: webhook, NOTIFIED: created["id"]}
        play.secrets[NOTIFIED] = [await change_secret(hub, OPERATOR, key, created["id"], 0)]
        play.show_secrets()
        assert (await play.hospital[0].update({**created, "status": "requested"})).status_code == 200

        async def is_active() -> bool:
            for row in await hub.pool.fetch("SELECT id FROM webhook WHERE status = 'error'"):
                await resume(hub, OPERATOR, row["id"])  # on a busy machine a handshake may not be answered in time
            return bool(await hub.pool.fetchval("SELECT bool_and(status = 'active') FROM webhook"))

        await until(is_active, LONG)
    return play
