"""The clocks of Tasks: which are overdue by the database's clock, and that each deadline is told once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

import asyncpg

from app.core.caller import Scope
from app.core.database import Connection
from app.store.read import read_row
from app.store.rows import Due, Stored
from app.store.statements import WIDTH, audience_parameter, filter_visible, row_columns, shape

UNSET = "-infinity"
"""``due_at`` of a Task from before there were clocks."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """A Task that has passed ``deadline``; ``first`` is False where that was told already."""

    stored: Stored
    deadline: datetime
    first: bool


@cache
def find_statement(scope: Scope) -> str:
    """$1 audience, $2 how many."""
    return (
        f"SELECT id, owner_org FROM task r WHERE due_at <= now() AND due_at > '{UNSET}' "
        f"AND {filter_visible('Task', scope, 1)} ORDER BY due_at LIMIT $2"
    )


async def find_overdue(connection: Connection | asyncpg.Pool, scope: Scope, most: int) -> list[tuple[str, str]]:
    """(Task's id, owner organisation) of those that nobody was told of, the longest overdue first."""
    rows = await connection.fetch(find_statement(shape(scope)), audience_parameter(scope), most)
    return [(row[0], row[1]) for row in rows]


@cache
def take_statement(scope: Scope) -> str:
    """$1 audience, $2 id."""
    return (
        f"WITH due AS (SELECT r.id, r.due_at FROM task r WHERE r.id = $2 AND r.due_at <= now() "
        f"AND r.due_at > '{UNSET}' AND {filter_visible('Task', scope, 1)} FOR UPDATE), "
        "told AS (INSERT INTO overdue (task_id, deadline, told_at) SELECT id, due_at, clock_timestamp() FROM due "
        "ON CONFLICT DO NOTHING RETURNING 1) "
        f"UPDATE task r SET due_at = NULL FROM due WHERE r.id = due.id "
        f"RETURNING {row_columns('Task')}, due.due_at, EXISTS (SELECT 1 FROM told)"
    )


async def take_overdue(connection: Connection, scope: Scope, task_id: str) -> Overdue | None:
    """Stops the clock of a Task whose referral is locked; None where it is not overdue (any more)."""
    row = await connection.fetchrow(take_statement(shape(scope)), audience_parameter(scope), task_id)
    return Overdue(read_row(row), row[WIDTH], row[WIDTH + 1]) if row else None


@cache
def unset_statement(scope: Scope) -> str:
    """$1 audience, $2 how many."""
    return (
        f"SELECT id, last_updated, deleted, content FROM task r WHERE due_at = '{UNSET}' "
        f"AND {filter_visible('Task', scope, 1)} LIMIT $2 FOR UPDATE SKIP LOCKED"
    )


SET = """
UPDATE task r SET due_at = coalesce(v.at, r.last_updated + v.after)
FROM unnest($1::text[], $2::timestamptz[], $3::interval[]) AS v(id, at, after) WHERE r.id = v.id
"""


async def set_missing_clocks(connection: Connection, scope: Scope, rule: Callable[[str], Due], most: int) -> int:
    """Sets the clock of Tasks from before there were clocks, as ``rule`` says of their content; how many were seen.

    Their hours count from their last version. In one transaction; what a writer has locked is left for the next time.
    """
    async with connection.transaction():
        rows = await connection.fetch(unset_statement(shape(scope)), audience_parameter(scope), most)
        dues = [(None, None, None) if row[2] else rule(row[3]) for row in rows]
        if rows:
            columns = [[row[0] for row in rows], [due[0] for due in dues], [due[1] for due in dues]]
            await connection.execute(SET, *columns)
    return len(rows)


WORK = "SELECT EXISTS (SELECT 1 FROM task WHERE due_at <= now())"


async def has_work(connection: Connection | asyncpg.Pool) -> bool:
    """Whether any Task is overdue, or without a clock that it should have."""
    found: bool = await connection.fetchval(WORK)
    return found
