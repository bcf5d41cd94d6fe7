"""Delivery measured: from commit to receipt, how many a second, beside a dead endpoint, and what the API notices.

python -m bench --only webhooks
"""

import asyncio
import itertools
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from app.core.data_dir import load_secret_key
from app.interactions.command import open_hub
from app.interactions.hub import Hub
from app.interactions.operate import OPERATOR
from app.interactions.webhooks import add_webhook, remove_webhook
from bench.cases import Bench, fresh_task
from bench.load import HOSPITAL

EVENT = "referral-status-changed"
PATIENCE = 90
BACKLOG = 10_000
ENDPOINTS = 10
EVENTS_EACH = 300
TURNS = 3
"""Times that ten endpoints are measured with and without a dead one, in turn: the median of each counts."""
QUIET = 25
"""Seconds for which the API is watched with nothing else to do; a backlog takes about as long."""
PACE = 20.0
"""Requests a second of the API that is watched while a backlog drains."""

NUMBERS = itertools.count()

EMIT = """
WITH chosen AS (
    SELECT r.id AS referral, t.id FROM task t JOIN referral r ON r.id = t.referral
    WHERE t.id LIKE 'bench-task-%' ORDER BY t.id LIMIT $2
), numbered AS (
    UPDATE referral r SET sequence = r.sequence + 1 FROM chosen c WHERE r.id = c.referral
    RETURNING c.id, r.id AS referral, r.sequence
)
INSERT INTO event (topic, referral, sequence, focus_type, focus_id, focus_version, audience, labelled, facts)
SELECT 'referral-status-changed', referral, sequence, 'Task', id, 1, ARRAY[$1], false,
       json_build_object('task', 'Task/' || id, 'status', 'requested')::text
FROM numbered
"""
"""What changes of so many Tasks leave in the outbox, without the changes."""


