"""What is shown in part of a directory entry or of a Task in the pool, and to whom (docs/decisions/0014-pool.md)."""

from collections.abc import Collection
from functools import cache

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import TYPES
from app.search.plan import Include
from app.store.read import read_row
from app.store.rows import Key, Stored
from app.store.search import render_referring
from app.store.statements import audience_parameter, filter_visible, row_columns, shape

Codes = Collection[tuple[str, str]]
"""(system, code)"""

OFFERING = """
ARRAY(SELECT DISTINCT substr(h.s_organization, 14) COLLATE "C" AS organization
    FROM search_token w
    JOIN search_token c ON c.type = 'HealthcareService' AND c.parameter IN ('service-category', 'service-type')
        AND c.code = w.code AND c.system = w.system
    JOIN healthcare_service h ON h.id = c.id AND NOT h.deleted AND h.s_active IS DISTINCT FROM 'false'
        AND starts_with(h.s_organization, 'Organization/')
    WHERE w.type = 'ServiceRequest' AND w.parameter = 'category' AND w.id = substr(r.s_focus, 16) AND w.code <> ''
        AND (w.system, w.code) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
        AND substr(h.s_organization, 14) NOT IN (r.owner_org, r.requester_org)
    ORDER BY organization)
"""
"""The organisations that offer what the Task ``r`` asks for, but for the categories $2 of the systems $1."""

PUT_POOL = f"UPDATE task r SET reduced = $4, reduced_for = {OFFERING} WHERE id = $3 RETURNING reduced_for"

REFRESH_POOL = f"""
UPDATE task SET reduced_for = now.offering
FROM (SELECT r.id, {OFFERING} AS offering FROM task r WHERE r.reduced IS NOT NULL ORDER BY r.id FOR UPDATE) AS now
WHERE task.id = now.id AND task.reduced_for <> now.offering
"""


async def hold_pool(connection: Connection, *, changing: bool) -> None:
    """Until the transaction ends: who puts a Task in sees every offer, and who changes an offer sees every Task.

    Read and write in statements after this one.
    """
    mode = "pg_advisory_xact_lock" if changing else "pg_advisory_xact_lock_shared"
    await connection.execute(f"SELECT {mode}(hashtextextended('pool', 25))")


async def put_into_pool(connection: Connection, task_id: str, text: str, general: Codes) -> tuple[str, ...]:
    """Shows this part of a Task to who offers a category of its ServiceRequest that is not general; to whom."""
    found: list[str] = await connection.fetchval(PUT_POOL, *split(general), task_id, text)
    return tuple(found)


async def take_from_pool(connection: Connection, task_id: str) -> None:
    """Shows it no more; to whom it was shown is remembered, for whoever still tries to claim it."""
    await connection.execute("UPDATE task SET reduced = NULL WHERE id = $1 AND reduced IS NOT NULL", task_id)


async def refresh_pool(connection: Connection, general: Codes) -> None:
    """After an offer was changed: each Task in the pool shows to who offers what it asks for now."""
    await connection.execute(REFRESH_POOL, *split(general))


def split(pairs: Codes) -> tuple[list[str], list[str]]:
    """The systems and the codes."""
    ordered = sorted(pairs)
    return [system for system, _ in ordered], [code for _, code in ordered]


async def hold_directory(connection: Connection, owner_org: str) -> None:
    """Until the transaction ends nobody else settles what an organisation's entries show. Read them after this."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 26))", owner_org)


async def set_shown(
    connection: Connection, key: Key, shared_with: tuple[str, ...], part: str | None, part_for: tuple[str, ...]
) -> None:
    """Who sees a directory entry whole, and what of it the others see."""
    table, values = TYPES[key[0]].table, (key[1], list(shared_with))
    if TYPES[key[0]].view:
        await connection.execute(
            f"UPDATE {table} SET shared_with = $2, reduced = $3, reduced_for = $4 "
            "WHERE id = $1 AND (shared_with <> $2 OR reduced IS DISTINCT FROM $3)",
            *values,
            part,
            list(part_for),
        )
    else:
        await connection.execute(f"UPDATE {table} SET shared_with = $2 WHERE id = $1 AND shared_with <> $2", *values)


@cache
def referring_statement(resource_type: str, code: str, scope: Scope) -> str:
    """$1 audience, $2 references, $3 owner."""
    parameter = TYPES[resource_type].parameter(code)
    if parameter is None:
        raise ValueError(f"{resource_type} has no search parameter {code}")
    return (
        f"SELECT {row_columns(resource_type)} FROM {TYPES[resource_type].table} r WHERE NOT r.deleted "
        f"AND {filter_visible(resource_type, scope, 1)} AND r.owner_org = $3 "
        f"AND {render_referring(Include(resource_type, parameter), '$2::text[]')} ORDER BY r.id FOR UPDATE OF r"
    )


async def find_referring(
    connection: Connection, scope: Scope, resource_type: str, code: str, target: str, owner_org: str
) -> list[Stored]:
    """The resources of an organisation that refer to ``Type/id`` by a search parameter, locked."""
    statement = referring_statement(resource_type, code, shape(scope))
    return [read_row(row) for row in await connection.fetch(statement, audience_parameter(scope), [target], owner_org)]
