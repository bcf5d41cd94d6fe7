"""The closed loop: what a change of a Task, ServiceRequest or CarePlan brings about, in the same transaction."""

from typing import Any

import orjson

from app.access.organizations import resolve_organization
from app.core.errors import BusinessRule
from app.core.ids import new_id
from app.delivery.filters import index_keys
from app.fhir.moments import write_instant
from app.interactions.links import Links, local_key, read_content
from app.interactions.pool import settle_pool, settle_request
from app.interactions.sharing import reopen_packages, settle_package
from app.interactions.sub_referrals import find_source, place_request, place_task
from app.interactions.unit import Unit
from app.interactions.versions import (
    NOWHERE,
    Placement,
    insert_version,
    parse_stored,
    record_provenance,
    replace_version,
)
from app.models.resources import REFERRAL_TYPES
from app.referral.events import (
    SERVICE_REQUEST_VERSION,
    TASK_VERSION,
    EventFacts,
    care_plan_events,
    task_events,
    version_events,
)
from app.referral.follow import care_plan_follows, service_request_follows
from app.referral.root import root_references
from app.referral.server_task import make_task, needs_server_task
from app.referral.transitions import TERMINAL
from app.store.outbox import Event
from app.store.rows import Key, Stored

Resource = dict[str, Any]


async def place_resource(unit: Unit, links: Links, resource: Resource, key: Key, old: Stored | None) -> Placement:
    """The referral of a resource, and whom its requester and owner stand for.

    Raises BusinessRule where Task.requester is not the caller's organisation, or a referral is not to be passed on so.
    """
    if key[0] not in REFERRAL_TYPES:
        return NOWHERE
    asked = old is not None and is_asked_for(old)
    settled = asked or (old is not None and key[0] == "ServiceRequest")
    referral = old.referral if old and settled else None
    if key[0] != "Task":
        if key[0] == "ServiceRequest" and not settled:
            referral = await place_request(unit, links, resource)
        return Placement(referral or find_root(links, resource, key))
    if old and old.requester_org and asked:
        # Once asked for, requester and owner stay; until then both may still change.
        requester, assigned = old.requester_org, old.assigned_org
    else:
        requester, assigned = await find_requester(unit, links, resource, old), None
    if unit.caller.role != "admin" and "owner" in resource and not assigned:
        assigned = await find_owner(unit, links, resource["owner"])
    assigned = assigned or await resolve_organization(
        unit.connection, resource.get("owner"), links.all_visible(), unit.hub.base_url
    )
    if not settled:
        referral = await place_task(unit, links, resource, key, assigned)
    return Placement(referral or find_root(links, resource, key), requester, assigned)


def find_root(links: Links, resource: Resource, key: Key) -> str:
    """The referral of the first resource of ours that this one belongs to; else it is a root itself."""
    for literal in root_references(resource):
        stored = links.visible_at(literal)
        if stored and stored.referral and stored.owner_org == links.unit.caller.organization:
            return stored.referral
    return f"{key[0]}/{key[1]}"


async def find_owner(unit: Unit, links: Links, owner: Resource) -> str | None:
    """Whom the owner stands for. Raises BusinessRule for an identifier that is nobody's, or several organisations'."""
    found = await resolve_organization(unit.connection, owner, links.all_visible(), unit.hub.base_url)
    if found is None and "reference" not in owner and "identifier" in owner:
        raise BusinessRule("Task.owner's identifier does not stand for one organisation", ("Task.owner.identifier",))
    return found


def is_asked_for(old: Stored) -> bool:
    """Whether a Task is no draft any more; a CarePlan moves to the referral that its activities come to name."""
    return old.type == "Task" and read_content(old).get("status") != "draft"


