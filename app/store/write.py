"""Writes one version of one resource in one statement: row, history and index together."""

from typing import Any

from app.core.database import Connection
from app.core.errors import LostRace
from app.models.search_rows import CHILD_TABLES
from app.store.read import read_row
from app.store.rows import Draft, Stored
from app.store.statements import (
    child_kinds,
    clock_width,
    delete_statement,
    extra_columns,
    insert_statement,
    update_statement,
)


def child_arrays(draft: Draft) -> list[list[Any]]:
    """The child rows turned into one array for each column, as the statements want them."""
    arrays: list[list[Any]] = []
    for kind in child_kinds(draft.type):
        width = len(CHILD_TABLES[kind].columns) - 2
        rows = draft.index.rows[kind]
        arrays.extend([list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)])
    return arrays


def extra_values(draft: Draft) -> list[str | None]:
    return [getattr(draft, name) for name in extra_columns(draft.type)]


def clock_values(draft: Draft) -> tuple[Any, ...]:
    return draft.due if clock_width(draft.type) else ()


async def insert_resource(connection: Connection, draft: Draft) -> Stored:
    """The first version. Raises asyncpg.UniqueViolationError where the id is taken."""
    row = await connection.fetchrow(
        insert_statement(draft.type),
        draft.id,
        *draft.pieces,
        draft.owner_org,
        list(draft.shared_with),
        *extra_values(draft),
        *draft.index.columns,
        *clock_values(draft),
        *child_arrays(draft),
    )
    return read_row(row)


async def update_resource(
    connection: Connection, draft: Draft, version: int, *, children_changed: bool = True
) -> Stored:
    """The version after ``version``; owner and audience stay. Raises LostRace where ``version`` is not current."""
    row = await connection.fetchrow(
        update_statement(draft.type, children=children_changed),
        draft.id,
        version,
        *draft.pieces,
        *extra_values(draft),
        *draft.index.columns,
        *clock_values(draft),
        *(child_arrays(draft) if children_changed else ()),
    )
    if row is None:
        raise LostRace(f"{draft.type}/{draft.id} was changed by someone else meanwhile")
    return read_row(row)


async def delete_resource(connection: Connection, resource_type: str, resource_id: str, version: int) -> Stored:
    """The tombstone after ``version``. Raises LostRace where ``version`` is not current."""
    row = await connection.fetchrow(delete_statement(resource_type), resource_id, version)
    if row is None:
        raise LostRace(f"{resource_type}/{resource_id} was changed by someone else meanwhile")
    return read_row(row)
