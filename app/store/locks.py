"""Locks that stand for something that has no row yet."""

import hashlib

from app.core.database import Connection


async def lock_condition(
    connection: Connection, organization: str, resource_type: str, pairs: list[tuple[str, str]]
) -> None:
    """Waits until no other transaction holds this condition; held until the transaction ends.

    The organisation is in the key, so that waiting tells nobody what another organisation asks for.
    """
    digest = hashlib.sha256(repr((organization, resource_type, pairs)).encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", key)
