"""That a patient must not be contacted is told wherever others read how to (access.md, Confidentiality)."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace

from app.core.caller import Caller, Scope
from app.core.database import Connection
from app.core.errors import Issue
from app.core.settings import Settings
from app.interactions.hub import Hub
from app.interactions.links import local_key, read_content
from app.interactions.read import reading
from app.interactions.unit import Unit
from app.referral.consent import name_patient
from app.referral.events import CONTACT_PROHIBITED, is_contact_prohibited
from app.search.parse import parse_search
from app.search.plan import SearchPlan
from app.store.rows import Stored
from app.store.search import search_resources


async def warn_of_contact(hub: Hub, caller: Caller, rows: Iterable[Stored], scope: Scope) -> tuple[Issue, ...]:
    """A warning for each Patient among the rows of whom a referral says so; asks nothing where there is none."""
    patients = list_patients(rows, scope)
    if not patients:
        return ()
    async with reading(hub, caller) as (connection, seen_by):
        return await find_warnings(connection, seen_by, patients, hub.settings, hub.base_url)


async def warn_unit(unit: Unit, rows: Iterable[Stored]) -> tuple[Issue, ...]:
    """The same within a transaction."""
    patients = list_patients(rows, unit.scope)
    if not patients:
        return ()
    return await find_warnings(unit.connection, unit.scope, patients, unit.hub.settings, unit.hub.base_url)


def list_patients(rows: Iterable[Stored], scope: Scope) -> list[Stored]:
    """The Patients of others. An organisation's own need no warning: whether they may be called is its own to say."""
    return [
        each
        for each in rows
        if each.type == "Patient" and not each.deleted and each.owner_org not in scope.organizations
    ]


async def find_warnings(
    connection: Connection, scope: Scope, patients: list[Stored], settings: Settings, base: str
) -> tuple[Issue, ...]:
    """As ``warn_of_contact``: by each ServiceRequest about one of them that the scope sees (orderDetail, SDOHCC)."""
    warned = set()
    for start in range(0, len(patients), settings.max_or_values):
        names = [each.reference for each in patients[start : start + settings.max_or_values]]
        async for row in find_requests(connection, scope, names, settings, base):
            content = read_content(row) if CONTACT_PROHIBITED[1] in row.content else {}
            if is_contact_prohibited(content) and content.get("status") != "entered-in-error":
                warned.add(local_key(name_patient(content), base))
    return tuple(
        Issue(
            "warning",
            "business-rule",
            f"{each.reference} must not be contacted: a referral says so",
            ("Patient.telecom", "Patient.address"),
        )
        for each in patients
        if each.key in warned
    )


def plan_requests(patients: list[str], settings: Settings, base: str) -> SearchPlan:
    """By ``patient``, of which there is an index; there is none of ``subject``."""
    query = [("patient", ",".join(patients)), ("_count", str(settings.max_count))]
    return parse_search("ServiceRequest", query, settings, base)


async def find_requests(
    connection: Connection, scope: Scope, patients: list[str], settings: Settings, base: str
) -> AsyncIterator[Stored]:
    """The ServiceRequests about these patients that the scope sees."""
    plan = plan_requests(patients, settings, base)
    while True:
        page = await search_resources(connection, scope, plan, 0)
        for each in page.matches:
            yield each
        if page.following is None:
            return
        plan = replace(plan, cursor=page.following)
