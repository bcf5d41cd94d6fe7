"""Writes one resource on behalf of a caller: every door that writes (REST, batch, transaction) comes through here."""

from dataclasses import dataclass
from typing import Any

from app.access.interaction_rules import SERVICE_RECORDS, acts_as, authorize
from app.core.errors import (
    BusinessRule,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    PreconditionFailed,
    Unprocessable,
)
from app.core.ids import new_id
from app.fhir.labels import is_labelled
from app.fhir.registry import TYPES
from app.fhir.subset import is_subsetted
from app.fhir.validation import validate
from app.interactions.acting import act_as, conclude, find_actor, find_owner, telling_no_more
from app.interactions.adoption import adopt_server_task
from app.interactions.attachments import follow_resource
from app.interactions.links import Links, check_references, read_content, referred_keys
from app.interactions.loop import place_resource, settle_change
from app.interactions.pool import settle_entry
from app.interactions.sharing import is_asked, reweigh_resource, says_the_same, share_with_requesters
from app.interactions.sub_referrals import check_update
from app.interactions.subscriptions import end_subscription, settle_subscription
from app.interactions.unit import Unit
from app.interactions.versions import insert_version, parse_stored, replace_version
from app.interactions.withdrawal import hold_referrals, settle_consent, settle_sub_referrals
from app.models.resources import REFERRAL_TYPES
from app.referral.events import ALWAYS_TOLD
from app.referral.task_rules import check_new_task, check_task_change
from app.referral.transitions import TERMINAL
from app.store.audience import sees_part, sees_whole
from app.store.binaries import find_shares
from app.store.outbox import label_events
from app.store.rows import Key, Stored
from app.store.session import Weighed
from app.store.write import delete_resource

Resource = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What a write did; ``created`` tells 201 from 200."""

    stored: Stored
    created: bool


def check_resource(resource: Resource, root: str | None = None) -> None:
    """Raises Unprocessable with every issue of a resource that is not valid FHIR, or that is not served."""
    issues = [issue for issue in validate(resource, root=root) if issue.severity in ("error", "fatal")]
    if issues:
        raise Unprocessable("This is not valid FHIR", issues=tuple(issues))


def check_whole(resource: Resource, root: str | None = None) -> None:
    """Raises Unprocessable for an update by a part, which would delete the rest (R4 search, Elements)."""
    if is_subsetted(resource):
        place = f"{root or resource['resourceType']}.meta.tag"
        raise Unprocessable("This is tagged SUBSETTED, a part alone: read the whole resource and update that", (place,))


def refuse(issues: list[Any]) -> None:
    """Raises BusinessRule where there are errors among the issues."""
    errors = tuple(issue for issue in issues if issue.severity == "error")
    if errors:
        raise BusinessRule("Not allowed by the rules of the referral", issues=errors)


async def load_links(unit: Unit, resource: Resource, own: Key) -> Links:
    """Locks the referrals that the resource touches, then loads what it refers to and its own current row."""
    keys = referred_keys(resource, unit.hub.base_url) | {own}
    if own[0] in ("DocumentReference", "Binary"):
        # What it names follows it in and out of packages, which the referral's lock guards.
        namers = keys if own[0] == "Binary" else {own}
        await unit.lock_referrals(("Task", each) for each, _ in await find_shares(unit.connection, namers))
    touched = keys if own[0] in REFERRAL_TYPES else ()
    # The entries of a Bundle come prepared.
    weighed = find_weighed(resource, keys) if own in unit.session.fresh - unit.coming else set()
    await unit.prepare(touched, keys, Weighed(frozenset(weighed), unit.caller.organization))
    links = Links(unit)
    await links.load(keys)
    current = links.visible(own)
    if own[0] == "Consent" and (current or own not in links.loaded):
        before = read_content(current) if current else None
        owner = current.owner_org if current else await find_owner(unit, links, resource, own)
        await hold_referrals(unit.act_for(owner), owner, before, resource)
    return links


def find_weighed(resource: Resource, referred: set[Key]) -> set[str]:
    """The patients whose Consents are about to be weighed, as far as a new resource tells; any other is held later."""
    asked = resource["resourceType"] == "CarePlan" or (resource["resourceType"] == "Task" and is_asked(resource))
    return {key[1] for key in referred if asked and key[0] == "Patient"}


async def write_new(unit: Unit, resource: Resource, resource_id: str | None = None, root: str | None = None) -> Written:
    """Creates a resource that ``check_resource`` has passed. ``root`` is where it stands in a Bundle."""
    name = resource["resourceType"]
    authorize(unit.caller, "create", name)
    key = (name, resource_id or new_id())
    if resource_id is None:
        unit.session.fresh.add(key)
    unit.locked.add(key)  # it has no row yet, and once it has one, its referral's row is locked or ours
    links = await load_links(unit, resource, key)
    if name == "Task":
        refuse(check_new_task(resource, imported=unit.caller.role == "admin"))
    unit.issues += check_references(links, resource, key, root or name)
    owner = await find_owner(unit, links, resource, key)
    acting, links = act_as(unit, links, owner)
    with telling_no_more(unit, acting):
        written = await write_first(acting, links, resource, key, owner, root)
    unit.subject = written.stored
    await conclude(unit, acting, written.stored, "CREATE" if written.created else "UPDATE")
    return written


async def write_first(unit: Unit, links: Links, resource: Resource, key: Key, owner: str, root: str | None) -> Written:
    """The first version of a resource, as the doing of its owner organisation, and what follows from it."""
    name = key[0]
    if name == "Task" and (adopted := await adopt_server_task(unit, links, resource)):
        return Written(adopted, created=False)
    placement = await place_resource(unit, links, resource, key, None)
    if placement.referral == f"{name}/{key[1]}":
        unit.session.begin_referral(placement.referral)
    if name == "Subscription":
        resource = await settle_subscription(unit, resource, key[1], owner, root or name)
    new = await insert_version(unit, resource, key[1], owner, placement)
    if TYPES[name].directory:
        await settle_entry(unit, new, None, resource)
    await settle_change(unit, links, None, None, new, resource)
    if name == "Consent":
        await settle_consent(unit, new.owner_org, resource)
    if name in SERVICE_RECORDS:
        about_referral = await share_with_requesters(unit, links, new, resource)
        if unit.caller.role == "provider" and not about_referral:
            raise BusinessRule(
                f"A partner records a {name} only about the patient of a referral that it has open",
                (f"{root or name}.subject",),
            )
        if name == "DocumentReference":
            await follow_resource(unit, None, resource, new)
    return Written(new, created=True)


def find_current(unit: Unit, links: Links, key: Key) -> Stored:
    """The caller's view of the row: what it may not see looks absent. Raises NotFound, Gone and Forbidden."""
    stored = links.loaded.get(key)
    if stored is not None and not sees_whole(unit.scope, stored) and sees_part(unit.scope, stored):
        raise Forbidden(f"You see a part of {key[0]}/{key[1]} alone, and change nothing of it")
    if stored is None or not sees_whole(unit.scope, stored):
        raise NotFound(f"{key[0]}/{key[1]} is not known")
    if stored.deleted:
        raise Gone(f"{key[0]}/{key[1]} was deleted")
    return stored


