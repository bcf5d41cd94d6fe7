"""From commit to webhook: how long a change takes to a receiver, at a steady rate."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx

from app.core.data_dir import load_secret_key
from app.interactions.command import open_hub
from app.interactions.hub import Hub
from app.interactions.operate import OPERATOR
from app.interactions.webhooks import add_webhook
from bench.cases import Bench, fresh_task
from bench.load import HOSPITAL


@contextmanager
def open_receiver(journal: Path) -> Iterator[str]:
    """A receiver's process; each line of its journal is the time of arrival and the body."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.receiver", str(journal)], stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the receiver has no output")
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)


async def measure_webhooks(bench: Bench, directory: Path, changes: int, rate: float) -> dict[str, float]:
    """p50 and p99 in milliseconds from the event's time to its arrival, at ``rate`` changes a second."""
    stage = bench.stage
    journal = directory / "journal"
    with open_receiver(journal) as url:
        async with open_hub(stage.settings, stage.url) as hub:
            await wait_for_dispatcher(hub)
            key = load_secret_key(stage.settings)
            await add_webhook(hub, OPERATOR, key, url, f"Organization/{HOSPITAL}", ["referral-status-changed"])
        token = await stage.token(HOSPITAL, "referrer")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        async with httpx.AsyncClient(base_url=stage.address, headers=headers) as client:
            began = time.monotonic()
            for step, n in enumerate(bench.take(changes)):
                await asyncio.sleep(max(0, began + step / rate - time.monotonic()))
                answer = await client.post("/fhir/Task", json=fresh_task(n))
                answer.raise_for_status()
        lines = await wait_for_lines(journal, changes)
    taken = sorted(arrival - datetime.fromisoformat(body["time"]).timestamp() for arrival, body in lines)
    return {
        "count": len(taken),
        "per second": rate,
        "p50": 1000 * taken[len(taken) // 2],
        "p99": 1000 * taken[int(len(taken) * 0.99)],
    }


async def wait_for_dispatcher(hub: Hub) -> None:
    """Until what the floor has written, without a hint to anyone, is fanned out."""
    deadline = time.monotonic() + 60
    while await hub.pool.fetchval("SELECT EXISTS (SELECT 1 FROM event WHERE fanned_out_at IS NULL)"):
        if time.monotonic() > deadline:
            raise RuntimeError("the dispatcher does not come to an end")
        await asyncio.sleep(0.1)


async def wait_for_lines(journal: Path, count: int) -> list[tuple[float, dict[str, str]]]:
    """The journal, once it has so many lines, or after 30 s what it has."""
    deadline = time.monotonic() + 30
    while True:
        lines = await asyncio.to_thread(read_lines, journal)
        if len(lines) >= count or time.monotonic() > deadline:
            return [tuple(json.loads(line)) for line in lines]
        await asyncio.sleep(0.05)


def read_lines(journal: Path) -> list[str]:
    """The whole lines so far."""
    return journal.read_text().splitlines() if journal.exists() else []
