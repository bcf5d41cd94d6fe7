"""Every fault of docs/reliability.md: nothing lost, nothing invented, in order, duplicates under the same id."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.data_dir import load_secret_key
from app.core.embedded_postgres import start_postgres
from app.interactions.command import open_hub
from app.interactions.deliveries import resume
from app.interactions.operate import OPERATOR
from app.interactions.webhooks import add_webhook
from tests.conformance.conftest import LOOPBACK, Site
from tests.conformance.faults import FAULTS, Fault, kill_worker
from tests.conformance.reconcile import Change, find_faults, list_changes, read_journal
from tests.processes import PATIENCE
from tests.server import Server
from tests.waiting import until

MOVES = ("accepted", "in-progress", "on-hold", "in-progress", "completed")
REFERRALS = 4
WRITES = REFERRALS * len(MOVES)
SETTINGS = {**LOOPBACK, "webhook_retry_schedule": "0," + ",".join(["0.2"] * 60), "webhook_timeout": "1"}
SEEDS = 20
LONG = 2 * PATIENCE
"""Seconds: every step waits for several processes that start again."""


@dataclass
class Play:
    """Referrals played against one server; ``acknowledged`` are the changes that the server said were written."""

    site: Site
    webhook: str
    folder: Path
    hospital: httpx.AsyncClient
    ngo: httpx.AsyncClient
    acknowledged: set[Change] = field(default_factory=set)
    tasks: list[str] = field(default_factory=list)
    moved: int = 0
    playing: int = 0

    async def begin(self) -> str:
        """A new referral; its Task."""
        who = await self.make({"resourceType": "Patient"})
        about = {"subject": {"reference": who}}
        asked = await self.make({"resourceType": "ServiceRequest", "status": "active", "intent": "order", **about})
        task = {"resourceType": "Task", "status": "requested", "intent": "order", "for": {"reference": who}}
        parties = {"focus": {"reference": asked}, "owner": {"reference": "Organization/ngo"}}
        return await self.make({**task, **parties})

    async def make(self, resource: dict[str, Any]) -> str:
        answer = await self.hospital.post(f"/{resource['resourceType']}", json=resource)
        assert answer.status_code == 201, answer.text
        return f"{resource['resourceType']}/{answer.json()['id']}"

    async def move(self, task: str, status: str) -> None:
        """Tries until the Task has the status: a write whose answer was lost may have been done."""

        async def succeed() -> bool:
            with suppress(httpx.TransportError):
                current = await self.ngo.get(f"/{task}")
                if current.status_code != 200:
                    assert current.status_code >= 500, current.text
                    return False
                found = current.json()
                if found["status"] == status:
                    return True
                version = {"If-Match": f'W/"{found["meta"]["versionId"]}"'}
                answer = await self.ngo.put(f"/{task}", json={**found, "status": status}, headers=version)
                if answer.status_code == 200:
                    self.acknowledged.add((task, int(answer.json()["meta"]["versionId"]), status))
                    return True
                assert answer.status_code >= 500 or answer.status_code in (409, 412), answer.text
            return False

        await until(succeed, LONG)

    async def run(self, seed: int, fault: Fault) -> None:
        """All referrals at once from beginning to end, the blows falling at moments that the seed chooses."""
        dice = random.Random(seed)
        self.acknowledged.clear()
        self.moved, self.playing = 0, REFERRALS
        self.order(seed, ())
        self.tasks = [await self.begin() for _ in range(REFERRALS)]
        self.order(seed, fault.answers)
        moments = sorted(dice.sample(range(WRITES // 2), len(fault.blows)))
        blows = dice.sample(fault.blows, len(fault.blows))
        async with asyncio.TaskGroup() as group:
            for task in self.tasks:
                group.create_task(self.play(task))
            for moment, blow in zip(moments, blows, strict=True):
                await until(lambda moment=moment: self.has_come_to(moment), LONG)  # type: ignore[misc]
                if blow is kill_worker:
                    await self.await_delivery_under_way()
                await asyncio.to_thread(blow, self.site)
        await self.drain()

    async def play(self, task: str) -> None:
        for status in MOVES:
            await self.move(task, status)
            self.moved += 1
        self.playing -= 1

    async def has_come_to(self, moment: int) -> bool:
        return self.moved >= moment

    async def await_delivery_under_way(self) -> None:
        """Until one more delivery hangs; where no more write would bring one, as it is."""
        before = self.count_hanging()

        async def hangs() -> bool:
            return self.count_hanging() > before or self.playing == 0

        await until(hangs, LONG)

    def count_hanging(self) -> int:
        return sum(each.answer == "hang" for each in read_journal(self.journal))

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    def order(self, seed: int, answers: tuple[str, ...]) -> None:
        """What the receiver is to answer from now on."""
        new = self.folder / "orders.new"
        new.write_text(json.dumps({"seed": seed, "answers": answers}))
        new.rename(self.folder / "orders")

    async def drain(self) -> None:
        """Until nothing waits; a webhook that the receiver turned off is turned on again, as an operator would."""
        settings = self.site.settings
        async with open_hub(settings, settings.database_url or "") as hub:

            async def is_empty() -> bool:
                if await hub.pool.fetchval("SELECT status FROM webhook") != "active":
                    await resume(hub, OPERATOR, self.webhook)
                return not await hub.pool.fetchval(
                    "SELECT (SELECT count(*) FROM event WHERE fanned_out_at IS NULL)"
                    " + (SELECT count(*) FROM delivery WHERE state = 'queued')"
                )

            await until(is_empty, LONG)
            ends = await hub.pool.fetch("SELECT state, count(*) FROM delivery GROUP BY state")
            assert [row[0] for row in ends] == ["delivered"]

    async def reconcile(self) -> list[str]:
        """What is wrong, by the server's own history and the receiver's journal."""
        committed: set[Change] = set()
        for task in self.tasks:
            answer = (await self.hospital.get(f"/{task}/_history?_count=100")).json()
            committed |= list_changes(each["resource"] for each in reversed(answer["entry"]))
        assert len(committed) == REFERRALS * (1 + len(MOVES))
        undone = [f"acknowledged and gone: {each}" for each in self.acknowledged - committed]
        journal = [each for each in read_journal(self.journal) if each.body["task"] in self.tasks]
        return undone + find_faults(committed, journal)


@pytest.fixture
def play(tmp_path: Path) -> Iterator[Play]:
    """A server with two web processes, a receiver process that outlives its faults, and two clients."""
    data_dir = tmp_path / "data"
    site = Site(data_dir, Server(data_dir, "--workers", "2", **SETTINGS))
    (tmp_path / "orders").write_text('{"seed": 0, "answers": []}')
    files = [str(tmp_path / name) for name in ("secret", "journal", "orders")]
    command = [sys.executable, "-m", "tests.conformance.misbehaving_receiver", *files]
    receiver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout is not None
        url = receiver.stdout.readline().strip()
        hospital, ngo = site.client("hospital", "referrer"), site.client("ngo", "provider")

        async def register() -> tuple[str, str]:
            settings = site.settings
            async with open_hub(settings, settings.database_url or "") as hub:
                key = load_secret_key(settings)
                return await add_webhook(hub, OPERATOR, key, url, "Organization/hospital", ["referral-status-changed"])

        webhook, secret = asyncio.run(register())
        (tmp_path / "secret").write_text(secret)
        yield Play(site, webhook, tmp_path, hospital, ngo)
    finally:
        site.server.process.terminate()
        site.server.process.communicate(timeout=PATIENCE)
        receiver.terminate()
        receiver.communicate(timeout=PATIENCE)
        start_postgres(data_dir).destroy()


async def run_seeds(play: Play, fault: Fault, seeds: range) -> None:
    async with play.hospital, play.ngo:
        for seed in seeds:
            play.journal.unlink(missing_ok=True)
            await play.run(seed, fault)
            answers = {each.answer for each in read_journal(play.journal)}
            assert not fault.answers or answers & set(fault.answers), f"seed {seed} played no fault"
            assert await play.reconcile() == [], f"seed {seed}"


def test_all_faults_at_once(play: Play) -> None:
    asyncio.run(run_seeds(play, FAULTS["all of them"], range(1)))


@pytest.mark.soak
@pytest.mark.parametrize("name", FAULTS)
def test_twenty_seeds_of_a_fault(play: Play, name: str) -> None:
    asyncio.run(run_seeds(play, FAULTS[name], range(1, SEEDS + 1)))


def test_the_reconciliation_finds_what_is_wrong(tmp_path: Path) -> None:
    """Its negative control."""

    def line(version: int, sequence: int, **more: Any) -> str:
        body = {
            "task": "Task/a",
            "version": str(version),
            "status": f"s{version}",
            "serviceRequest": "S/b",
        }
        told = {"id": f"evt_{version}", "path": "/hook", "verified": True, "answer": "204", **more}
        return json.dumps({**told, "body": json.dumps({**body, "sequence": sequence})})

    journal = tmp_path / "journal"
    good = [line(1, 1), line(2, 2), line(2, 2), line(3, 3)]
    committed: set[Change] = {("Task/a", version, f"s{version}") for version in (1, 2, 3)}
    for lines, wrong in (
        (good, []),
        (good[:3], ["lost"]),
        ([*good, line(4, 4)], ["phantom"]),
        ([good[1], good[0], good[3]], ["out of order"]),
        ([*good, line(3, 3, id="evt_9")], ["under several ids"]),
        ([*good, line(3, 3, verified=False)], ["does not verify"]),
        ([*good, line(3, 3, path="/elsewhere")], ["a redirect was followed"]),
    ):
        journal.write_text("\n".join(lines))
        found = find_faults(committed, read_journal(journal))
        assert len(found) == len(wrong)
        assert all(each.startswith(start) for each, start in zip(found, wrong, strict=True))