def check_version(current: Stored, if_match: int | None) -> None:
    """Raises PreconditionFailed: for the guide's versioned-update types a missing If-Match fails too."""
    if if_match is None and TYPES[current.type].versioned_update:
        raise PreconditionFailed(f'Updating a {current.type} needs If-Match: W/"version" of the version that you read')
    if if_match is not None and if_match != current.version:
        raise PreconditionFailed(f"{current.reference} is at version {current.version}, not {if_match}: read it again")


def find_parties(unit: Unit, current: Stored) -> frozenset[str]:
    """As what the caller may change a Task: its requester's organisation, its owner's, or both."""
    mine = acts_as(unit.caller, current.type)
    parties = set()
    if unit.scope.everything or current.owner_org in mine or current.requester_org in mine:
        parties.add("requester")
    if unit.scope.everything or current.assigned_org in mine:
        parties.add("owner")
    return frozenset(parties)


def check_may_change(unit: Unit, current: Stored) -> None:
    """Raises Forbidden where the caller sees the resource but does not own it."""
    operator = unit.caller.role == "admin" and TYPES[current.type].directory
    if not (unit.scope.everything or operator or current.owner_org in acts_as(unit.caller, current.type)):
        raise Forbidden(f"{current.reference} belongs to another organisation")


async def write_update(
    unit: Unit, resource: Resource, key: Key, if_match: int | None, root: str | None = None
) -> Written:
    """Updates a resource that ``check_resource`` has passed.

    Raises NotFound, Gone, PreconditionFailed, Forbidden, BusinessRule, LostRace.
    """
    authorize(unit.caller, "update", key[0])
    check_whole(resource, root)
    links = await load_links(unit, resource, key)
    stored = links.loaded.get(key)
    if (stored is None and may_choose_ids(unit)) or (stored and stored.deleted and unit.caller.role == "admin"):
        return await update_as_create(unit, resource, key, stored, if_match)
    current = find_current(unit, links, key)
    if key[0] == "Task":
        parties = find_parties(unit, current)
        if not parties:
            raise Forbidden(f"{current.reference} belongs to other organisations")
    else:
        check_may_change(unit, current)
    check_version(current, if_match)
    before = parse_stored(current)
    if key[0] == "Task":
        refuse(issues := check_task_change(before, resource, parties=parties))
        unit.issues += issues
    unit.issues += check_references(links, resource, key, root or key[0], before)
    if key[0] in SERVICE_RECORDS and unit.caller.role == "provider":
        check_same_subject(before, resource, root or key[0])
    acting, links = act_as(unit, links, find_actor(unit, current))
    with telling_no_more(unit, acting):
        new = await write_next(acting, links, current, before, resource, root)
    unit.subject = new
    await conclude(unit, acting, new, "UPDATE")
    return Written(new, created=False)


