"""Reads resources by id, each within a scope."""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from typing import Any

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import STORED, TYPES
from app.store.rows import Key, Stored
from app.store.statements import (
    audience_parameter,
    filter_visible,
    read_statement,
    shape,
    shown_columns,
    versions_statement,
    vread_statement,
)


def read_row(row: Any) -> Stored:
    """A Stored from a row selected by ``row_columns`` or its like."""
    return Stored._make((*row[:7], tuple(row[7]), *row[8:12], tuple(row[12] or ())))


async def read_resource(connection: Connection, scope: Scope, resource_type: str, resource_id: str) -> Stored | None:
    """The current version, a tombstone included; None where there is none that the scope sees."""
    row = await connection.fetchrow(read_statement(resource_type, shape(scope)), resource_id, audience_parameter(scope))
    return read_row(row) if row else None


async def read_version(
    connection: Connection, scope: Scope, resource_type: str, resource_id: str, version: int
) -> Stored | None:
    """One version, current or not; None where there is none that the scope sees."""
    row = await connection.fetchrow(
        vread_statement(resource_type, shape(scope)), resource_id, audience_parameter(scope), version
    )
    return read_row(row) if row else None


async def load_versions(
    connection: Connection, scope: Scope, wanted: Iterable[tuple[str, str, int]]
) -> dict[tuple[str, str, int], Stored]:
    """Many versions (type, id, version), one round trip for each type; what the scope does not see is absent."""
    grouped: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
    for name, resource_id, version in wanted:
        grouped[name].add((resource_id, version))
    found: dict[tuple[str, str, int], Stored] = {}
    for name, pairs in grouped.items():
        ids, versions = zip(*sorted(pairs), strict=True)
        rows = await connection.fetch(
            versions_statement(name, shape(scope)), audience_parameter(scope), list(ids), list(versions)
        )
        found |= {(name, stored.id, stored.version): stored for stored in map(read_row, rows)}
    return found


@cache
def load_statement(types: tuple[str, ...], scope: Scope) -> str:
    """$1 audience, then one array of ids for each type."""
    return " UNION ALL ".join(
        f"SELECT {shown_columns(name, scope, 1)} FROM {TYPES[name].table} r WHERE r.id = ANY(${n}::text[]) "
        f"AND {filter_visible(name, scope, 1, parts=True)}"
        for n, name in enumerate(types, start=2)
    )


async def load_resources(connection: Connection, scope: Scope, keys: Iterable[Key]) -> dict[Key, Stored]:
    """The current versions of many resources, in one round trip; what the scope does not see is absent."""
    grouped = group_by_type(keys)
    if not grouped:
        return {}
    rows = await connection.fetch(
        load_statement(tuple(grouped), shape(scope)), audience_parameter(scope), *grouped.values()
    )
    found = [read_row(row) for row in rows]
    return {stored.key: stored for stored in found}


def group_by_type(keys: Iterable[Key]) -> dict[str, list[str]]:
    """The ids of each known type, both sorted; a type that is not served names nothing."""
    grouped: defaultdict[str, set[str]] = defaultdict(set)
    for name, resource_id in keys:
        if name in STORED:
            grouped[name].add(resource_id)
    return {name: sorted(grouped[name]) for name in sorted(grouped)}
