"""A Consent that is written, or whose time has come: the packages that rest on it are weighed anew (access.md)."""

from typing import Any

from app.core.errors import LostRace
from app.delivery.withdrawal import cancel_queued
from app.fhir.labels import is_labelled
from app.interactions.consents import Weigher, make_weigher
from app.interactions.links import Links, local_key, read_content, referred_keys
from app.interactions.loans import find_loan, read_task
from app.interactions.loop import settle_change
from app.interactions.sharing import (
    align_package,
    close_task,
    collect_package,
    find_hanging,
    is_closed,
    is_shared,
    see_as,
)
from app.interactions.sub_referrals import is_allowed
from app.interactions.unit import SYSTEM, Unit
from app.interactions.versions import parse_stored, record_provenance, replace_version
from app.referral.consent import name_patient
from app.referral.transitions import TERMINAL
from app.store.grounds import close_later, find_grounds, find_resting, hold_consents
from app.store.packages import close_package
from app.store.rows import Key, Stored

Resource = dict[str, Any]
Share = tuple[str, str]

NO_CONSENT = "The patient's consent to share this referral was withdrawn or has ended"
NO_LEAVE = "Whoever this referral came from does not allow any more that it is passed on"
NO_SOURCE = "The referral that this one was passed on from has ended, or is not shared any more"


def find_patients(unit: Unit, *versions: Resource | None) -> set[str]:
    """The ids of the patients here whom these versions of a Consent are about."""
    keys = {local_key(name_patient(each), unit.hub.base_url) for each in versions if each}
    return {key[1] for key in keys if key and key[0] == "Patient"}


async def hold_referrals(unit: Unit, owner_org: str, *versions: Resource | None) -> None:
    """Before a Consent is written: locks the referrals that rest on it, then holds back who would share under it."""
    patients = find_patients(unit, *versions)
    resting = await find_resting(unit.connection, SYSTEM, patients, owner_org) if patients else []
    await unit.lock_referrals(("Task", task_id) for task_id, _ in resting)
    if patients:
        await hold_consents(unit.connection, patients, writing=True)
        if await find_resting(unit.connection, SYSTEM, patients, owner_org) != resting:
            raise LostRace("A referral of the patient was begun meanwhile")


async def settle_consent(unit: Unit, owner_org: str, *versions: Resource | None) -> None:
    """After a Consent was written: closes what it does not permit any more, opens what it has come to permit."""
    patients = find_patients(unit, *versions)
    referrals = set()
    for share in await find_resting(unit.connection, SYSTEM, patients, owner_org) if patients else []:
        await review_package(unit, *share)
        task = (await unit.session.find_rows([("Task", share[0])])).get(("Task", share[0]))
        referrals |= {task.referral} if task and task.referral else set()
    for each in sorted(referrals):
        await settle_sub_referrals(unit, each)


async def settle_sub_referrals(unit: Unit, referral: str) -> None:
    """After the Tasks of a referral may share something else than before: what is passed on follows, hand by hand."""
    hands: dict[Share, int] = {}
    for row in await unit.session.find_members("Task", referral):
        if row.assigned_org and (loan := await find_loan(unit, read_task(row), row.owner_org, referral)):
            hands[row.id, row.assigned_org] = len(loan.chain)
    for share in sorted(hands, key=lambda each: (hands[each], each)):
        await review_package(unit, *share)


