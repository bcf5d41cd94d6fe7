"""Opens and closes what a Task shares with an organisation (access.md, What a caller sees)."""

from collections.abc import Iterable
from functools import cache

from app.core.database import Connection
from app.fhir.registry import TYPES
from app.store.read import group_by_type
from app.store.rows import Key
from app.store.steps import Step


@cache
def open_step(types: tuple[str, ...]) -> Step:
    """Lets an organisation read resources because of a Task; what it reads already stays.

    $1 task, $2 organisation, $3 and $4 the members' types and ids, then for each type the ids of those that have a row.
    It tells of those rows. They are locked before their audience is read: two Tasks may open and close on one Patient
    at once.
    """
    parts = [
        "member@ AS (INSERT INTO package_member (type, id, organization, task_id) "
        "SELECT type, id, $2, $1 FROM unnest($3::text[], $4::text[]) AS new(type, id) ON CONFLICT DO NOTHING)"
    ]
    for n, name in enumerate(types, start=5):
        table = TYPES[name].table
        parts.append(
            f"locked_{table}@ AS MATERIALIZED (SELECT id, version, owner_org, shared_with FROM {table} "
            f"WHERE id = ANY(${n}::text[]) ORDER BY id FOR UPDATE)"
        )
        parts.append(
            f"shared_{table}@ AS (UPDATE {table} r SET shared_with = array_append(r.shared_with, $2) "
            # The ids once more, or a plan made while the table was empty reads all of it.
            f"FROM locked_{table}@ l WHERE r.id = ANY(${n}::text[]) AND r.id = l.id AND l.owner_org <> $2 "
            "AND NOT ($2 = ANY(l.shared_with)))"
        )
    told = " UNION ALL ".join(f"SELECT '{name}'::text, id, version FROM locked_{TYPES[name].table}@" for name in types)
    return Step(", ".join(parts), 4 + len(types), told)


async def find_package(connection: Connection, task_id: str, organization: str) -> set[Key]:
    """What the organisation reads because of this Task."""
    rows = await connection.fetch(
        "SELECT type, id FROM package_member WHERE task_id = $1 AND organization = $2", task_id, organization
    )
    return {(row[0], row[1]) for row in rows}


async def close_package(connection: Connection, task_id: str, organization: str, keys: Iterable[Key]) -> None:
    """Takes these resources out of a Task's package; what another Task shares stays shared."""
    for name, ids in group_by_type(keys).items():
        table = TYPES[name].table
        await connection.execute(f"SELECT id FROM {table} WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE", ids)
        await connection.execute(
            "DELETE FROM package_member WHERE task_id = $1 AND organization = $2 AND type = $3 AND id = ANY($4)",
            task_id,
            organization,
            name,
            ids,
        )
        await connection.execute(
            f"UPDATE {table} r SET shared_with = array_remove(shared_with, $2) WHERE id = ANY($1::text[]) "
            "AND NOT EXISTS (SELECT 1 FROM package_member m "
            "WHERE m.type = $3 AND m.id = r.id AND m.organization = $2)",
            ids,
            organization,
            name,
        )


async def find_sharing_tasks(connection: Connection, organization: str, key: Key) -> list[str]:
    """The Tasks whose open package lets the organisation read this resource."""
    rows = await connection.fetch(
        "SELECT task_id FROM package_member WHERE type = $1 AND id = $2 AND organization = $3 ORDER BY task_id",
        *key,
        organization,
    )
    return [row[0] for row in rows]
