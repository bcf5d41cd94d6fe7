"""Breaking the glass: for a reason one request sees a patient's data that no package shares, and its owner is told."""

from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from app.access.interaction_rules import authorize
from app.audit.access import note_given
from app.core.caller import Caller
from app.core.errors import Forbidden, Invalid, Unsupported
from app.core.ids import new_id
from app.fhir.element_access import objects
from app.fhir.moments import write_instant
from app.fhir.registry import TYPES
from app.interactions.hub import Hub
from app.interactions.links import read_content
from app.interactions.read import check_present
from app.interactions.unit import Unit, run_unit
from app.interactions.versions import insert_version
from app.referral.break_glass import asks_for_one_patient, make_notice
from app.referral.consent import name_patient
from app.search.parse import parse_search
from app.search.plan import SearchPlan
from app.store.patients import patient_parameter
from app.store.read import read_resource
from app.store.rows import Stored
from app.store.search import Page, search_resources

Resource = dict[str, Any]


async def read_through_glass(hub: Hub, caller: Caller, resource_type: str, resource_id: str) -> Stored:
    """The current version of one resource. Raises Forbidden, NotFound and Gone."""
    authorize(caller, "read", resource_type)
    check_type(resource_type)

    async def work(unit: Unit) -> Stored:
        found = await read_resource(unit.connection, unit.scope, resource_type, resource_id)
        stored = check_present(found, f"{resource_type}/{resource_id}")
        await tell_custodians(unit, [stored])
        return stored

    return await run_unit(hub, caller, work)


async def search_through_glass(
    hub: Hub, caller: Caller, resource_type: str, query: Iterable[tuple[str, str]], *, lenient: bool = False
) -> tuple[SearchPlan, Page]:
    """One page of matches about one patient, without includes. Raises Forbidden, Invalid, Unsupported."""
    authorize(caller, "search-type", resource_type)
    check_type(resource_type)
    plan = parse_search(resource_type, query, hub.settings, hub.base_url, lenient=lenient)
    if not asks_for_one_patient(plan):
        named = "_id or identifier (system|value)" if resource_type == "Patient" else "patient or subject"
        raise Invalid(f"The glass is broken for one patient: name who it is by {named}")
    if plan.includes or plan.revincludes:
        raise Unsupported("Through the broken glass a search includes nothing more: ask for each type")

    async def work(unit: Unit) -> tuple[SearchPlan, Page]:
        page = await search_resources(unit.connection, unit.scope, plan, 0)
        await tell_custodians(unit, page.matches)
        return plan, page

    return await run_unit(hub, caller, work)


def is_of_patients(resource_type: str) -> bool:
    """Whether a type is about patients: not a shelter's address, a secret, or the audit trail."""
    kept = TYPES[resource_type]
    named = resource_type == "Patient" or (not kept.rendered and patient_parameter(resource_type) is not None)
    return named and not kept.directory


def check_type(resource_type: str) -> None:
    """Raises Forbidden for what is no patient's."""
    if not is_of_patients(resource_type):
        raise Forbidden(f"The glass is broken for patients' data: {resource_type} is none")


async def tell_custodians(unit: Unit, seen: list[Stored]) -> None:
    """A Communication to each other organisation whose resources leave, in the transaction that records the access."""
    for each in seen:
        note_given(each.reference)
    mine = unit.caller.organization
    others = sorted((each for each in seen if each.owner_org != mine), key=lambda each: each.owner_org)
    for custodian, rows in groupby(others, key=lambda each: each.owner_org):
        notice = write_notice(unit.caller, custodian, list(rows), await unit.session.stamp())
        await insert_version(unit, notice, new_id(), custodian, shared_with=())


def write_notice(caller: Caller, custodian: str, rows: list[Stored], at: datetime) -> Resource:
    """What a custodian is told of those of its resources that were seen."""
    contents = [read_content(each) for each in rows]
    labels: list[Resource] = []
    for each in (
        label for content in contents for meta in objects(content, "meta") for label in objects(meta, "security")
    ):
        if each not in labels:
            labels.append(each)
    return make_notice(
        [each.reference for each in rows],
        subject=next((name for each in contents if (name := name_patient(each))), None),
        by=caller.organization,
        custodian=custodian,
        sent=write_instant(at),
        reason=str(caller.break_glass),
        labels=labels,
    )
