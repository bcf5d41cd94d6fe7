"""Whether a scope sees a resource, whole or in part; asked again before each notification leaves."""

from collections import defaultdict
from collections.abc import Iterable

import asyncpg

from app.core.caller import EVERYONE, Scope
from app.core.database import Connection
from app.fhir.registry import STORED, TYPES
from app.store.rows import Stored
from app.store.statements import admits, sees_all

Seeker = tuple[str, str, str]
"""(organisation, resource type, id)."""


def sees_whole(scope: Scope, stored: Stored) -> bool:
    """Whether a resource may leave to this scope as it is."""
    return scope.admits(stored.owner_org, stored.shared_with) or sees_all(stored.type, scope)


def sees_part(scope: Scope, stored: Stored) -> bool:
    """Whether the reduced part of a resource may leave to this scope."""
    return stored.reduced is not None and any(
        each == EVERYONE or each in scope.organizations for each in stored.reduced_for
    )


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
