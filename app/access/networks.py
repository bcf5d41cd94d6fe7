"""The register of coordinators' networks: which organisation is in whose, and whether that one may act for it."""

from dataclasses import dataclass
from datetime import datetime

from app.core.database import Connection
from app.core.errors import NotFound


@dataclass(frozen=True, slots=True)
class Membership:
    """``coordinator`` sees what is ``member``'s and not labelled; with ``acts`` it also acts on its behalf."""

    coordinator: str
    member: str
    acts: bool
    since: datetime


PUT = """
INSERT INTO network_member AS m (coordinator, member, acts) VALUES ($1, $2, $3)
ON CONFLICT (coordinator, member) DO UPDATE SET acts = excluded.acts
RETURNING coordinator, member, acts, since
"""


async def list_memberships(connection: Connection) -> list[Membership]:
    """Every membership, by coordinator and member."""
    rows = await connection.fetch("SELECT coordinator, member, acts, since FROM network_member ORDER BY 1, 2")
    return [Membership(*row) for row in rows]


async def put_membership(connection: Connection, coordinator: str, member: str, *, acts: bool) -> Membership:
    """Takes an organisation into a network, or changes what may be done for one that is in it."""
    [row] = await connection.fetch(PUT, coordinator, member, acts)
    return Membership(*row)


async def delete_membership(connection: Connection, coordinator: str, member: str) -> None:
    """Takes an organisation out of a network. Raises NotFound."""
    gone = await connection.fetchval(
        "DELETE FROM network_member WHERE coordinator = $1 AND member = $2 RETURNING member", coordinator, member
    )
    if gone is None:
        raise NotFound(f"Organization/{member} is not in the network of Organization/{coordinator}")
