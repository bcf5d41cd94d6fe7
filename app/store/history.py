"""Reads the history of an instance, a type or the whole system within a scope (R4 http, history)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import TYPES
from app.store.read import read_row
from app.store.rows import Stored
from app.store.statements import audience_parameter, filter_visible, row_columns, shape, version_columns


@dataclass(frozen=True, slots=True)
class HistoryCursor:
    """The last entry of the page before; entries run from the newest to the oldest."""

    last_updated: datetime
    type: str
    id: str
    version: int


END_OF_TIME = HistoryCursor(datetime(9999, 12, 31, tzinfo=UTC), "", "", 0)
"""Before the first page."""

BEFORE = "({alias}.last_updated, '{type}'::text COLLATE \"C\", {alias}.id, {alias}.version) < ($2, $3, $4, $5)"


@cache
def history_statement(types: tuple[str, ...], scope: Scope, one: bool) -> str:
    """$1 audience, $2-$5 cursor, $6 since, $7 limit, and with ``one`` $8 the id."""
    parts = []
    for name in types:
        table = TYPES[name].table
        this = " AND r.id = $8" if one else ""
        for alias in ("r", "h"):
            source = f"{table} r"
            columns = row_columns(name)
            if alias == "h":
                source += f" JOIN resource_history h ON h.type = '{name}' AND h.id = r.id"
                columns = version_columns(name)
            parts.append(
                f"(SELECT {columns} FROM {source} WHERE {filter_visible(name, scope, 1)}{this} "
                f"AND {BEFORE.format(alias=alias, type=name)} AND {alias}.last_updated >= $6 "
                f"ORDER BY {alias}.last_updated DESC, {alias}.id DESC, {alias}.version DESC LIMIT $7)"
            )
    return (
        f"SELECT * FROM ({' UNION ALL '.join(parts)}) entry "
        'ORDER BY last_updated DESC, type COLLATE "C" DESC, id DESC, version DESC LIMIT $7'
    )


async def read_history(
    connection: Connection,
    scope: Scope,
    types: tuple[str, ...],
    resource_id: str | None,
    *,
    since: datetime,
    count: int,
    cursor: HistoryCursor | None,
) -> tuple[list[Stored], HistoryCursor | None]:
    """One page, newest first, and the cursor of the next."""
    start = cursor or END_OF_TIME
    statement = history_statement(types, shape(scope), resource_id is not None)
    values = [
        audience_parameter(scope),
        start.last_updated,
        start.type,
        start.id,
        start.version,
        since,
        count + 1,
    ]
    if resource_id is not None:
        values.append(resource_id)
    rows = await connection.fetch(statement, *values)
    entries = [read_row(row) for row in rows[:count]]
    if len(rows) <= count:
        return entries, None
    last = entries[-1]
    return entries, HistoryCursor(last.last_updated, last.type, last.id, last.version)
