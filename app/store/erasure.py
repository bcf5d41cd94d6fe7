"""Finds every version that names some resources, and erases resources with all that hangs on their rows."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import asyncpg

from app.core.caller import Scope
from app.core.database import Connection
from app.core.errors import LostRace
from app.fhir.registry import STORED, TYPES
from app.models.resources import REFERRAL_TYPES
from app.models.search_rows import CHILD_TABLES
from app.store.packages import close_package
from app.store.read import group_by_type
from app.store.rows import Key
from app.store.statements import audience_parameter, filter_visible, shape

AT_ONCE = 200
"""References in one pattern."""
OTHER_TABLES = (
    "resource_history",
    "package_member",
    "package_ground",
    "referral",
    "event",
    "delivery",
    "attempt",
    "binary_content",
    "binary_chunk",
    "overdue",
)
CLEAR_STATISTICS = """
SELECT pg_clear_attribute_stats(schemaname, tablename, attname, inherited) FROM pg_stats
WHERE schemaname = 'public' AND tablename = $1
"""
BEFORE, AFTER = "(^|[^A-Za-z0-9.-])", "($|[^A-Za-z0-9.-])"
"""Ids go on with these characters: ``Patient/1`` is not named by ``Patient/12``."""


def stands_in(reference: str, content: str) -> bool:
    """Whether a text names a resource, be it in the query of a Subscription."""
    return re.search(BEFORE + re.escape(reference) + AFTER, content) is not None


@dataclass(frozen=True, slots=True)
class Version:
    """One version; ``last`` is the newest one that has content. ``now`` is the number of the row, a tombstone's too."""

    type: str
    id: str
    version: int
    last: bool
    content: str
    owner_org: str
    referral: str | None
    now: int

    @property
    def key(self) -> Key:
        return self.type, self.id


@cache
def versions_statement(types: tuple[str, ...], scope: Scope, condition: str) -> str:
    """$1 audience; ``condition`` is on ``{r}``, the row, and ``{v}``, the version."""
    parts = []
    for name in types:
        referral = "r.referral" if name in REFERRAL_TYPES else "NULL::text"
        table, visible = TYPES[name].table, filter_visible(name, scope, 1)
        history = f"{table} r JOIN resource_history h ON h.type = '{name}' AND h.id = r.id"
        for source, v in ((f"{table} r", "r"), (history, "h")):
            parts.append(
                f"SELECT '{name}', r.id, {v}.version, {v}.version = r.version - r.deleted::int, {v}.content, "
                f"r.owner_org, {referral}, r.version FROM {source} "
                f"WHERE NOT {v}.deleted AND {visible} AND {condition.format(r='r', v=v, type=name)}"
            )
    return " UNION ALL ".join(parts)


async def find_versions(
    connection: Connection, scope: Scope, types: Iterable[str], condition: str, *values: Any
) -> list[Version]:
    statement = versions_statement(tuple(types), shape(scope), condition)
    return [Version(*row) for row in await connection.fetch(statement, audience_parameter(scope), *values)]


async def find_naming(
    connection: Connection, scope: Scope, references: Iterable[str], texts: Iterable[str] = ()
) -> list[Version]:
    """Every version, of whatever time, in whose content one of these references stands, or one of these texts.

    It reads all that there is: for a command, not for a request.
    """
    patterns = [*(BEFORE + re.escape(each) + AFTER for each in sorted(references)), *map(re.escape, sorted(texts))]
    found: dict[tuple[str, str, int], Version] = {}
    for start in range(0, len(patterns), AT_ONCE):
        pattern = "|".join(patterns[start : start + AT_ONCE])
        for each in await find_versions(connection, scope, STORED, "{v}.content ~ $2", pattern):
            found[*each.key, each.version] = each
    return list(found.values())


async def load_every_version(connection: Connection, scope: Scope, keys: Iterable[Key]) -> list[Version]:
    """All that there ever was of these resources."""
    found = []
    for name, ids in group_by_type(keys).items():
        found += await find_versions(connection, scope, [name], "{r}.id = ANY($2::text[])", ids)
    return found


async def load_members(connection: Connection, scope: Scope, referrals: Iterable[str]) -> list[Version]:
    """The versions of all that belongs to these referrals."""
    condition = "{r}.referral = ANY($2::text[])"
    return await find_versions(connection, scope, REFERRAL_TYPES, condition, sorted(referrals))


async def find_contents_of(connection: Connection, references: Iterable[str]) -> list[Key]:
    """The Binaries of which some version names one of these as its security context."""
    rows = await connection.fetch(
        "SELECT DISTINCT id FROM binary_content WHERE security_context = ANY($1)", sorted(references)
    )
    return [("Binary", row[0]) for row in rows]


