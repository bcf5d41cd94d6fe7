"""A running server seen from outside, and clients that have nothing but its address and a token."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import httpx
import pytest

from app.access.clients import RegisteredClient, generate_key, load_client, register_client
from app.access.tokens import issue_token
from app.core.data_dir import DATABASE, load_secret_key, read_address
from app.core.embedded_postgres import start_postgres
from app.core.settings import Settings
from app.interactions.command import open_hub
from app.interactions.operate import ensure_organization
from tests.processes import PATIENCE
from tests.server import Server

if TYPE_CHECKING:
    from tests.conformance.play import Play

LOOPBACK = {"webhook_allowed_networks": "127.0.0.0/8", "webhook_allow_http": "true", "rate_limit": "0"}


@dataclass
class Site:
    """A data directory, and the server that runs on it now."""

    data_dir: Path
    server: Server

    @property
    def settings(self) -> Settings:
        url = read_address(self.data_dir, DATABASE)
        return Settings(
            data_dir=self.data_dir,
            database_url=url,
            public_url=self.server.address,
            webhook_allowed_networks="127.0.0.0/8",
            webhook_allow_http=True,
        )

    def client(self, organization: str, role: str) -> httpx.AsyncClient:
        """A client with a token for the server as it runs now; its organisation is made if it is missing."""
        token = token_for(self, organization, role)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        return httpx.AsyncClient(
            base_url=f"{self.server.address}/fhir",
            headers=headers,
            timeout=PATIENCE,
            limits=httpx.Limits(max_connections=50, max_keepalive_connections=50),
        )


def token_for(site: Site, organization: str, role: str) -> str:
    """An access token for the server as it runs now."""
    return asyncio.run(make_token(site.settings, organization, role))


async def make_token(settings: Settings, organization: str, role: str) -> str:
    """An access token of an organisation's client."""
    client = await find_client(settings, organization, role)
    key = load_secret_key(settings)
    return issue_token(key, settings.public_url or "", client, client.scopes, 300, time.time())


async def find_client(settings: Settings, organization: str, role: str) -> RegisteredClient:
    """An organisation's client, registered once."""
    client_id = f"{organization}-{role}"
    async with open_hub(settings, settings.database_url or "") as hub:
        await ensure_organization(hub, f"Organization/{organization}", organization)
    connection = await asyncpg.connect(settings.database_url)
    try:
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
    assert client is not None
    return client


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A server with two web processes, stopped and thrown away in the end."""
    data_dir = tmp_path / "data"
    opened = Site(data_dir, Server(data_dir, "--workers", "2", **LOOPBACK))
    try:
        yield opened
    finally:
        opened.server.process.terminate()
        opened.server.process.communicate(timeout=PATIENCE)
        start_postgres(data_dir).destroy()


@pytest.fixture
def schedule() -> str:
    """The seconds between attempts on the two hosts of ``play``."""
    from tests.conformance.hosts import SETTINGS

    return SETTINGS["webhook_retry_schedule"]


@pytest.fixture
async def play(tmp_path: Path, schedule: str) -> AsyncIterator["Play"]:
    """Two hosts and a receiver that outlives their faults."""
    from tests.conformance.hosts import Hosts, Receiver
    from tests.conformance.play import open_play

    hosts, receiver = Hosts(tmp_path, schedule), Receiver(tmp_path)
    (tmp_path / "orders").write_text('{"seed": 0, "answers": []}')
    (tmp_path / "secrets").write_text("{}")
    try:
        receiver.start()
        hosts.start()
        opened = await open_play(hosts, receiver)
        try:
            yield opened
        finally:
            for each in (*opened.hospital, *opened.ngo):
                await each.http.aclose()
    finally:
        hosts.stop()
        receiver.stop()
