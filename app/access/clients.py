"""Registered clients: the organisation that each acts for, its role, its scopes and its public keys."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from joserfc.jwk import ECKey

from app.access.client_keys import ALGORITHMS, CURVE, normalize_key
from app.access.interaction_rules import check_role
from app.access.scopes import format_scopes, parse_scopes
from app.core.caller import Role
from app.core.database import Connection
from app.core.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable

CLIENT_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
ORGANIZATION_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")

COLUMNS = """c.id, c.organization, c.role, c.scopes, c.server_makes_tasks, c.created_at, c.disabled_at,
    c.jwks_url, c.rate, c.last_token_at,
    ARRAY(SELECT jwk FROM client_key k WHERE k.client_id = c.id ORDER BY k.created_at, k.kid) AS keys"""


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client as registered. ``scopes`` is text as in a token request; ``keys`` are public JWKs (RFC 7517).

    Where there is a ``jwks_url`` the keys are there, and ``keys`` is empty. ``rate`` is requests a second, None for
    that of the settings. ``last_token_at`` is right to the minute.
    """

    id: str
    organization: str
    role: Role
    scopes: str
    server_makes_tasks: bool
    created_at: datetime
    disabled_at: datetime | None
    keys: tuple[dict[str, Any], ...]
    jwks_url: str | None
    rate: float | None
    last_token_at: datetime | None


async def register_client(
    connection: Connection,
    *,
    client_id: str,
    organization: str,
    role: str,
    scopes: str,
    server_makes_tasks: bool,
    public_jwk: str | dict[str, Any] | None = None,
    jwks_url: str | None = None,
    rate: float | None = None,
) -> None:
    """Adds a client with its first key, or the URL of its keys (SMART Backend Services 2.2, Registering a client).

    ``organization`` is the id alone; ``jwks_url`` has been looked at. Raises Invalid for what is malformed, Conflict
    where the name is taken.
    """
    if (public_jwk is None) == (jwks_url is None):
        raise Invalid("A client has a public key, or the URL of its keys")
    if not CLIENT_ID.fullmatch(client_id):
        raise Invalid(f"{client_id!r} is no client id: 1 to 64 letters, digits, dots, underscores and hyphens")
    if not ORGANIZATION_ID.fullmatch(organization):
        raise Invalid(f"{organization!r} is no id of an Organization")
    checked_role = read_role(role)
    granted = format_scopes(parse_scopes(scopes))
    key = normalize_key(public_jwk) if public_jwk is not None else None
    async with connection.transaction():
        # ON CONFLICT leaves the caller's transaction usable, which a unique violation would not.
        added = await connection.fetchval(
            """INSERT INTO client (id, organization, role, scopes, server_makes_tasks, jwks_url, rate)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING id""",
            client_id,
            organization,
            checked_role,
            granted,
            server_makes_tasks,
            jwks_url,
            rate,
        )
        if added is None:
            raise Conflict(f"There is a client named {client_id} already")
        if key:
            await connection.execute(
                "INSERT INTO client_key (client_id, kid, jwk) VALUES ($1, $2, $3)", client_id, *key
            )


def read_role(name: str) -> Role:
    """The role of this name. Raises Invalid."""
    try:
        return check_role(name)
    except ValueError as error:
        raise Invalid(str(error)) from error


async def list_clients(connection: Connection) -> list[RegisteredClient]:
    """Every client, disabled ones too, by name."""
    rows = await connection.fetch(f"SELECT {COLUMNS} FROM client c ORDER BY c.id")  # noqa: S608 -- a constant
    return [read_client(row) for row in rows]


async def load_client(connection: Connection | asyncpg.Pool, client_id: str) -> RegisteredClient | None:
    """The client of this name with its keys, disabled or not; None for a name that is not registered."""
    if not CLIENT_ID.fullmatch(client_id):
        return None
    row = await connection.fetchrow(f"SELECT {COLUMNS} FROM client c WHERE c.id = $1", client_id)  # noqa: S608 -- ditto
    return read_client(row) if row else None


def read_client(row: asyncpg.Record) -> RegisteredClient:
    """One row of ``COLUMNS``."""
    return RegisteredClient(
        id=row["id"],
        organization=row["organization"],
        role=check_role(row["role"]),
        scopes=row["scopes"],
        server_makes_tasks=row["server_makes_tasks"],
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        keys=tuple(json.loads(each) for each in row["keys"]),
        jwks_url=row["jwks_url"],
        rate=row["rate"],
        last_token_at=row["last_token_at"],
    )


PAUSE = """
UPDATE webhook SET status = 'paused', error = $2
WHERE client_id = $1 AND status IN ('requested', 'active', 'error')
"""
ENABLE = """
WITH asked AS (
    UPDATE webhook SET error = NULL, failing_since = NULL, handshake_until = NULL, handshakes = 0,
        status = CASE WHEN content IS NULL THEN 'active' ELSE 'requested' END
    WHERE client_id = $1 AND status = 'paused' AND error = $2 RETURNING 1
)
UPDATE client SET disabled_at = NULL WHERE id = $1 RETURNING id
"""
DISABLED = "its client is disabled"
"""Why a Subscription is paused whose client may not call any more: whoever took the client's key chose the endpoint."""


async def disable_client(connection: Connection, client_id: str) -> None:
    """No new tokens at once, within 5 s no use of those it holds; nothing goes to its endpoints. Raises NotFound."""
    async with connection.transaction():
        changed = await connection.fetchval(
            "UPDATE client SET disabled_at = coalesce(disabled_at, clock_timestamp()) WHERE id = $1 RETURNING id",
            client_id,
        )
        if changed is None:
            raise NotFound(f"There is no client named {client_id}")
        # A statement of its own: it sees the endpoints of whoever held the client until then.
        await connection.execute(PAUSE, client_id, DISABLED)


async def hold_client(connection: Connection, client_id: str) -> None:
    """Keeps a client from being disabled until the transaction ends, in which it names an endpoint.

    Raises Forbidden for one that is disabled: its tokens may count for seconds more.
    """
    row = await connection.fetchrow("SELECT disabled_at FROM client WHERE id = $1 FOR SHARE", client_id)
    if row and row["disabled_at"]:
        raise Forbidden("The client is disabled")


async def enable_client(connection: Connection, client_id: str) -> None:
    """Takes back ``disable_client``; tokens that are not expired count again, endpoints are asked again. NotFound."""
    changed = await connection.fetchval(ENABLE, client_id, DISABLED)
    if changed is None:
        raise NotFound(f"There is no client named {client_id}")


async def note_token(database: asyncpg.Pool, client_id: str) -> None:
    """Notes that a client gets a token now; a row that was written a minute ago is left as it is."""
    await database.execute(
        """UPDATE client SET last_token_at = clock_timestamp()
        WHERE id = $1 AND (last_token_at IS NULL OR last_token_at < clock_timestamp() - interval '1 minute')""",
        client_id,
    )


def generate_key() -> tuple[str, str]:
    """A new key for ES384: its private and its public JWK, as JSON. ``kid`` is the thumbprint (RFC 7638)."""
    key = ECKey.generate_key(CURVE, parameters={"use": "sig", "alg": ALGORITHMS["EC"]}, auto_kid=True)
    return json.dumps(key.as_dict(private=True)), json.dumps(key.as_dict(private=False))


@contextmanager
def reaching_database() -> Iterator[None]:
    """Turns every failure of the database into Unavailable: whoever cannot be checked is not let in."""
    try:
        yield
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Unavailable("The database cannot be reached; try again", headers={"Retry-After": "1"}) from error
