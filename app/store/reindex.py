"""Extracts the search columns and child rows of current resources again, after a search parameter was added."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import asyncpg

from app.core.database import Connection
from app.core.errors import Invalid
from app.fhir.json_text import Limits, parse
from app.fhir.registry import STORED, TYPES
from app.models.resources import RESOURCE_TABLES
from app.models.search_rows import CHILD_TABLES
from app.search.extract import IndexEntry, extractor
from app.store.statements import search_columns

BATCH = 500
ATTEMPTS = 5
BELOW_ALL = ""

ACCEPTED = Limits(depth=10_000, string=2**31, digits=2**31)
"""What is stored was accepted once, under limits that may have been wider than today's."""

Progress = Callable[[str, int, int, str], None]
"""Told after each batch: the type, how many of how many are done, and the last id, to go on after."""

Batch = list[tuple[str, IndexEntry]]


async def reindex_resources(
    connection: Connection,
    types: Sequence[str],
    progress: Progress,
    after: tuple[str, str] | None = None,
    base: str | None = None,
) -> int:
    """Indexes every current resource of these types (none is all) again; how many there were.

    Each batch is a transaction of its own, and doing one twice changes nothing: after a stop, go on ``after`` the
    (type, id) that was told last. Versions and content stay as they are. References below ``base`` are our own.
    Raises Invalid for an unknown type.
    """
    unknown = sorted(set(types) - set(STORED))
    if unknown:
        raise Invalid(f"{unknown[0]} is not a resource type of this server")
    total = 0
    for name in sorted(types or STORED):
        if after is None or name >= after[0]:
            start = after[1] if after and name == after[0] else BELOW_ALL
            total += await reindex_type(connection, name, progress, start, base)
    return total


async def reindex_type(
    connection: Connection, resource_type: str, progress: Progress, start: str, base: str | None
) -> int:
    """Indexes the resources of one type whose id is above ``start``, in order of id."""
    table, done, last = TYPES[resource_type].table, 0, start
    expected = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE id > $1 AND NOT deleted", start)
    while batch := await reindex_batch(connection, resource_type, last, base):
        done, last = done + len(batch), batch[-1][0]
        progress(resource_type, done, max(done, expected), last)
    return done


async def reindex_batch(connection: Connection, resource_type: str, last: str, base: str | None) -> Batch:
    """The next batch, in one transaction; tried again where it got in the way of a writer, who was not waited for."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            async with connection.transaction():
                return await write_batch(connection, resource_type, last, base)
        except asyncpg.DeadlockDetectedError:
            if attempt == ATTEMPTS:
                raise
    return []


async def write_batch(connection: Connection, resource_type: str, last: str, base: str | None) -> Batch:
    """Locks, reads and indexes again the first resources above ``last``."""
    extract = extractor(resource_type, base)
    rows = await connection.fetch(lock_statement(resource_type), last, BATCH)
    batch = [(row["id"], extract(parse(row["content"].encode(), ACCEPTED))) for row in rows]
    if batch:
        await write_columns(connection, resource_type, batch)
        for kind in CHILD_TABLES:
            await write_children(connection, resource_type, kind, batch)
    return batch


@cache
def lock_statement(resource_type: str) -> str:
    """$1 the id to go on after, $2 how many. Locks in order of id, as every writer does."""
    table = TYPES[resource_type].table
    return f"SELECT id, content FROM {table} WHERE id > $1 AND NOT deleted ORDER BY id LIMIT $2 FOR UPDATE"


@cache
def columns_statement(resource_type: str) -> str:
    """$1 ids, then an array for each search column; a row that has these values already is not written."""
    table, names = RESOURCE_TABLES[resource_type], search_columns(resource_type)
    kinds = ["timestamptz" if name.endswith(("_low", "_high")) else "text" for name in names]
    arrays = ", ".join(f"${n}::{kind}[]" for n, kind in enumerate(["text", *kinds], start=1))
    sets = ", ".join(f"{name} = v.{name}" for name in names)
    old, new = (", ".join(f"{alias}.{name}" for name in names) for alias in ("r", "v"))
    return (
        f"UPDATE {table.name} r SET {sets} FROM unnest({arrays}) AS v(id, {', '.join(names)}) "
        f"WHERE r.id = v.id AND ({old}) IS DISTINCT FROM ({new})"
    )


async def write_columns(connection: Connection, resource_type: str, batch: Batch) -> None:
    """The search columns of the type's own table."""
    if search_columns(resource_type):
        values = zip(*(entry.columns for _, entry in batch), strict=True)
        await connection.execute(columns_statement(resource_type), [key for key, _ in batch], *map(list, values))


async def write_children(connection: Connection, resource_type: str, kind: str, batch: Batch) -> None:
    """The child rows of one kind; those of a parameter that the type has no more go too."""
    table = CHILD_TABLES[kind]
    keys = [key for key, _ in batch]
    await connection.execute(f"DELETE FROM {table.name} WHERE type = $1 AND id = ANY($2)", resource_type, keys)
    records: list[tuple[Any, ...]] = [
        (resource_type, key, *row) for key, entry in batch for row in entry.rows.get(kind, ())
    ]
    if records:
        columns = [column.name for column in table.columns]
        await connection.copy_records_to_table(table.name, records=records, columns=columns)
