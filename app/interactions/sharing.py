"""Opens and closes the package of a Task as it is written (access.md, What a caller sees)."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from app.core.caller import Scope
from app.core.errors import Issue
from app.fhir.labels import is_labelled, read_labels
from app.fhir.registry import TYPES
from app.interactions.consents import Weigher, find_weigher, make_weigher
from app.interactions.links import Links, local_key, read_content
from app.interactions.loans import Loan, find_loan, read_task
from app.interactions.unit import Unit
from app.referral.package import onward_references, package_references
from app.referral.provision import read_purposes
from app.referral.transitions import TERMINAL
from app.store.binaries import find_shares
from app.store.grounds import add_grounds, close_later
from app.store.packages import close_package, find_sharing_tasks
from app.store.rows import Key, Stored

Resource = dict[str, Any]
Share = tuple[str, str]

NOT_SHARED = frozenset({"draft", "rejected", "cancelled", "entered-in-error"})
"""Task statuses under which the owner does not read the package: not asked yet, or over without an outcome."""


def shares(task: Resource | None, assigned_org: str | None) -> bool:
    """Whether a Task in this state has an open package."""
    return bool(task and assigned_org and task.get("status") not in NOT_SHARED)


async def collect_package(
    unit: Unit, links: Links, task: Resource, task_row: Stored, weigher: Weigher
) -> dict[Key, int]:
    """What the Task shares, in the versions seen: only what the assigning organisation owns, or may share onward.

    What the patient's Consents do not let go is left out, and ``weigher`` knows why.
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
        for key in sorted(keys):
            stored = links.visible(key)
            if stored is None or TYPES[stored.type].directory or not weigher.offers(stored):
                continue
            content = read_content(stored)
            if "securityContext" in content and stored.type == "Binary":
                continue  # it is seen as its context is, whatever names it
            if not await weigher.admits(content, stored.owner_org):
                continue
            members[key] = stored.version
            frontier += onward_references(content)
    for plan in await unit.session.find_members("CarePlan", task_row.referral or ""):
        content = read_content(plan)
        belongs = plan.owner_org == task_row.owner_org and names_both(content, task, task_row, base)
        if belongs and await weigher.admits(content):
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


def is_shared(task: Resource | None, row: Stored) -> bool:
    """Whether the Task has a package that is open to another organisation."""
    return shares(task, row.assigned_org) and row.assigned_org != row.owner_org


async def is_closed(unit: Unit, row: Stored, task: Resource) -> bool:
    """Whether the package of a Task that has ended was closed since, by its time or a Consent: it stays so."""
    if task.get("status") not in TERMINAL or row.assigned_org is None:
        return False
    return await unit.session.find_package(row.id, row.assigned_org) <= {row.key}


def says_the_same(before: Resource, after: Resource) -> bool:
    """Whether two versions of a Task share the same things, for the same purposes, under the same labels."""
    references = package_references(before, None) == package_references(after, None)
    purposes = read_purposes(before) == read_purposes(after)
    return references and purposes and read_labels(before) == read_labels(after)


async def settle_package(
    unit: Unit,
    links: Links,
    old: Stored | None,
    before: Resource | None,
    new: Stored,
    after: Resource | None,
) -> None:
    """Brings the package of a Task in line with what the Task has become; ``after`` is None where it was deleted.

    Raises BusinessRule where the patient's Consents do not let it be shared, or forbid the referral.
    """
    had = shares(before, old.assigned_org if old else None)
    if after is None or not is_shared(after, new):
        if after and is_asked(after) and not (before and is_asked(before)):
            await check_refusal(unit, after, new)
        if had:
            await close_task(unit, new, after)
        return
    if had and before and says_the_same(before, after):
        if after.get("status") in TERMINAL and before.get("status") not in TERMINAL:
            await close_later(unit.connection, new.id, str(new.assigned_org), unit.hub.settings.package_days)
        return
    if had and before and await is_closed(unit, new, before):
        return
    weigher = await make_weigher(unit, new, after, new.assigned_org)
    await weigher.admits(after)
    members = await collect_package(unit, links, after, new, weigher)
    weigher.conclude()
    await align_package(unit, new, {**members, new.key: new.version}, weigher, fresh=old is None)
    if weigher.loan:
        await show_to_requesters(unit, links, new, after, weigher.loan)
    if after.get("status") in TERMINAL:
        await close_later(unit.connection, new.id, str(new.assigned_org), unit.hub.settings.package_days)


def is_asked(task: Resource) -> bool:
    """Whether somebody is, or was, to act on the Task."""
    return task.get("status") not in NOT_SHARED


async def check_refusal(unit: Unit, task: Resource, row: Stored) -> None:
    """Raises BusinessRule where the patient wants no such help, or wants it shared with nobody (access.md)."""
    weigher = Weigher(unit, task, row.owner_org, row.assigned_org, disclosed="owner" not in task)
    await weigher.admits(task)
    weigher.conclude()


async def close_task(unit: Unit, row: Stored, task: Resource | None) -> None:
    """Closes the package. The Task itself stays: its owner reads how it ended.

    One that is labelled goes on resting on a Consent.
    """
    if row.assigned_org is None:
        return
    current = await unit.session.find_package(row.id, row.assigned_org)
    await close_package(unit.connection, row.id, row.assigned_org, current - {row.key})
    if task is None or not is_labelled(task):
        await unit.session.replace_grounds(row.id, row.assigned_org, ())


