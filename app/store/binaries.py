"""The content of Binaries: written and read piece by piece, and whom the resource that names one lets read it."""

from collections.abc import Iterable
from functools import cache
from typing import BinaryIO

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import TYPES
from app.search.keys import index_key
from app.store.rows import Key, Stored
from app.store.statements import audience_parameter, filter_visible, shape

CHUNK = 3 * 65_536
"""Bytes of one piece: a multiple of three, so that each is whole in base64 by itself."""

Share = tuple[str, str]
"""(Task's id, organisation): a package that a resource is in."""


async def insert_content(connection: Connection, stored: Stored, content: BinaryIO, context: str | None) -> None:
    """The content of a version that this transaction has written, from the file's beginning to its end."""
    content.seek(0)
    size = position = 0
    while piece := content.read(CHUNK):
        await connection.execute(
            "INSERT INTO binary_chunk (id, version, position, data) VALUES ($1, $2, $3, $4)",
            stored.id,
            stored.version,
            position,
            piece,
        )
        size, position = size + len(piece), position + 1
    await connection.execute(
        "INSERT INTO binary_content (id, version, size, security_context) VALUES ($1, $2, $3, $4)",
        stored.id,
        stored.version,
        size,
        context,
    )


@cache
def content_statement(columns: str, source: str, scope: Scope) -> str:
    """$1 id, $2 audience, $3 version."""
    return (
        f"SELECT {columns} FROM {source} c JOIN {TYPES['Binary'].table} r ON r.id = c.id "
        f"WHERE c.id = $1 AND {filter_visible('Binary', scope, 2)} AND c.version = $3"
    )


async def read_size(connection: Connection, scope: Scope, binary_id: str, version: int) -> int | None:
    """How many bytes a version has; None where the scope does not see it."""
    statement = content_statement("c.size", "binary_content", shape(scope))
    found: int | None = await connection.fetchval(statement, binary_id, audience_parameter(scope), version)
    return found


async def read_chunk(connection: Connection, scope: Scope, binary_id: str, version: int, position: int) -> bytes | None:
    """One piece; None behind the last, and where the scope does not see it (any more)."""
    statement = content_statement("c.data", "binary_chunk", shape(scope)) + " AND c.position = $4"
    found: bytes | None = await connection.fetchval(statement, binary_id, audience_parameter(scope), version, position)
    return found


async def find_dependants(connection: Connection, keys: Iterable[Key], owner_org: str) -> list[str]:
    """The ids of the organisation's Binaries whose current version names one of these as its security context."""
    rows = await connection.fetch(
        f"SELECT c.id FROM binary_content c JOIN {TYPES['Binary'].table} r ON r.id = c.id AND r.version = c.version "
        "WHERE c.security_context = ANY($1) AND r.owner_org = $2 ORDER BY c.id",
        [f"{name}/{each}" for name, each in keys],
        owner_org,
    )
    return [row[0] for row in rows]


async def find_shares(connection: Connection, keys: Iterable[Key]) -> set[Share]:
    """The packages that these resources are in."""
    wanted = list(keys)
    rows = await connection.fetch(
        "SELECT DISTINCT m.task_id, m.organization FROM package_member m "
        "JOIN unnest($1::text[], $2::text[]) AS k(type, id) ON m.type = k.type AND m.id = k.id",
        [name for name, _ in wanted],
        [each for _, each in wanted],
    )
    return {(row[0], row[1]) for row in rows}


async def find_documents(connection: Connection, addresses: Iterable[str], owner_org: str) -> list[Key]:
    """The organisation's DocumentReferences that have one of these addresses as an attachment."""
    rows = await connection.fetch(
        f"SELECT DISTINCT r.id FROM search_reference s JOIN {TYPES['DocumentReference'].table} r ON r.id = s.id "
        "WHERE s.type = 'DocumentReference' AND s.parameter = 'location' AND s.target = ANY($1) "
        "AND r.owner_org = $2 AND NOT r.deleted",
        [index_key(each) for each in addresses],
        owner_org,
    )
    return [("DocumentReference", row[0]) for row in rows]