async def review_package(unit: Unit, task_id: str, organization: str) -> None:
    """Weighs one package anew, under its referral's lock, and closes it if the Consents want so."""
    found = await unit.session.find_rows([("Task", task_id)])
    row = found.get(("Task", task_id))
    if row is None or row.deleted:
        await unit.session.replace_grounds(task_id, organization, ())
        return
    task = read_content(row)
    weigher = await make_weigher(unit, row, task, organization)
    known = await find_grounds(unit.connection, task_id, organization)
    current = await unit.session.find_package(task_id, organization)
    if organization != row.assigned_org or not is_shared(task, row) or await is_closed(unit, row, task):
        await keep_admitted(unit, row, organization, weigher, current)
        return
    links = see_as(Links(unit), row.owner_org)
    await links.load(referred_keys(task, unit.hub.base_url))
    kept = await weigher.admits(task)
    members = await collect_package(unit, links, task, row, weigher)
    lost = any(known[each].consented and each not in weigher.permitted for each in known)
    shared = {*members, *await find_hanging(unit, row, members, weigher), row.key}
    labelled = await load_labelled(unit, current)
    missing = {key for key, each in labelled.items() if weigher.offers(each)} - shared
    closing = [each.closes_at for each in known.values() if each.closes_at]
    over = bool(closing and weigher.at and min(closing) <= weigher.at)
    if weigher.denied & (current | {row.key}) or lost or missing or not kept:
        await withdraw_package(unit, links, row, task, organization, NO_CONSENT)
    elif reason := await find_fault(weigher, over=over and task.get("status") not in TERMINAL):
        await withdraw_package(unit, links, row, task, organization, reason)
    elif over:
        await close_task(unit, row, task)
        await renew_grounds(unit, task_id, organization, weigher if is_labelled(task) else None)
    else:
        await align_package(unit, row, {**members, row.key: row.version}, weigher, fresh=False)
        if task.get("status") in TERMINAL or (weigher.loan and weigher.loan.ending):
            await close_later(unit.connection, task_id, organization, unit.hub.settings.package_days)


async def find_fault(weigher: Weigher, *, over: bool) -> str | None:
    """Why a referral is not passed on any more; None for one that is, or that was not passed on at all."""
    if weigher.loan is None:
        return None
    if over or not weigher.loan.open:
        return NO_SOURCE
    return None if await is_allowed(weigher, weigher.loan) else NO_LEAVE


async def load_labelled(unit: Unit, keys: set[Key]) -> dict[Key, Stored]:
    """Those of them that carry a label."""
    rows = await unit.session.find_rows(keys)
    return {key: row for key, row in rows.items() if not row.deleted and is_labelled(read_content(row))}


async def keep_admitted(unit: Unit, row: Stored, organization: str, weigher: Weigher, current: set[Key]) -> None:
    """Takes back what is labelled and not permitted: of what came back to the requester, or of what has ended."""
    rows = await load_labelled(unit, current)
    refused = [key for key, each in rows.items() if not await weigher.admits(read_content(each))]
    await withdraw_resources(unit, row.id, organization, refused)
    await renew_grounds(unit, row.id, organization, weigher if len(rows) > len(refused) else None)


async def renew_grounds(unit: Unit, task_id: str, organization: str, weigher: Weigher | None) -> None:
    """What a package that is closed goes on resting on for what stays shared; it has no time to close at any more."""
    await unit.session.replace_grounds(task_id, organization, ())
    if weigher:
        await unit.session.replace_grounds(task_id, organization, weigher.find_grounds())


async def withdraw_package(
    unit: Unit, links: Links, row: Stored, task: Resource, organization: str, reason: str
) -> None:
    """Closes a package for this reason, cancels what is queued, and the Task if it has not ended."""
    closed = await unit.session.find_package(row.id, organization)
    await cancel_queued(unit.connection, organization, closed)
    if task.get("status") not in TERMINAL:
        before = parse_stored(row)
        after = {**before, "status": "cancelled", "statusReason": {"text": reason}}
        new = await replace_version(unit, row, before, after)
        await record_provenance(unit, new, "UPDATE", reason)
        await settle_change(unit, links, row, before, new, after)
    else:
        await close_task(unit, row, task)
    if is_labelled(task):
        await close_package(unit.connection, row.id, organization, [row.key])
    await unit.session.replace_grounds(row.id, organization, ())


async def withdraw_resources(unit: Unit, task_id: str, organization: str, keys: list[Key]) -> None:
    """Takes resources out of a package, and what is queued about them out of the queue."""
    if keys:
        await close_package(unit.connection, task_id, organization, keys)
        await cancel_queued(unit.connection, organization, set(keys))