async def align_package(unit: Unit, task: Stored, members: dict[Key, int], weigher: Weigher, *, fresh: bool) -> None:
    """Makes the package of a Task what it should hold, and notes what it rests on."""
    if task.assigned_org is None:
        return
    current = set() if fresh else await unit.session.find_package(task.id, task.assigned_org)
    hanging = await find_hanging(unit, task, members, weigher)
    missing = {key: version for key, version in {**members, **hanging}.items() if key not in current}
    await unit.session.open_package(task.id, task.assigned_org, missing)
    await close_package(unit.connection, task.id, task.assigned_org, current - set(members) - set(hanging) - {task.key})
    await unit.session.replace_grounds(task.id, task.assigned_org, weigher.find_grounds())


async def find_hanging(unit: Unit, task: Stored, members: dict[Key, int], weigher: Weigher) -> dict[Key, int]:
    """The Binaries whose security context is a member, in their versions; what may not be shared stays behind."""
    owners = [task.owner_org, *([weigher.loan.requester] if weigher.loan else [])]
    ids = [each for owner in owners for each in await unit.session.find_dependants(members, owner)]
    rows = await unit.session.find_rows(("Binary", each) for each in ids)
    return {
        key: stored.version
        for key, stored in rows.items()
        if not stored.deleted
        and weigher.offers(stored)
        and await weigher.admits(read_content(stored), stored.owner_org)
    }


async def reopen_package(unit: Unit, links: Links, task: Stored) -> None:
    """Fills an open package anew: what may not be shared (any more) is left out, and the caller told."""
    content = read_content(task)
    if not is_shared(content, task) or await is_closed(unit, task, content):
        return
    weigher = await make_weigher(unit, task, content, task.assigned_org)
    members = await collect_package(unit, see_as(links, task.owner_org), content, task, weigher)
    await align_package(unit, task, {**members, task.key: task.version}, weigher, fresh=False)
    if unit.caller.organization == task.owner_org:
        unit.issues += [Issue("warning", "business-rule", f"Left out: {each.diagnostics}") for each in weigher.refusals]


def see_as(links: Links, organization: str) -> Links:
    """The same rows, seen by an organisation whose package is filled while another one writes."""
    unit = links.unit
    if unit.scope.everything or organization in unit.scope.organizations:
        return links
    return Links(replace(unit, scope=Scope((organization,)), issues=[]), links.loaded)


async def reopen_packages(unit: Unit, links: Links, row: Stored) -> None:
    """After a ServiceRequest or CarePlan changed what it refers to: the packages of its referral follow.

    What another organisation passes on of it comes after (``settle_sub_referrals``).
    """
    for task in await unit.session.find_members("Task", row.referral or ""):
        links.loaded[row.key] = row
        if task.owner_org == row.owner_org or not await find_loan(unit, read_content(task), task.owner_org):
            await reopen_package(unit, links, task)


async def reweigh_resource(unit: Unit, stored: Stored, content: Resource) -> bool:
    """After a labelled resource was changed: it leaves the packages that no Consent covers; whether it did."""
    left = False
    for task_id, organization in await order_shares(unit, await find_shares(unit.connection, [stored.key])):
        weigher = await find_weigher(unit, task_id, organization)
        lost = weigher is None or (weigher.lends(stored.owner_org) and not weigher.offers(stored))
        if weigher is None or lost or not await weigher.admits(content, stored.owner_org):
            await close_package(unit.connection, task_id, organization, [stored.key])
            left = True
        else:
            await add_grounds(unit.connection, task_id, organization, weigher.find_grounds())
    return left


async def order_shares(unit: Unit, shares: Collection[Share]) -> list[Share]:
    """Packages with those first of which others pass something on. Each is weighed anew when it is its turn."""
    if len(shares) < 2:
        return list(shares)
    weighers = {share: await find_weigher(unit, *share) for share in sorted(shares)}
    return sorted(weighers, key=lambda share: count_hands(weighers[share]))


def count_hands(weigher: Weigher | None) -> int:
    """Through how many hands a referral has gone."""
    return len(weigher.loan.chain) if weigher and weigher.loan else 0


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
            await show_to_requester(unit, task, [stored], told=True)
            loan = await find_loan(unit, read_content(task), task.owner_org, task.referral)
            for above in loan.chain if loan else ():
                await show_to_requester(unit, above, [stored])
    return found


async def show_to_requesters(unit: Unit, links: Links, row: Stored, task: Resource, loan: Loan) -> None:
    """A sub-referral is on the referral of each organisation that passed it on: its Task and ServiceRequest show."""
    focus = links.loaded.get(local_key((task.get("focus") or {}).get("reference"), unit.hub.base_url) or ("", ""))
    shown = [row.key, *([focus.key] if focus and focus.owner_org == row.owner_org else [])]
    for above in loan.chain:
        rows = await unit.session.find_rows(shown)
        await show_to_requester(unit, above, rows.values())


async def show_to_requester(unit: Unit, task: Stored, rows: Iterable[Stored], *, told: bool = False) -> None:
    """What came back on a Task, its requester sees; what is labelled, if a Consent names it. ``told``: or says so."""
    requester = task.requester_org or task.owner_org
    for stored in rows:
        content = read_content(stored)
        labelled = is_labelled(content)
        weigher = await make_weigher(unit, task, read_task(task), requester)
        if not labelled or await weigher.admits(content):
            await unit.session.open_package(task.id, requester, {stored.key: stored.version})
        elif told:
            issue = f"{stored.reference} is labelled, and no Consent lets Organization/{requester} see it"
            unit.issues.append(Issue("warning", "business-rule", issue))
        if labelled:
            await add_grounds(unit.connection, task.id, requester, weigher.find_grounds())
