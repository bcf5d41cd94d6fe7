"""Changes of a registered client: its keys, where they are, what it may do, its end."""

from app.access.client_keys import normalize_key
from app.access.clients import RegisteredClient, load_client, read_role
from app.access.scopes import format_scopes, parse_scopes
from app.core.database import Connection
from app.core.errors import Conflict, NotFound

MOST_KEYS = 10


async def hold(connection: Connection, client_id: str) -> RegisteredClient:
    """The client, which nobody else changes until the transaction ends. Raises NotFound."""
    await connection.execute("SELECT 1 FROM client WHERE id = $1 FOR UPDATE", client_id)
    client = await load_client(connection, client_id)
    if client is None:
        raise NotFound(f"There is no client named {client_id}")
    return client


async def add_key(connection: Connection, client_id: str, public_jwk: str | dict[str, object]) -> str:
    """Adds a public key beside the others, or in place of a JWKS URL; its ``kid``.

    Raises NotFound, Invalid, and Conflict where there is such a key or there are too many.
    """
    client = await hold(connection, client_id)
    kid, jwk = normalize_key(public_jwk)
    if len(client.keys) >= MOST_KEYS:
        raise Conflict(f"{client_id} has {MOST_KEYS} keys already: remove one first")
    added = await connection.fetchval(
        "INSERT INTO client_key (client_id, kid, jwk) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING kid",
        client_id,
        kid,
        jwk,
    )
    if added is None:
        raise Conflict(f"{client_id} has a key {kid} already")
    await connection.execute("UPDATE client SET jwks_url = NULL WHERE id = $1", client_id)
    return kid


async def remove_key(connection: Connection, client_id: str, kid: str) -> None:
    """Takes a public key away. Raises NotFound, and Conflict for the last one: who has none is disabled instead."""
    client = await hold(connection, client_id)
    if kid not in [each["kid"] for each in client.keys]:
        raise NotFound(f"{client_id} has no key {kid}")
    if len(client.keys) == 1:
        raise Conflict(f"This is the only key of {client_id}: add another first, or disable the client")
    await connection.execute("DELETE FROM client_key WHERE client_id = $1 AND kid = $2", client_id, kid)


async def set_jwks_url(connection: Connection, client_id: str, url: str) -> None:
    """From now on the keys are those at a URL, which has been looked at; those registered go. Raises NotFound."""
    await hold(connection, client_id)
    await connection.execute("DELETE FROM client_key WHERE client_id = $1", client_id)
    await connection.execute("UPDATE client SET jwks_url = $2 WHERE id = $1", client_id, url)


async def change_client(
    connection: Connection, client_id: str, *, role: str, scopes: str, server_makes_tasks: bool, rate: float | None
) -> None:
    """What a client may do from now on; tokens that say more do not count any more. Raises NotFound, Invalid."""
    await hold(connection, client_id)
    if role != "coordinator":
        await connection.execute("UPDATE webhook SET network = false WHERE client_id = $1", client_id)
    await connection.execute(
        "UPDATE client SET role = $2, scopes = $3, server_makes_tasks = $4, rate = $5 WHERE id = $1",
        client_id,
        read_role(role),
        format_scopes(parse_scopes(scopes)),
        server_makes_tasks,
        rate,
    )


async def remove_client(connection: Connection, client_id: str) -> None:
    """Forgets a client; the audit trail does not. Raises NotFound, and Conflict where it is not disabled."""
    client = await hold(connection, client_id)
    if client.disabled_at is None:
        raise Conflict(f"{client_id} is not disabled: disable it first")
    await connection.execute("DELETE FROM client WHERE id = $1", client_id)
