"""Adds rows to the audit trail; nothing here changes one or takes one away."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from asyncpg import Record

from app.core.database import Connection
from app.store.steps import Step


class AuditRow(NamedTuple):
    """One access as it is kept (app/models/audit.py)."""

    recorded: datetime
    id: str
    client: str | None
    organization: str | None
    role: str | None
    remote: str | None
    interaction: str
    type: str | None
    resource_id: str | None
    version: int | None
    query: str | None
    status: int
    reason: str | None
    number: int
    given: list[str]
    purpose: str | None = None
    acting_for: str | None = None


TABLE = "audit"
PLACES = ", ".join(f"${n}" for n in range(1, len(AuditRow._fields) + 1))
RECORD = Step(
    f"recorded@ AS (INSERT INTO {TABLE} ({', '.join(AuditRow._fields)}) VALUES ({PLACES}))", len(AuditRow._fields)
)
"""Adds one row, in the statement that writes what it tells of."""
SELECT = f"SELECT {', '.join(AuditRow._fields)} FROM {TABLE}"


def read_row(row: Record) -> AuditRow:
    """A row as ``SELECT`` gives it."""
    return AuditRow(*row)._replace(id=str(row["id"]))


async def copy_rows(connection: Connection, rows: Sequence[AuditRow]) -> None:
    """Adds many rows by one COPY."""
    await connection.copy_records_to_table(TABLE, records=rows, columns=AuditRow._fields)


async def make_months(connection: Connection) -> None:
    """Makes the partitions of this month and the next two, where they are missing."""
    await connection.execute("SELECT make_audit_months()")
