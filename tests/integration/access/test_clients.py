"""The register of clients."""

import json
from typing import Any

import asyncpg
import pytest

from app.access.clients import (
    disable_client,
    enable_client,
    generate_key,
    list_clients,
    load_client,
    register_client,
)
from app.core.errors import Conflict, Invalid, NotFound


async def register(pool: asyncpg.Pool, client_id: str = "ehr", **fields: Any) -> str:
    """Registers a client and answers its public key."""
    _, public = generate_key()
    full = {
        "organization": "hospital",
        "role": "referrer",
        "scopes": "system/Task.rs system/Task.c",
        "server_makes_tasks": True,
        "public_jwk": public,
        **fields,
    }
    async with pool.acquire() as connection:
        await register_client(connection, client_id=client_id, **full)
    return public


async def test_keeps_what_was_registered(pool: asyncpg.Pool) -> None:
    public = await register(pool)
    client = await load_client(pool, "ehr")
    assert client is not None
    assert (client.id, client.organization, client.role) == ("ehr", "hospital", "referrer")
    assert (client.scopes, client.server_makes_tasks, client.disabled_at) == ("system/Task.crs", True, None)
    assert client.keys == (json.loads(public),)


async def test_a_name_is_taken_once_and_the_transaction_goes_on(pool: asyncpg.Pool) -> None:
    await register(pool)
    _, public = generate_key()
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(Conflict):
            await register_client(
                connection,
                client_id="ehr",
                organization="other",
                role="admin",
                scopes="system/*.cruds",
                server_makes_tasks=False,
                public_jwk=public,
            )
        client = await load_client(connection, "ehr")
    assert client is not None
    assert (client.role, len(client.keys)) == ("referrer", 1)


@pytest.mark.parametrize(
    "fields",
    [
        {"client_id": ""},
        {"client_id": "a b"},
        {"client_id": "a" * 65},
        {"client_id": "ehr\n"},
        {"client_id": "é"},
        {"organization": "Organization/hospital"},
        {"organization": ""},
        {"role": "root"},
        {"scopes": ""},
        {"scopes": "user/Task.rs"},
        {"public_jwk": "{}"},
        {"public_jwk": generate_key()[0]},
    ],
)
async def test_refuses_what_is_malformed(pool: asyncpg.Pool, fields: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        await register(pool, **fields)
    async with pool.acquire() as connection:
        assert await list_clients(connection) == []


async def test_lists_disables_and_enables(pool: asyncpg.Pool) -> None:
    for name in ("ngo", "ehr"):
        await register(pool, name)
    async with pool.acquire() as connection:
        await disable_client(connection, "ngo")
        first = await load_client(connection, "ngo")
        await disable_client(connection, "ngo")
        second = await load_client(connection, "ngo")
        assert [each.id for each in await list_clients(connection)] == ["ehr", "ngo"]
        await enable_client(connection, "ngo")
        third = await load_client(connection, "ngo")
        for change in (disable_client, enable_client):
            with pytest.raises(NotFound):
                await change(connection, "nobody")
    assert first is not None
    assert first.disabled_at is not None
    assert first == second
    assert third is not None
    assert third.disabled_at is None


@pytest.mark.parametrize("client_id", ["nobody", "", "\x00", "\ud800", "a" * 1_000])
async def test_a_name_that_is_not_registered_is_nobody(pool: asyncpg.Pool, client_id: str) -> None:
    assert await load_client(pool, client_id) is None
