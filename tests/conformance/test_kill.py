"""kill -9 of everything, PostgreSQL included, between any two steps of the loop: nothing is lost."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.core.data_dir import load_secret_key
from app.interactions.command import open_hub
from app.interactions.operate import OPERATOR
from app.interactions.webhooks import add_webhook
from tests.conformance.conftest import LOOPBACK, Site
from tests.processes import PATIENCE, await_that, has_ended, kill_all
from tests.server import Server

MOVES = ("accepted", "in-progress", "on-hold", "in-progress", "completed")
OWNER = {"reference": "Organization/ngo"}


@pytest.fixture
def receiver(site: Site, tmp_path: Path) -> Iterator[Path]:
    """The journal of a receiver that outlives the server."""
    secret, journal = tmp_path / "secret", tmp_path / "journal"
    command = [sys.executable, "-m", "app.demo.receiver", str(secret), str(journal)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    site.client("hospital", "referrer")

    async def register() -> str:
        settings = site.settings
        async with open_hub(settings, settings.database_url or "") as hub:
            key = load_secret_key(settings)
            return (await add_webhook(hub, OPERATOR, key, url, "Organization/hospital", ["referral-status-changed"]))[1]

    secret.write_text(asyncio.run(register()))
    yield journal
    process.terminate()
    process.communicate(timeout=PATIENCE)


def kill_everything(site: Site) -> None:
    """kill -9, then a new start on the same data directory and address."""
    family = site.server.family
    kill_all(family)
    site.server.process.communicate(timeout=PATIENCE)
    await_that(lambda: all(map(has_ended, family)))
    port = site.server.address.rsplit(":", 1)[1]
    site.server = Server(site.data_dir, "--workers", "2", "--port", port, **LOOPBACK)


def call(site: Site, who: tuple[str, str], method: str, path: str, body: Any = None, **headers: str) -> Any:
    """One request that must succeed; the answer's body."""

    async def send() -> Any:
        async with client:
            answer = await client.request(method, path, json=body, headers=headers)
            assert answer.status_code in (200, 201), answer.text
            return answer.json()

    client = site.client(*who)
    return asyncio.run(send())


@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=pytest.mark.soak)])
def test_the_loop_survives_a_kill_between_any_two_steps(site: Site, receiver: Path, rounds: int) -> None:
    for _ in range(rounds):
        receiver.unlink(missing_ok=True)
        play_and_kill(site, receiver)


def play_and_kill(site: Site, receiver: Path) -> None:
    """One referral from its beginning to its end, everything killed between any two steps."""
    hospital, ngo = ("hospital", "referrer"), ("ngo", "provider")
    site.client(*ngo)
    patient = call(site, hospital, "POST", "/Patient", {"resourceType": "Patient"})
    who = {"reference": f"Patient/{patient['id']}"}
    request = {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": who}
    request = call(site, hospital, "POST", "/ServiceRequest", request)
    task = {"resourceType": "Task", "status": "requested", "intent": "order", "for": who, "owner": OWNER}
    task["focus"] = {"reference": f"ServiceRequest/{request['id']}"}
    task = call(site, hospital, "POST", "/Task", task)
    for status in MOVES:
        kill_everything(site)
        current = call(site, ngo, "GET", f"/Task/{task['id']}")
        version = {"If-Match": f'W/"{current["meta"]["versionId"]}"'}
        call(site, ngo, "PUT", f"/Task/{task['id']}", {**current, "status": status}, **version)
    kill_everything(site)
    expected = ["requested", *MOVES]
    await_that(lambda: len(told(receiver)) >= len(expected))
    assert told(receiver) == expected
    assert call(site, hospital, "GET", f"/ServiceRequest/{request['id']}")["status"] == "completed"
    history = call(site, hospital, "GET", f"/Task/{task['id']}/_history")
    assert [entry["resource"]["status"] for entry in history["entry"]] == expected[::-1]


def told(journal: Path) -> list[str]:
    """The statuses in the order of their first arrival: what comes twice comes under the same id."""
    lines = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    first: dict[str, str] = {}
    for line in lines:
        first.setdefault(line["id"], line["body"]["status"])
    return list(first.values())
