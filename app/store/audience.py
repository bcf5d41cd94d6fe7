"""Whether a scope sees a resource now: asked again before each notification leaves."""

from collections import defaultdict
from collections.abc import Iterable

import asyncpg

from app.core.caller import EVERYONE
from app.core.database import Connection
from app.fhir.registry import STORED, TYPES
from app.store.statements import admits

Seeker = tuple[str, str, str]
"""(organisation, resource type, id)."""


async def find_visible(connection: Connection | asyncpg.Pool, seekers: Iterable[Seeker]) -> set[Seeker]:
    """Those whose organisation is in the audience of the resource, deleted or not: a statement for each type."""
    wanted: dict[str, list[Seeker]] = defaultdict(list)
    for seeker in set(seekers):
        if seeker[1] in STORED:
            wanted[seeker[1]].append(seeker)
    found: set[Seeker] = set()
    for name, each in wanted.items():
        rows = await connection.fetch(
            f"SELECT s.organization, s.id FROM unnest($1::text[], $2::text[]) s(organization, id) "
            f"JOIN {TYPES[name].table} r ON r.id = s.id "
            f"WHERE {admits('ARRAY[s.organization, $3]')}",
            [organization for organization, _, _ in each],
            [key for _, _, key in each],
            EVERYONE,
        )
        found |= {(row[0], name, row[1]) for row in rows}
    return found


async def set_audience(connection: Connection, key: tuple[str, str], shared_with: tuple[str, ...]) -> None:
    """Replaces the audience of a directory entry, whose label may have come or gone."""
    table = TYPES[key[0]].table
    await connection.execute(
        f"UPDATE {table} SET shared_with = $2 WHERE id = $1 AND shared_with <> $2",
        key[1],
        list(shared_with),
    )
