"""What open packages rest on: the Consents of a patient, the lock that holds them still, and when to weigh again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.caller import Scope
from app.core.database import Connection
from app.fhir.registry import TYPES
from app.store.statements import audience_parameter, filter_visible
from app.store.steps import Step

Share = tuple[str, str]
"""(Task's id, organisation): a package."""


@dataclass(frozen=True, slots=True)
class Ground:
    """One row of ``package_ground``, of a package that is known already."""

    patient: str
    consented: bool
    due_at: datetime | None
    closes_at: datetime | None = None


async def hold_consents(connection: Connection, patients: Iterable[str], *, writing: bool) -> datetime:
    """Holds what there is of Consents about these patients until the transaction ends; the database's time.

    Who shares under them waits for who writes one, and the other way round; those who share do not wait for each other.
    Read the Consents in a statement after this one, so that it sees what the writer before has committed.
    """
    mode = "pg_advisory_xact_lock" if writing else "pg_advisory_xact_lock_shared"
    held: datetime = await connection.fetchval(
        f"SELECT clock_timestamp() FROM (SELECT count({mode}(hashtextextended(id, 25))) "
        "FROM (SELECT id FROM unnest($1::text[]) AS p(id) ORDER BY id) AS each) AS held",
        [f"Patient/{each}" for each in patients],
    )
    return held


INSERT = """
INSERT INTO package_ground AS g (task_id, organization, patient, consented, due_at, closes_at)
SELECT $1, $2, * FROM unnest($3::text[], $4::bool[], $5::timestamptz[], $6::timestamptz[])
ON CONFLICT (task_id, organization, patient) DO UPDATE SET consented = excluded.consented,
    closes_at = coalesce(g.closes_at, excluded.closes_at), due_at = least(excluded.due_at, g.closes_at)
"""
REPLACE = Step(
    "gone@ AS (DELETE FROM package_ground WHERE task_id = $1 AND organization = $2 AND NOT patient = ANY($3::text[])), "
    f"rests@ AS ({INSERT})",
    6,
)
"""What a package rests on from now on; nothing where it is closed. The time at which it closes stays."""


async def add_grounds(connection: Connection, task_id: str, organization: str, grounds: Sequence[Ground]) -> None:
    """What more the package rests on."""
    await connection.execute(INSERT, *list_ground_values(task_id, organization, grounds))


def list_ground_values(task_id: str, organization: str, grounds: Sequence[Ground]) -> tuple[object, ...]:
    """The parameters of either."""
    return (
        task_id,
        organization,
        [each.patient for each in grounds],
        [each.consented for each in grounds],
        [each.due_at for each in grounds],
        [each.closes_at for each in grounds],
    )


async def find_grounds(connection: Connection, task_id: str, organization: str) -> dict[str, Ground]:
    """What a package rests on, by patient."""
    rows = await connection.fetch(
        "SELECT patient, consented, due_at, closes_at FROM package_ground WHERE task_id = $1 AND organization = $2",
        task_id,
        organization,
    )
    return {row[0]: Ground(*row) for row in rows}


async def find_resting(connection: Connection, scope: Scope, patients: Iterable[str], owner_org: str) -> list[Share]:
    """The open packages that rest on the Consents which an organisation keeps about these patients."""
    rows = await connection.fetch(
        f"SELECT DISTINCT g.task_id, g.organization FROM package_ground g JOIN {TYPES['Task'].table} r "
        f"ON r.id = g.task_id AND {filter_visible('Task', scope, 1)} "
        "WHERE g.patient = ANY($2) AND r.owner_org = $3 ORDER BY 1, 2",
        audience_parameter(scope),
        list(patients),
        owner_org,
    )
    return [(row[0], row[1]) for row in rows]


async def find_due(connection: Connection, most: int) -> list[Share]:
    """The packages whose time has come, the longest due first."""
    rows = await connection.fetch(
        "SELECT task_id, organization FROM package_ground WHERE due_at <= clock_timestamp() ORDER BY due_at LIMIT $1",
        most,
    )
    return list(dict.fromkeys((row[0], row[1]) for row in rows))


async def is_due(connection: Connection, task_id: str, organization: str) -> bool:
    """Whether the time of a package has come."""
    due: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM package_ground "
        "WHERE task_id = $1 AND organization = $2 AND due_at <= clock_timestamp())",
        task_id,
        organization,
    )
    return due


async def close_later(connection: Connection, task_id: str, organization: str, days: float) -> None:
    """Gives the package of a Task that has ended its time; one that has it already keeps it."""
    await connection.execute(
        "UPDATE package_ground SET closes_at = clock_timestamp() + make_interval(days => $3), "
        "due_at = least(due_at, clock_timestamp() + make_interval(days => $3)) "
        "WHERE task_id = $1 AND organization = $2 AND closes_at IS NULL",
        task_id,
        organization,
        days,
    )