async def find_readers(connection: Connection, scope: Scope, keys: Iterable[Key]) -> set[str]:
    """The organisations that own these resources, read them by a package, or were a Task's owner or requester."""
    found: set[str] = set()
    for name, ids in group_by_type(keys).items():
        parties = "ARRAY[r.requester_org, r.assigned_org]" if name == "Task" else "'{}'::text[]"
        rows = await connection.fetch(
            f"SELECT DISTINCT unnest(r.owner_org || r.shared_with || {parties}) FROM {TYPES[name].table} r "
            f"WHERE r.id = ANY($2::text[]) AND {filter_visible(name, scope, 1)}",
            audience_parameter(scope),
            ids,
        )
        found |= {row[0] for row in rows if row[0]}
    return found


async def hold_referrals(connection: Connection, referrals: Iterable[str]) -> None:
    """Locks these referrals, in the order of their ids."""
    await connection.execute("SELECT id FROM referral WHERE id = ANY($1) ORDER BY id FOR UPDATE", sorted(referrals))


async def erase_resources(connection: Connection, versions: Mapping[Key, int]) -> None:
    """Erases resources with their history, index, packages and content, as if they had never been.

    ``versions`` are those that were looked at: raises LostRace where one has changed since.
    """
    grouped = group_by_type(versions)
    for name, ids in grouped.items():
        rows = await connection.fetch(
            f"SELECT id, version FROM {TYPES[name].table} WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE", ids
        )
        if {row[0]: row[1] for row in rows} != {each: versions[name, each] for each in ids}:
            raise LostRace("What is to be erased was changed by someone else meanwhile")
    await leave_packages(connection, set(versions), grouped.get("Task", []))
    for name, ids in grouped.items():
        for table in ("resource_history", "package_member", *(each.name for each in CHILD_TABLES.values())):
            await connection.execute(f"DELETE FROM {table} WHERE type = $1 AND id = ANY($2)", name, ids)
        await connection.execute(f"DELETE FROM {TYPES[name].table} WHERE id = ANY($1::text[])", ids)
    await connection.execute("DELETE FROM package_ground WHERE patient = ANY($1)", grouped.get("Patient", []))
    for table in ("package_ground", "overdue"):
        await connection.execute(f"DELETE FROM {table} WHERE task_id = ANY($1)", grouped.get("Task", []))
    for table in ("binary_content", "binary_chunk"):
        await connection.execute(f"DELETE FROM {table} WHERE id = ANY($1)", grouped.get("Binary", []))


async def leave_packages(connection: Connection, erased: set[Key], tasks: list[str]) -> None:
    """Closes what these Tasks share of resources that stay."""
    rows = await connection.fetch(
        "SELECT task_id, organization, type, id FROM package_member WHERE task_id = ANY($1) ORDER BY 1, 2", tasks
    )
    packages: dict[tuple[str, str], set[Key]] = {}
    for task_id, organization, name, resource_id in rows:
        packages.setdefault((task_id, organization), set()).add((name, resource_id))
    for package, keys in packages.items():
        await close_package(connection, *package, keys - erased)


async def erase_versions(connection: Connection, versions: Iterable[tuple[str, str, int]]) -> None:
    """Erases single versions of the past."""
    listed = sorted(versions)
    await connection.execute(
        "DELETE FROM resource_history h USING unnest($1::text[], $2::text[], $3::bigint[]) AS v(type, id, version) "
        "WHERE h.type = v.type AND h.id = v.id AND h.version = v.version",
        *([each[n] for each in listed] for n in range(3)),
    )


async def erase_referrals(connection: Connection, referrals: Iterable[str]) -> None:
    """Erases the rows of these referrals of which nothing is left."""
    left = " OR ".join(
        f"EXISTS (SELECT 1 FROM {TYPES[name].table} r WHERE r.referral = f.id)" for name in REFERRAL_TYPES
    )
    await connection.execute(f"DELETE FROM referral f WHERE f.id = ANY($1) AND NOT ({left})", sorted(referrals))


async def clean_tables(url: str, types: Iterable[str]) -> None:
    """Takes what was erased out of the tables' pages and of the planner's statistics, as their owner at ``url``."""
    tables = [TYPES[name].table for name in types] + [each.name for each in CHILD_TABLES.values()]
    connection = await asyncpg.connect(url)
    try:
        for table in [*tables, *OTHER_TABLES]:
            if connection.get_server_version() >= (18,):
                # ANALYZE leaves the statistics of a table as they are that has become empty.
                await connection.execute(CLEAR_STATISTICS, table)
            await connection.execute(f"VACUUM (ANALYZE) {table}")
    finally:
        await connection.close()
