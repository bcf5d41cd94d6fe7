"""Writers whose transactions take their time, and pollers that keep what they were given."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from app.core.caller import Scope
from app.core.database import Connection
from app.core.settings import Settings
from app.search.extract import extractor
from app.search.parse import parse_search
from app.search.polling import NEXT_POLL
from app.store.content import cut_content
from app.store.rows import Draft, Stored
from app.store.search import search_resources
from tests.api import Caller
from tests.sessions import session
from tests.waiting import until

OWNER = "hospital"
BEGINNING = "1970-01-01T00:00:00.000Z"
Version = tuple[str, int]
"""(id, version)"""


def draft(name: str) -> Draft:
    resource = {"resourceType": "Patient", "name": [{"family": name}]}
    return Draft("Patient", name, cut_content(resource, name), extractor("Patient")(resource), OWNER)


async def insert(connection: Connection, name: str) -> Stored:
    async with session(connection) as opened:
        return await opened.insert(draft(name))


async def update(connection: Connection, name: str, version: int) -> Stored:
    async with session(connection) as opened:
        old = (await opened.find_rows([("Patient", name)]))["Patient", name]
        return await opened.update(draft(name), old._replace(version=version))


@dataclass
class Poller:
    """``seen`` is every version that it was given; ``cursor`` the greatest lastUpdated, or a link."""

    seen: set[Version] = field(default_factory=set)
    cursor: str = BEGINNING

    def take(self, resource: dict[str, Any]) -> None:
        self.seen.add((resource["id"], int(resource["meta"]["versionId"])))
        self.cursor = max(self.cursor, resource["meta"]["lastUpdated"])


async def poll_naively(pool: asyncpg.Pool, settings: Settings, poller: Poller) -> None:
    """``_lastUpdated=gt`` as a plain comparison: the negative control."""
    query = [("_lastUpdated", f"gt{poller.cursor}"), ("_sort", "_lastUpdated"), ("_count", "200")]
    plan = parse_search("Patient", query, settings, "http://handoff.test/fhir")
    async with pool.acquire() as connection:
        page = await search_resources(connection, Scope((OWNER,)), plan, 0)
    for each in page.matches:
        stamp = each.last_updated.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        poller.take({"id": each.id, "meta": {"versionId": str(each.version), "lastUpdated": stamp}})


async def follow(caller: Caller, path: str) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The entries of all pages, and the links of the last."""
    entries: list[dict[str, Any]] = []
    while True:
        answer = await caller.get(path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        entries += page.get("entry", [])
        links = {each["relation"]: each["url"].partition("/fhir")[2] for each in page["link"]}
        if "next" not in links:
            return entries, links
        path = links["next"]


async def poll_later_than(caller: Caller, poller: Poller) -> None:
    """The guide's recipe, in pages by id, which is the order that a page can most easily tear."""
    for entry in (await follow(caller, f"/Patient?_lastUpdated=gt{poller.cursor}&_count=50"))[0]:
        poller.take(entry["resource"])


async def poll_history(caller: Caller, poller: Poller) -> None:
    for entry in (await follow(caller, f"/Patient/_history?_since={poller.cursor}&_count=50"))[0]:
        poller.take(entry["resource"])


async def poll_by_link(caller: Caller, poller: Poller) -> None:
    """``cursor`` is the address of the next poll."""
    start = f"/Patient?_lastUpdated=gt{BEGINNING}" if poller.cursor == BEGINNING else poller.cursor
    entries, links = await follow(caller, start)
    for entry in entries:
        poller.seen.add((entry["resource"]["id"], int(entry["resource"]["meta"]["versionId"])))
    poller.cursor = links[NEXT_POLL]


async def poll_history_by_link(caller: Caller, poller: Poller) -> None:
    """``cursor`` is the address of the next poll; no version may come twice."""
    start = f"/Patient/_history?_since={BEGINNING}&_count=50" if poller.cursor == BEGINNING else poller.cursor
    entries, links = await follow(caller, start)
    for entry in entries:
        version = (entry["resource"]["id"], int(entry["resource"]["meta"]["versionId"]))
        assert version not in poller.seen
        poller.seen.add(version)
    poller.cursor = links[NEXT_POLL]


async def write_slowly(pool: asyncpg.Pool, name: str, rows: int, longest: int) -> None:
    """Transactions that stay open for a random number of round trips; every third changes an earlier row too."""
    dice = random.Random(name)
    for number in range(rows):
        async with pool.acquire() as connection, connection.transaction():
            await insert(connection, f"{name}-{number}")
            if number % 3 == 2:
                await update(connection, f"{name}-{number - 1}", 1)
            for _ in range(dice.randrange(longest)):
                await connection.fetchval("SELECT 1")


async def poll_while(running: asyncio.Future[Any], poll: Callable[[], Any]) -> None:
    """Polls until the writers have ended."""
    while not running.done():
        await poll()


async def read_versions(pool: asyncpg.Pool) -> tuple[set[Version], set[Version]]:
    """(current, all) versions of patients."""
    async with pool.acquire() as connection:
        current = {tuple(row) for row in await connection.fetch("SELECT id, version FROM patient")}
        older = {tuple(row) for row in await connection.fetch("SELECT id, version FROM resource_history")}
    return current, current | older


async def run_writers(caller: Caller, settings: Settings, writers: int, rows: int, longest: int) -> tuple[int, int]:
    """(missed by the naive poller, missed by ours); the caller polls over HTTP while others write."""
    naive, later, history, link, versions = (Poller() for _ in range(5))
    async with asyncpg.create_pool(
        settings.database_url,
        min_size=0,
        max_size=writers + 2,
        server_settings={"application_name": "handoff-test"},
    ) as pool:
        polls: tuple[Callable[[], Any], ...] = (
            lambda: poll_naively(pool, settings, naive),
            lambda: poll_later_than(caller, later),
            lambda: poll_history(caller, history),
            lambda: poll_by_link(caller, link),
            lambda: poll_history_by_link(caller, versions),
        )
        async with asyncio.TaskGroup() as group:
            running = group.create_task(write_all(pool, writers, rows, longest))
            for poll in polls:
                group.create_task(poll_while(running, poll))
        current, everything = await read_versions(pool)
        assert len(current) == writers * rows
        missed: set[Version] = set()

        async def has_all() -> bool:
            """After another turn: the mark is shared for a moment, and what a cursor has passed comes no more."""
            nonlocal missed
            for poll in polls:
                await poll()
            missed = (current - later.seen) | (everything - history.seen) | (current - link.seen)
            missed |= everything - versions.seen
            return not missed

        with suppress(TimeoutError):
            await until(has_all)
    return len(current - naive.seen), len(missed)


async def write_all(pool: asyncpg.Pool, writers: int, rows: int, longest: int) -> None:
    """All writers at once."""
    async with asyncio.TaskGroup() as group:
        for number in range(writers):
            group.create_task(write_slowly(pool, f"w{number}", rows, longest))