async def find_requester(unit: Unit, links: Links, task: Resource, old: Stored | None) -> str:
    """The organisation that the requester stands for; it must be the caller's, who need not name itself."""
    former = old.requester_org if old else None
    if "requester" not in task:
        return former or unit.caller.organization
    found = await resolve_organization(unit.connection, task["requester"], links.all_visible(), unit.hub.base_url)
    if unit.caller.role == "admin":
        return found or former or unit.caller.organization
    if found != unit.caller.organization:
        raise BusinessRule(
            "Task.requester does not stand for the organisation that this client acts for",
            ("Task.requester",),
        )
    return found


async def settle_change(
    unit: Unit, links: Links, old: Stored | None, before: Resource | None, new: Stored, after: Resource | None
) -> None:
    """What follows from one written version, whoever wrote it."""
    after = None if after is None else {**after, "id": new.id}
    if new.type == "Task":
        await settle_task(unit, links, old, before, new, after)
    elif new.type == "ServiceRequest" and after is None:
        add_events(unit, new, before, version_events(SERVICE_REQUEST_VERSION, before, None))
        await settle_request(unit, new)
    elif new.type == "ServiceRequest" and after is not None:
        if before is not None:
            await reopen_packages(unit, links, new)
            row = (await unit.session.find_rows([new.key]))[new.key]
            add_events(unit, row, after, version_events(SERVICE_REQUEST_VERSION, before, after))
            for task_row, task in await settle_request(unit, new):
                add_events(unit, task_row, task, version_events(TASK_VERSION, task, task))
        if before is None or (before.get("status") != "active" and not await find_tasks(unit, new)):
            await make_server_tasks(unit, links, new, after)
    elif new.type == "CarePlan":
        if after is not None:
            await reopen_packages(unit, links, new)
            # Whoever the plan has come to be shared with hears of it too.
            new = (await unit.session.find_rows([new.key]))[new.key]
        add_events(
            unit, new, after or before, care_plan_events(before, after, version=new.version, by=name_actor(unit))
        )


async def settle_task(
    unit: Unit, links: Links, old: Stored | None, before: Resource | None, new: Stored, after: Resource | None
) -> None:
    """Package, events, and what follows for the ServiceRequest and CarePlan."""
    await settle_package(unit, links, old, before, new, after)
    task = after or before or {}
    if "partOf" in task:  # whoever it has come to show to hears of it too
        new = (await unit.session.find_rows([new.key]))[new.key]
    focus = find_own_request(links, new, task)
    service_request = read_content(focus) if focus else None
    by = name_actor(unit)
    told = task_events(before, after, service_request, version=new.version, by=by)
    add_events(unit, new, task, told + version_events(TASK_VERSION, before, after))
    await settle_pool(unit, new, after)
    ended = after is not None and after.get("status") in TERMINAL and (before or {}).get("status") not in TERMINAL
    if ended and focus:
        await follow_referral(unit, links, focus)


def find_own_request(links: Links, row: Stored, task: Resource) -> Stored | None:
    """The loaded focus of a Task; another organisation's request is not its to tell of, nor does it follow the Task."""
    literal = (task.get("focus") or {}).get("reference")
    focus = links.loaded.get(local_key(literal, links.unit.hub.base_url) or ("", ""))
    return focus if focus and not focus.deleted and focus.owner_org == row.owner_org else None


def name_actor(unit: Unit) -> str:
    """The organisation whose act this is."""
    return f"Organization/{unit.caller.organization}"


def add_events(unit: Unit, row: Stored, resource: Resource | None, facts: list[EventFacts]) -> None:
    """Events of a row with this content, known to its owner, its requester and whoever it is shared with."""
    if not facts:
        return
    keys = index_keys({**(resource or {}), "resourceType": row.type, "id": row.id}, row.last_updated, unit.hub.base_url)
    audience = {row.owner_org, *row.shared_with}
    audience |= {each for each in (row.requester_org, row.assigned_org) if each}
    for each in facts:
        unit.events.append(
            Event(
                topic=each.topic,
                referral=row.referral or row.reference,
                focus=(row.type, row.id, row.version),
                audience=tuple(sorted(audience)),
                labelled=each.labelled,
                facts=orjson.dumps(each.body).decode(),
                keys=keys,
            )
        )