async def write_next(
    unit: Unit, links: Links, current: Stored, before: Resource, resource: Resource, root: str | None
) -> Stored:
    """The version after ``current``, as the doing of one organisation, and what follows from it."""
    key = current.key
    await check_update(unit, current, before, resource)
    placement = await place_resource(unit, links, resource, key, current)
    if placement.referral and placement.referral != current.referral:
        unit.session.begin_referral(placement.referral)
    if key[0] == "Subscription":
        resource = await settle_subscription(unit, resource, key[1], current.owner_org, root or key[0])
    new = await replace_version(unit, current, before, resource, placement)
    withdrawn = False
    if TYPES[key[0]].directory:
        await settle_entry(unit, new, before, resource)
    elif is_labelled(resource):
        if current.referral and not is_labelled(before):
            await label_events(unit.connection, current.referral, key, ALWAYS_TOLD)
        # What is the same for the Consents was weighed when it was shared: a Task moves often.
        if key[0] != "Task" or not says_the_same(before, resource):
            withdrawn = await reweigh_resource(unit, new, {**resource, "id": new.id})
    await settle_change(unit, links, current, before, new, resource)
    if new.referral and changes_package(key[0], before, resource):
        await settle_sub_referrals(unit, new.referral)
    if key[0] == "Consent":
        await settle_consent(unit, new.owner_org, before, resource)
    if withdrawn or key[0] == "DocumentReference":
        await follow_resource(unit, before, resource, new)
    return new


def changes_package(name: str, before: Resource, after: Resource) -> bool:
    """Whether a change may matter to what is passed on; most moves of a Task do not."""
    return name != "Task" or after.get("status") in TERMINAL or not says_the_same(before, after)


def check_same_subject(before: Resource, after: Resource, root: str) -> None:
    """Raises BusinessRule where a partner's record would become one about somebody else."""
    for name in ("subject", "patient", "for"):
        if (before.get(name) or {}).get("reference") != (after.get(name) or {}).get("reference"):
            raise BusinessRule(f"{name} does not change: record it anew about the other patient", (f"{root}.{name}",))


def may_choose_ids(unit: Unit) -> bool:
    """Whether a PUT to an id that nothing has creates: the admin's, and each client's for which the operator says so.

    Such a client can tell which ids are in use, by whomever.
    """
    return unit.caller.role == "admin" or unit.caller.client_id in unit.hub.settings.clients_with_own_ids


async def update_as_create(
    unit: Unit, resource: Resource, key: Key, tombstone: Stored | None, if_match: int | None
) -> Written:
    """PUT to an id of one's choice (R4 http, update as create; access.md, Roles). Raises Gone, PreconditionFailed."""
    if tombstone is not None:
        raise Gone(f"{tombstone.reference} was deleted; give the resource another id")
    if if_match is not None:
        raise PreconditionFailed(f"{key[0]}/{key[1]} is not there, in no version")
    return await write_new(unit, resource, key[1])


async def write_deletion(unit: Unit, key: Key, if_match: int | None = None) -> Stored | None:
    """Leaves a tombstone; None where it was deleted already. Raises NotFound, Forbidden, PreconditionFailed."""
    authorize(unit.caller, "delete", key[0])
    links = await load_links(unit, {"resourceType": key[0]}, key)
    try:
        current = find_current(unit, links, key)
    except Gone:
        return None
    check_may_change(unit, current)
    if if_match is not None:
        check_version(current, if_match)
    before = parse_stored(current)
    await links.load(referred_keys(before, unit.hub.base_url))
    acting, links = act_as(unit, links, find_actor(unit, current))
    with telling_no_more(unit, acting):
        unit.subject = gone = await write_tombstone(acting, links, current, before)
    await conclude(unit, acting, gone, "DELETE")
    return gone


async def write_tombstone(unit: Unit, links: Links, current: Stored, before: Resource) -> Stored:
    """The deletion, as the doing of one organisation, and what follows from it."""
    key = current.key
    gone = await delete_resource(unit.connection, *key, current.version)
    if TYPES[key[0]].directory:
        await settle_entry(unit, gone, before, None)
    await settle_change(unit, links, current, before, gone, None)
    if current.referral:
        await settle_sub_referrals(unit, current.referral)
    if key[0] == "Subscription":
        await end_subscription(unit, key[1])
    if key[0] == "Consent":
        await settle_consent(unit, gone.owner_org, before)
    if key[0] == "DocumentReference":
        await follow_resource(unit, before, None, gone)
    return gone


def check_same_id(resource: Resource, resource_id: str, root: str | None = None) -> None:
    """Raises Invalid where the body's id is not the address's (R4 http, update)."""
    name = root or resource["resourceType"]
    if resource.get("id") != resource_id:
        raise Invalid(f"The body's id must be {resource_id!r}, as in the address", (f"{name}.id",))
