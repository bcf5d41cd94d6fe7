"""Opens and closes the package of a Task as it is written (access.md, What a caller sees)."""

from typing import Any

from app.core.errors import BusinessRule
from app.fhir.registry import TYPES
from app.interactions.links import Links, local_key, read_content
from app.interactions.unit import SYSTEM, Unit
from app.referral.labels import is_labelled
from app.referral.package import onward_references, package_references
from app.referral.transitions import TERMINAL
from app.store.binaries import find_dependants
from app.store.packages import close_package, find_package, find_sharing_tasks, open_package
from app.store.read import load_resources
from app.store.referrals import find_members
from app.store.rows import Key, Stored

NOT_SHARED = frozenset({"draft", "rejected", "cancelled", "entered-in-error"})
"""Task statuses under which the owner does not read the package: not asked yet, or over without an outcome."""


def shares(task: dict[str, Any] | None, assigned_org: str | None) -> bool:
    """Whether a Task in this state has an open package."""
    return bool(task and assigned_org and task.get("status") not in NOT_SHARED)


async def collect_package(
    unit: Unit, links: Links, task: dict[str, Any], task_row: Stored, *, fresh: bool = True
) -> dict[Key, int]:
    """What the Task shares, in the versions seen: only what the assigning organisation owns and may share onward.

    Raises BusinessRule where a labelled resource would have to enter a ``fresh`` package; one that was labelled since
    is left out of a package that is open already.
    """
    base = unit.hub.base_url
    focus = links.visible_at((task.get("focus") or {}).get("reference"))
    service_request = read_content(focus) if focus and focus.type == "ServiceRequest" else None
    frontier = package_references(task, service_request)
    members: dict[Key, int] = {}
    while frontier:
        keys = {key for literal in frontier if (key := local_key(literal, base))} - set(members)
        await links.load(keys)
        frontier = []
        for key in keys:
            stored = links.visible(key)
            if stored is None or TYPES[stored.type].directory or stored.owner_org != task_row.owner_org:
                continue
            content = read_content(stored)
            if not fresh and is_labelled(content):
                continue
            if "securityContext" in content and stored.type == "Binary":
                continue  # it is seen as its context is, whatever names it
            refuse_labelled(content, stored)
            members[key] = stored.version
            frontier += onward_references(content)
    for plan in await find_members(unit.connection, SYSTEM, "CarePlan", task_row.referral or ""):
        if plan.owner_org == task_row.owner_org and names_both(read_content(plan), task, task_row, base):
            if not fresh and is_labelled(read_content(plan)):
                continue
            refuse_labelled(read_content(plan), plan)
            members[plan.key] = plan.version
    return members


def names_both(plan: dict[str, Any], task: dict[str, Any], task_row: Stored, base: str) -> bool:
    """Whether a CarePlan is about the Task's patient and has the Task or its focus as an activity."""
    subject = local_key((plan.get("subject") or {}).get("reference"), base)
    patient = local_key((task.get("for") or {}).get("reference"), base)
    wanted = {task_row.key, local_key((task.get("focus") or {}).get("reference"), base)}
    named = {
        local_key((activity.get("reference") or {}).get("reference"), base) for activity in plan.get("activity", ())
    }
    return subject is not None and subject == patient and bool(wanted & named)


def refuse_labelled(content: dict[str, Any], stored: Stored) -> None:
    """A labelled resource enters no package without a Consent, and Consents are not weighed yet: refused."""
    if is_labelled(content):
        raise BusinessRule(
            f"{stored.reference} carries a confidentiality or sensitivity label: it may be shared only "
            "under a Consent, which this version cannot weigh yet",
            ("Task.owner",),
        )


async def settle_package(
    unit: Unit,
    links: Links,
    old: Stored | None,
    before: dict[str, Any] | None,
    new: Stored,
    after: dict[str, Any] | None,
) -> None:
    """Brings the package of a Task in line with what the Task has become; ``after`` is None where it was deleted."""
    had = shares(before, old.assigned_org if old else None)
    has = shares(after, new.assigned_org)
    if after and has and new.assigned_org != new.owner_org:
        refuse_labelled(after, new)
    if had and has and before and after and package_references(before, None) == package_references(after, None):
        return
    members: dict[Key, int] = {}
    if after and has and new.assigned_org != new.owner_org:
        members = {**await collect_package(unit, links, after, new), new.key: new.version}
    if had or members:
        await align_package(unit, new, members, fresh=old is None)


async def align_package(unit: Unit, task: Stored, members: dict[Key, int], *, fresh: bool) -> None:
    """Makes the package of a Task what it should hold. The Task itself stays: its owner reads how it ended."""
    if task.assigned_org is None:
        return
    current = set() if fresh else await find_package(unit.connection, task.id, task.assigned_org)
    missing = {key: version for key, version in members.items() if key not in current}
    await open_package(unit.connection, task.id, task.assigned_org, missing)
    # Only now are the members' rows locked, and nothing new can hang on them unseen.
    hanging = await find_hanging(unit, task, members)
    missing = {key: version for key, version in hanging.items() if key not in current}
    await open_package(unit.connection, task.id, task.assigned_org, missing)
    await close_package(unit.connection, task.id, task.assigned_org, current - set(members) - set(hanging) - {task.key})


async def find_hanging(unit: Unit, task: Stored, members: dict[Key, int]) -> dict[Key, int]:
    """The Binaries whose security context is a member, in their versions; a labelled one stays with its owner."""
    ids = await find_dependants(unit.connection, members, task.owner_org) if members else []
    rows = await load_resources(unit.connection, SYSTEM, [("Binary", each) for each in ids])
    return {
        key: stored.version
        for key, stored in rows.items()
        if not stored.deleted and not is_labelled(read_content(stored))
    }


async def reopen_packages(unit: Unit, links: Links, row: Stored) -> None:
    """After a ServiceRequest or CarePlan changed what it refers to: the packages of its referral follow."""
    for task in await find_members(unit.connection, SYSTEM, "Task", row.referral or ""):
        content = read_content(task)
        if shares(content, task.assigned_org) and task.assigned_org and task.assigned_org != task.owner_org:
            links.loaded[row.key] = row
            members = await collect_package(unit, links, content, task, fresh=False)
            await align_package(unit, task, {**members, task.key: task.version}, fresh=False)


async def share_with_requesters(unit: Unit, links: Links, stored: Stored, resource: dict[str, Any]) -> bool:
    """What an owner records about the patient of an open referral, its requester sees.

    Answers whether there was such a referral. One that has ended is no longer open, though its package be readable.
    """
    base = unit.hub.base_url
    patient = next(
        (
            key
            for name in ("subject", "patient", "for")
            if isinstance(resource.get(name), dict) and (key := local_key(resource[name].get("reference"), base))
        ),
        None,
    )
    if patient is None:
        return False
    tasks = await find_sharing_tasks(unit.connection, stored.owner_org, patient)
    await links.load(("Task", each) for each in tasks)
    found = False
    for each in tasks:
        task = links.loaded.get(("Task", each))
        if task and task.requester_org and not task.deleted and read_content(task).get("status") not in TERMINAL:
            found = True
            # A labelled record stays with who wrote it until a Consent lets it go.
            if not is_labelled(resource):
                await open_package(unit.connection, each, task.requester_org, {stored.key: stored.version})
    return found
