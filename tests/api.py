"""A caller of the API in tests: an organisation's client with its token, in front of the real application."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI

from app.access.clients import generate_key, load_client, register_client
from app.access.tokens import issue_token
from app.core.data_dir import load_secret_key
from app.core.settings import Settings
from app.interactions.hub import Hub
from app.interactions.operate import put_missing
from app.main import create_app

Resource = dict[str, Any]
EVERYTHING = "system/*.cruds"


@dataclass
class Caller:
    """One client. Its methods send one request each; a path begins below ``/fhir``."""

    organization: str
    http: httpx.AsyncClient

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """One request; headers are given with underscores."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and "content-type" not in {name.lower() for name in sent}:
            sent["Content-Type"] = "application/fhir+json"
        content = body if isinstance(body, bytes | str | None) else None
        if content is None and body is not None:
            return await self.http.request(method, f"/fhir{path}", json=body, headers=sent)
        return await self.http.request(method, f"/fhir{path}", content=content, headers=sent)

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.send("GET", path, None, **headers)

    async def create(self, resource: Resource, **headers: str) -> Resource:
        """POST that must succeed; the resource as it was stored."""
        answer = await self.send("POST", f"/{resource['resourceType']}", resource, **headers)
        assert answer.status_code == 201, answer.text
        created: Resource = answer.json()
        return created

    async def update(self, resource: Resource) -> httpx.Response:
        """PUT of a resource that was read, under the version that was read."""
        version = resource["meta"]["versionId"]
        path = f"/{resource['resourceType']}/{resource['id']}"
        return await self.send("PUT", path, resource, If_Match=f'W/"{version}"')

    async def read(self, reference: str) -> Resource:
        """GET that must succeed."""
        answer = await self.get(f"/{reference}")
        assert answer.status_code == 200, answer.text
        found: Resource = answer.json()
        return found

    async def find(self, query: str) -> list[str]:
        """The references of a search's entries, in order."""
        answer = await self.get(f"/{query}")
        assert answer.status_code == 200, answer.text
        resources = [entry["resource"] for entry in answer.json().get("entry", [])]
        return [f"{each['resourceType']}/{each['id']}" for each in resources]


@dataclass
class World:
    """A running application on a database of its own."""

    app: FastAPI
    settings: Settings
    pool: asyncpg.Pool
    stack: AsyncExitStack

    @property
    def hub(self) -> Hub:
        hub: Hub = self.app.state.hub
        return hub

    async def organization(self, organization: str, name: str = "An organisation") -> None:
        """Makes an Organization that owns itself."""
        resource = {"resourceType": "Organization", "id": organization, "active": True, "name": name}
        await put_missing(self.hub, organization, resource)

    async def caller(
        self, organization: str, role: str = "referrer", scopes: str = EVERYTHING, *, server_makes_tasks: bool = False
    ) -> Caller:
        """A client of an organisation, which is made if it is missing."""
        await self.organization(organization)
        client_id = f"{organization}-{role}-{time.time_ns()}"
        async with self.pool.acquire() as connection:
            await register_client(
                connection,
                client_id=client_id,
                organization=organization,
                role=role,
                scopes=scopes,
                server_makes_tasks=server_makes_tasks,
                public_jwk=generate_key()[1],
            )
            client = await load_client(connection, client_id)
        assert client is not None
        key = load_secret_key(self.settings)
        token = issue_token(key, self.app.state.public_url, client, client.scopes, 300, time.time())
        http = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url=self.app.state.public_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )
        await self.stack.enter_async_context(http)
        return Caller(organization, http)


@asynccontextmanager
async def open_world(settings: Settings) -> AsyncIterator[World]:
    """The application with its lifespan, as uvicorn would run it, on a database that holds nothing of its own."""
    app = create_app(settings, publishing=False)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield World(app, settings, app.state.pool, stack)
