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
from app.store.rows import Key, Stored
from app.store.search import search_resources


async def warn_of_contact(hub: Hub, caller: Caller, rows: Iterable[Stored], scope: Scope) -> tuple[Issue, ...]:
    """A warning for each Patient among the rows of whom a referral says so; asks nothing where there is none."""
    patients = list_patients(rows, scope)
    warned = await find_prohibited(hub, caller, patients)
    return tuple(write_warning(each) for each in patients if each.key in warned)


async def find_prohibited(hub: Hub, caller: Caller, patients: list[Stored]) -> set[Key]:
    """Those of the Patients of whom a referral says so."""
    if not patients:
        return set()
    async with reading(hub, caller) as (connection, seen_by):
        return await find_warned(connection, seen_by, patients, hub.settings, hub.base_url)


async def warn_unit(unit: Unit, rows: Iterable[Stored]) -> tuple[Issue, ...]:
    """The same within a transaction."""
    patients = list_patients(rows, unit.scope)
    if not patients:
        return ()
    warned = await find_warned(unit.connection, unit.scope, patients, unit.hub.settings, unit.hub.base_url)
    return tuple(write_warning(each) for each in patients if each.key in warned)


def list_patients(rows: Iterable[Stored], scope: Scope) -> list[Stored]:
    """The Patients of others. An organisation's own need no warning: whether they may be called is its own to say."""
    return [
        each
        for each in rows
        if each.type == "Patient" and not each.deleted and each.owner_org not in scope.organizations
    ]


async def find_warned(
    connection: Connection, scope: Scope, patients: list[Stored], settings: Settings, base: str
) -> set[Key]:
    """Those about whom a ServiceRequest that the scope sees says so (orderDetail, SDOHCC)."""
    warned: set[Key] = set()
    names = list(dict.fromkeys(each.reference for each in patients))
    for start in range(0, len(names), settings.max_or_values):
        some = names[start : start + settings.max_or_values]
        async for row in find_requests(connection, scope, some, settings, base):
            content = read_content(row) if CONTACT_PROHIBITED[1] in row.content else {}
            said = is_contact_prohibited(content) and content.get("status") != "entered-in-error"
            if said and (patient := local_key(name_patient(content), base)):
                warned.add(patient)
    return warned


def write_warning(patient: Stored) -> Issue:
    """What is said of one of them."""
    return Issue(
        "warning",
        "business-rule",
        f"{patient.reference} must not be contacted: a referral says so",
        ("Patient.telecom", "Patient.address"),
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