@contextmanager
def open_receiver(journal: Path, *, dead: bool = False) -> Iterator[str]:
    """A receiver's process; each line of its journal is the time of arrival and the body. A dead one is silent."""
    command = [sys.executable, "-m", "bench.receiver", str(journal), *(["dead"] if dead else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("the receiver has no output")
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


async def measure_delivery(bench: Bench, directory: Path) -> list[dict[str, Any]]:
    """The figures of issue 4: latency at 50 changes a second, a backlog with the API beside it, a dead endpoint."""
    figures: list[dict[str, Any]] = []
    async with open_hub(bench.stage.settings, bench.stage.url) as hub:
        await wait_for_dispatcher(hub)
        figures.append({"case": "commit to webhook", **await measure_webhooks(bench, hub, directory, 500, 50.0)})
        figures.append({"case": "backlog", **await measure_backlog(bench, hub, directory)})
        took: dict[bool, list[float]] = {False: [], True: []}
        for turn in range(2 * TURNS):
            took[bool(turn % 2)].append(await measure_neighbours(bench, hub, directory, turn))
        alone, beside = median(took[False]), median(took[True])
        slower = 100 * (beside / alone - 1)
        figures.append({"case": "one dead in ten", "alone s": alone, "beside s": beside, "slower %": slower})
    return figures


@asynccontextmanager
async def registered(bench: Bench, hub: Hub, *urls: str) -> AsyncIterator[None]:
    """The hospital's webhooks at these addresses, taken away afterwards."""
    key = load_secret_key(bench.stage.settings)
    made = [await add_webhook(hub, OPERATOR, key, url, f"Organization/{HOSPITAL}", [EVENT]) for url in urls]
    try:
        yield
    finally:
        for webhook_id, _ in made:
            await remove_webhook(hub, OPERATOR, webhook_id, drop=True)


async def measure_webhooks(bench: Bench, hub: Hub, directory: Path, changes: int, rate: float) -> dict[str, float]:
    """p50 and p99 in milliseconds from the event's time to its arrival, at ``rate`` changes a second."""
    journal = directory / "journal"
    with open_receiver(journal) as url:
        async with registered(bench, hub, url):
            before = bench.stage.cpu()
            await create_tasks(bench, changes, rate)
            lines = await wait_for_lines(journal, changes)
            after = bench.stage.cpu()
    taken = sorted(arrival - datetime.fromisoformat(body["time"]).timestamp() for arrival, body in lines)
    return {"count": len(taken), "per second": rate, **quantiles(taken), **cpu_each(before, after, len(taken))}


async def create_tasks(bench: Bench, count: int, rate: float) -> list[float]:
    """Creates Tasks at a steady rate; the seconds that each took."""
    token = await bench.stage.token(HOSPITAL, "referrer")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    taken = []
    async with httpx.AsyncClient(base_url=bench.stage.address, headers=headers) as client:
        began = time.monotonic()
        for step, n in zip(range(count), NUMBERS, strict=False):
            await asyncio.sleep(max(0, began + step / rate - time.monotonic()))
            sent = time.monotonic()
            answer = await client.post("/fhir/Task", json=fresh_task(n % bench.tasks))
            answer.raise_for_status()
            taken.append(time.monotonic() - sent)
    return taken


async def measure_backlog(bench: Bench, hub: Hub, directory: Path) -> dict[str, float]:
    """Signed deliveries a second out of a backlog; the API's p99 before and meanwhile, at ``PACE`` writes a second."""
    journal = directory / "backlog"
    quiet = quantiles(await create_tasks(bench, int(QUIET * PACE), PACE))
    with open_receiver(journal) as url:
        async with registered(bench, hub, url):
            before, began = bench.stage.cpu(), time.time()
            await emit(hub, BACKLOG)
            waiting = asyncio.create_task(wait_for_lines(journal, BACKLOG))
            busy = []
            while not waiting.done():
                busy += await create_tasks(bench, int(PACE), PACE)
            lines = await waiting
            after = bench.stage.cpu()
    seconds = sorted(arrival for arrival, _ in lines)[min(BACKLOG, len(lines)) - 1] - began
    return {
        "count": len(lines),
        "per second": len(lines) / seconds,
        "p99": quantiles(busy)["p99"],
        "p99 quiet": quiet["p99"],
        "API slower": quantiles(busy)["p99"] / quiet["p99"],
        **cpu_each(before, after, len(lines)),
    }


async def measure_neighbours(bench: Bench, hub: Hub, directory: Path, turn: int) -> float:
    """Seconds until nine endpoints have ``EVENTS_EACH`` events each; the tenth is dead in every other turn."""
    journal, tenth = directory / f"neighbours-{turn}", directory / f"tenth-{turn}"
    with open_receiver(journal) as url, open_receiver(tenth, dead=bool(turn % 2)) as last:
        async with registered(bench, hub, *(f"{url}/{n}" for n in range(ENDPOINTS - 1)), last):
            began = time.time()
            await emit(hub, EVENTS_EACH)
            lines = await wait_for_lines(journal, EVENTS_EACH * (ENDPOINTS - 1))
    if len(lines) < EVENTS_EACH * (ENDPOINTS - 1):
        raise RuntimeError(f"only {len(lines)} came")
    return max(arrival for arrival, _ in lines) - began


async def emit(hub: Hub, count: int) -> None:
    """So many events, in one commit."""
    async with hub.pool.acquire() as connection:
        await connection.execute(EMIT, HOSPITAL, count)
        await connection.execute("SELECT pg_notify('handoff_event', '')")


def quantiles(taken: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    ordered = sorted(taken)
    return {"p50": 1000 * ordered[len(ordered) // 2], "p99": 1000 * ordered[int(len(ordered) * 0.99)]}


def cpu_each(before: tuple[float, float], after: tuple[float, float], count: int) -> dict[str, float]:
    """CPU milliseconds of the server and of PostgreSQL for each of ``count``."""
    return {
        "cpu_server": 1000 * (after[0] - before[0]) / count,
        "cpu_postgres": 1000 * (after[1] - before[1]) / count,
    }


async def wait_for_dispatcher(hub: Hub) -> None:
    """Until what the floor has written, without a hint to anyone, is fanned out."""
    deadline = time.monotonic() + 60
    while await hub.pool.fetchval("SELECT EXISTS (SELECT 1 FROM event WHERE fanned_out_at IS NULL)"):
        if time.monotonic() > deadline:
            raise RuntimeError("the dispatcher does not come to an end")
        await asyncio.sleep(0.1)


async def wait_for_lines(journal: Path, count: int) -> list[tuple[float, dict[str, str]]]:
    """The journal, once it has so many lines, or after ``PATIENCE`` what it has."""
    deadline = time.monotonic() + PATIENCE
    while True:
        if await asyncio.to_thread(count_lines, journal) >= count or time.monotonic() > deadline:
            return await asyncio.to_thread(read_lines, journal)
        await asyncio.sleep(0.1)


def count_lines(journal: Path) -> int:
    """The whole lines so far."""
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def read_lines(journal: Path) -> list[tuple[float, dict[str, str]]]:
    """The whole lines so far."""
    return [tuple(json.loads(line)) for line in journal.read_text().splitlines()]
