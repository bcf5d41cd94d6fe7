"""Whether a scope sees a resource, whole or in part; asked again before each notification leaves."""

from collections import defaultdict
from collections.abc import Iterable

import asyncpg

from app.core.caller import EVERYONE, Scope
from app.core.database import Connection
from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.labels import is_labelled
from app.fhir.registry import STORED, TYPES
from app.store.rows import Stored
from app.store.statements import admits, is_of_network, sees_all
from app.store.statements import is_labelled as is_labelled_row

Seeker = tuple[str, str, str, bool]
"""(organisation, resource type, id, whether it looks for its network too)."""

OF_NETWORK = (
    "s.network AND EXISTS (SELECT 1 FROM network_member n WHERE n.coordinator = s.organization "
    "AND (n.member = r.owner_org OR n.member = ANY(r.shared_with)))"
)


def sees_whole(scope: Scope, stored: Stored) -> bool:
    """Whether a resource may leave to this scope as it is."""
    if scope.admits(stored.owner_org, stored.shared_with) or sees_all(stored.type, scope):
        return True
    return bool(scope.network) and sees_as_network(scope, stored)


def sees_as_network(scope: Scope, stored: Stored) -> bool:
    """Whether a resource is one of the scope's network, and not labelled: a label names whom it may reach."""
    if stored.deleted or not is_of_network(stored.type):
        return False
    if stored.owner_org not in scope.network and not any(each in scope.network for each in stored.shared_with):
        return False
    return '"security"' not in stored.content or not is_labelled(parse(stored.content.encode(), STORED_LIMITS))


def sees_part(scope: Scope, stored: Stored) -> bool:
    """Whether the reduced part of a resource may leave to this scope."""
    return stored.reduced is not None and any(
        each == EVERYONE or each in scope.organizations for each in stored.reduced_for
    )


async def find_visible(connection: Connection | asyncpg.Pool, seekers: Iterable[Seeker]) -> set[Seeker]:
    """Those whose organisation is in the audience of the resource, deleted or not: a statement for each type.

    With its network, which is that of now, whatever is not labelled is seen too.
    """
    wanted: dict[str, list[Seeker]] = defaultdict(list)
    for seeker in set(seekers):
        if seeker[1] in STORED:
            wanted[seeker[1]].append(seeker)
    found: set[Seeker] = set()
    for name, each in wanted.items():
        network = f"({OF_NETWORK} AND NOT {is_labelled_row(name)})" if is_of_network(name) else "false"
        rows = await connection.fetch(
            "SELECT s.organization, s.id, s.network FROM unnest($1::text[], $2::text[], $4::bool[]) "
            f"s(organization, id, network) JOIN {TYPES[name].table} r ON r.id = s.id "
            f"WHERE {admits('ARRAY[s.organization, $3]')} OR {network}",
            [organization for organization, _, _, _ in each],
            [key for _, _, key, _ in each],
            EVERYONE,
            [wide for _, _, _, wide in each],
        )
        found |= {(row[0], name, row[1], row[2]) for row in rows}
    return found
