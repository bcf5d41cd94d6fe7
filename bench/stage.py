"""The server under measurement: a PostgreSQL, web processes, clients with tokens, and how much CPU each used."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil

from app.access.clients import generate_key, load_client, register_client
from app.access.tokens import issue_token
from app.core.data_dir import ADDRESS, load_secret_key, read_address
from app.core.embedded_postgres import RunningPostgres, start_postgres
from app.core.settings import Settings
from app.interactions.command import open_hub
from app.interactions.operate import ensure_organization
from app.store.migrate import upgrade_database

PATIENCE = 180


@dataclass
class Stage:
    """What runs. ``address`` is without a path."""

    settings: Settings
    url: str
    address: str
    server: psutil.Process
    postgres: psutil.Process
    seconds_to_ready: float

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    async def token(self, organization: str, role: str) -> str:
        """A fresh access token of an organisation's client, which is registered once."""
        connection = await asyncpg.connect(self.url)
        try:
            client_id = f"{organization}-{role}"
            if await load_client(connection, client_id) is None:
                await register_client(
                    connection,
                    client_id=client_id,
                    organization=organization,
                    role=role,
                    scopes="system/*.cruds",
                    server_makes_tasks=False,
                    public_jwk=generate_key()[1],
                )
            client = await load_client(connection, client_id)
        finally:
            await connection.close()
        if client is None:
            raise RuntimeError(client_id)
        key = load_secret_key(self.settings)
        return issue_token(key, self.address, client, client.scopes, 300, time.time())

    def cpu(self) -> tuple[float, float]:
        """CPU seconds used so far by the server's processes and by PostgreSQL's."""
        return sum_cpu(self.server), sum_cpu(self.postgres)

    def memory(self) -> list[float]:
        """Resident megabytes of each of the server's processes."""
        return [each.memory_info().rss / 2**20 for each in [self.server, *self.server.children(recursive=True)]]


def sum_cpu(root: psutil.Process) -> float:
    """CPU seconds of a process and of those below it that still live."""
    total = 0.0
    for each in [root, *root.children(recursive=True)]:
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


@contextmanager
def open_stage(directory: Path, workers: int) -> Iterator[Stage]:
    """PostgreSQL and the server on a directory to throw away."""
    running = start_postgres(directory)
    try:
        upgrade_database(running.url)
        with open_server(directory, running, running.url, workers) as stage:
            yield stage
    finally:
        running.destroy()


@contextmanager
def open_server(directory: Path, running: RunningPostgres, url: str, workers: int) -> Iterator[Stage]:
    """A server on one database of this PostgreSQL; what it keeps on disk is in ``directory``."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANDOFF_")} | {
        "HANDOFF_DATABASE_URL": url,
        "HANDOFF_DATA_DIR": str(directory),
        "HANDOFF_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",
        "HANDOFF_WEBHOOK_ALLOW_HTTP": "true",
        "HANDOFF_RATE_LIMIT": "0",
    }
    began = time.monotonic()
    command = [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--workers", str(workers)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        address = wait_for_address(directory, server)
        ready = time.monotonic() - began
        number = int((running.layout.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        settings = Settings(
            data_dir=directory,
            database_url=url,
            public_url=address,
            webhook_allowed_networks="127.0.0.0/8",
            webhook_allow_http=True,
        )
        yield Stage(settings, url, address, psutil.Process(server.pid), psutil.Process(number), ready)
    finally:
        server.terminate()
        server.wait(PATIENCE)


def wait_for_address(directory: Path, server: subprocess.Popen[bytes]) -> str:
    """The address, as soon as the server answers."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        address = read_address(directory, ADDRESS)
        if address:
            return address
        time.sleep(0.01)
    raise RuntimeError("the server did not start")


async def make_organizations(stage: Stage, names: list[str]) -> None:
    """The Organizations that the loaded Tasks name."""
    async with open_hub(stage.settings, stage.url) as hub:
        for name in names:
            await ensure_organization(hub, f"Organization/{name}", name)
