"""Fills the tables for a bench: Tasks with their ServiceRequests and Patients, written by COPY as the server would."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from app.core.database import Connection
from app.models.resources import RESOURCE_TABLES
from app.models.search_rows import CHILD_TABLES
from app.search.extract import extractor
from app.store.content import cut_content
from app.store.statements import extra_columns, search_columns

Resource = dict[str, Any]
Row = tuple[Any, ...]

HOSPITAL = "bench-hospital"
PARTNERS = tuple(f"bench-ngo-{n}" for n in range(20))
OBSERVER = "bench-observer"
"""It owns nothing, and sees half: two Patients of four with their Tasks and ServiceRequests."""
STATUSES = ("requested", "accepted", "in-progress", "completed", "completed", "completed")
BATCH = 5_000
FAMILIES = ("Nguyễn", "Trần", "Lê", "Phạm", "Sok", "Chan", "Keo", "Võ", "Đặng", "Bùi")
GIVEN = ("Gia Bảo", "Minh Châu", "Sreymom", "Dara", "Thu Hà", "Quang Huy", "Bopha", "An Nhiên")
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
CODE = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}


def partner_of(n: int) -> str:
    """The owner of Task ``n``: the first partner has half of all Tasks, the others share the rest."""
    return PARTNERS[0] if n % 2 else PARTNERS[1 + n // 2 % (len(PARTNERS) - 1)]


def audience_of(n: int) -> list[str]:
    """Who beside the hospital sees what belongs to Task ``n``."""
    # By fours: the status goes by twos, and whoever saw every second would see none that is requested.
    return [partner_of(n), OBSERVER] if n // 4 % 2 else [partner_of(n)]


def make_patient(n: int) -> Resource:
    """One patient for each two Tasks. Of every whole name ``OBSERVER`` sees half, as ``audience_of`` goes by fours."""
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:bench:record", "value": f"R{n:08}"}],
        "name": [{"use": "official", "family": FAMILIES[n % 10], "given": [GIVEN[n // 4 % 19 % 8]]}],
        "gender": "female" if n % 2 else "male",
        "birthDate": f"20{n % 20:02}-{n % 12 + 1:02}-15",
    }


def make_request(n: int) -> Resource:
    """The ServiceRequest of Task ``n``."""
    return {
        "resourceType": "ServiceRequest",
        "identifier": [{"system": "urn:bench:order", "value": f"O{n:08}"}],
        "status": "active",
        "intent": "order",
        "priority": "routine",
        "code": {"text": "Two hot meals a day for the child and one caregiver"},
        "subject": {"reference": f"Patient/bench-patient-{n // 2}"},
        "authoredOn": "2026-01-01T08:00:00+07:00",
        "requester": {"reference": f"Organization/{HOSPITAL}"},
        "performer": [{"reference": f"Organization/{partner_of(n)}"}],
    }


def make_task(n: int) -> Resource:
    """Task ``n``."""
    return {
        "resourceType": "Task",
        "identifier": [{"system": "urn:bench:task", "value": f"T{n:08}"}],
        "status": STATUSES[n // 2 % len(STATUSES)],
        "intent": "order",
        "priority": "routine",
        "code": CODE,
        "focus": {"reference": f"ServiceRequest/bench-request-{n}"},
        "for": {"reference": f"Patient/bench-patient-{n // 2}"},
        "authoredOn": "2026-01-01T08:00:00+07:00",
        "requester": {"reference": f"Organization/{HOSPITAL}"},
        "owner": {"reference": f"Organization/{partner_of(n)}"},
        "note": [{"text": "The mother speaks Khmer and a little Vietnamese; please call before coming to the ward."}],
    }


def build_row(resource: Resource, key: str, at: datetime, audience: list[str], extra: tuple[str, ...]) -> Row:
    """The row of one resource, in the order of ``column_order``."""
    stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head, middle, tail = cut_content(resource, key)
    index = extractor(resource["resourceType"])(resource)
    text = f"{head}1{middle}{stamp}{tail}"
    return (key, 1, at, False, text, HOSPITAL, audience, *extra, *index.columns)


def column_order(name: str) -> list[str]:
    """The columns of a type's table as ``build_row`` gives them."""
    fixed = ["id", "version", "last_updated", "deleted", "content", "owner_org", "shared_with"]
    return [*fixed, *extra_columns(name), *search_columns(name)]


def build_resources(n: int) -> Iterator[tuple[str, str, Resource, Row]]:
    """(type, id, resource, row) of everything about Task ``n``; its Patient comes with the even ones."""
    at = BEGINNING + timedelta(seconds=n)
    audience = audience_of(n)
    referral = f"ServiceRequest/bench-request-{n}"
    if n % 2 == 0:
        key, patient = f"bench-patient-{n // 2}", make_patient(n // 2)
        yield "Patient", key, patient, build_row(patient, key, at, sorted({*audience, partner_of(n + 1)}), ())
    key, request = f"bench-request-{n}", make_request(n)
    yield "ServiceRequest", key, request, build_row(request, key, at, audience, (referral,))
    key, task = f"bench-task-{n}", make_task(n)
    yield "Task", key, task, build_row(task, key, at, audience, (referral, HOSPITAL, partner_of(n)))


def list_members(n: int) -> list[Row]:
    """The package that Task ``n`` shares with its owner."""
    shared = (
        ("Task", f"bench-task-{n}"),
        ("ServiceRequest", f"bench-request-{n}"),
        ("Patient", f"bench-patient-{n // 2}"),
    )
    return [(name, key, partner_of(n), f"bench-task-{n}") for name, key in shared]


TABLES: dict[str, list[str]] = {
    "referral": ["id", "sequence"],
    **{RESOURCE_TABLES[name].name: column_order(name) for name in ("Patient", "ServiceRequest", "Task")},
    **{table.name: [column.name for column in table.columns] for table in CHILD_TABLES.values()},
    "package_member": ["type", "id", "organization", "task_id"],
}
"""The tables that a load fills, with their columns, in the order in which they are filled."""


def build_rows(n: int) -> Iterator[tuple[str, Row]]:
    """Every row about Task ``n``, with the name of its table."""
    yield "referral", (f"ServiceRequest/bench-request-{n}", 0)
    for name, key, resource, row in build_resources(n):
        yield RESOURCE_TABLES[name].name, row
        for kind, found in extractor(name)(resource).rows.items():
            for each in found:
                yield CHILD_TABLES[kind].name, (name, key, *each)
    for member in list_members(n):
        yield "package_member", member


async def load_tasks(connection: Connection, tasks: int) -> None:
    """Writes ``tasks`` Tasks and what belongs to them, a transaction for each batch."""
    for start in range(0, tasks, BATCH):
        rows: dict[str, list[Row]] = {table: [] for table in TABLES}
        for n in range(start, min(start + BATCH, tasks)):
            for table, row in build_rows(n):
                rows[table].append(row)
        async with connection.transaction():
            for table, columns in TABLES.items():
                await connection.copy_records_to_table(table, records=rows[table], columns=columns)