async def follow_referral(unit: Unit, links: Links, focus: Stored) -> None:
    """The ServiceRequest follows when its Tasks end, and the CarePlans' activities with it."""
    tasks = await find_tasks(unit, focus)
    service_request = parse_stored(focus)
    status = service_request_follows(service_request, tasks)
    if status and status != service_request.get("status"):
        after = {**service_request, "status": status}
        new = await replace_version(unit, focus, service_request, after)
        links.loaded[new.key] = new
        await record_provenance(unit, new, "UPDATE", f"Its Tasks have ended: {status}")
        add_events(unit, new, after, version_events(SERVICE_REQUEST_VERSION, service_request, after))
        service_request = after
    await follow_care_plans(unit, focus, service_request, tasks)


async def follow_care_plans(unit: Unit, focus: Stored, service_request: Resource, tasks: list[Resource]) -> None:
    """Writes the outcome into the activities that name the referral."""
    for row in await unit.session.find_members("CarePlan", focus.referral or ""):
        if row.owner_org != focus.owner_org:
            continue
        plan = parse_stored(row)
        after = care_plan_follows(plan, service_request, tasks)
        if after is not None:
            new = await replace_version(unit, row, plan, after)
            await record_provenance(unit, new, "UPDATE", "An activity's referral has ended")
            add_events(unit, new, after, care_plan_events(plan, after, version=new.version, by=name_actor(unit)))


async def find_tasks(unit: Unit, focus: Stored) -> list[Resource]:
    """The referral's Tasks that are about this ServiceRequest, made by the organisation whose request it is."""
    rows = await unit.session.find_members("Task", focus.referral or "")
    tasks = [read_content(row) for row in rows if row.owner_org == focus.owner_org]
    base = unit.hub.base_url
    return [each for each in tasks if local_key((each.get("focus") or {}).get("reference"), base) == focus.key]


async def make_server_tasks(unit: Unit, links: Links, row: Stored, service_request: Resource) -> None:
    """A bare ServiceRequest makes its Task, one for each performer that is an organisation.

    One that passes a referral on makes sub-referrals. Raises BusinessRule where these are not allowed.
    """
    wanted = needs_server_task(
        service_request,
        may_create_tasks=unit.caller.may("Task", "c"),
        server_makes_tasks=unit.caller.server_makes_tasks,
        focused_in_bundle=row.reference in unit.focused,
    )
    if not wanted:
        return
    links.loaded[row.key] = row
    source = await find_source(unit, links, service_request)
    for performer in service_request.get("performer", ()):
        organization = await resolve_organization(unit.connection, performer, links.all_visible(), unit.hub.base_url)
        if organization is None:
            continue
        task_id = new_id()
        requester = await find_server_requester(unit, links, service_request)
        task = make_task(
            {**service_request, "id": row.id},
            task_id=task_id,
            now=write_instant(row.last_updated),
            requester_reference=requester,
            owner_reference=performer,
            part_of=source[1].reference if source else None,
        )
        try:
            await place_task(unit, links, task, ("Task", task_id), organization)
        except BusinessRule as error:
            raise BusinessRule(error.all_issues()[0].diagnostics, ("ServiceRequest.performer",)) from error
        place = Placement(row.referral, unit.caller.organization, organization)
        new = await insert_version(unit, task, task_id, row.owner_org, place, shared_with=())
        await record_provenance(unit, new, "CREATE", "Made for a ServiceRequest that came without a Task")
        await settle_task(unit, links, None, None, new, task)


async def find_server_requester(unit: Unit, links: Links, service_request: Resource) -> Resource:
    """The ServiceRequest's own requester where it stands for the caller's organisation, else that organisation."""
    requester: Resource | None = service_request.get("requester")
    found = await resolve_organization(unit.connection, requester, links.all_visible(), unit.hub.base_url)
    if requester and found == unit.caller.organization:
        return requester
    return {"reference": f"Organization/{unit.caller.organization}"}
