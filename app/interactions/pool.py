"""Puts unassigned Tasks into the pool, keeps what it shows of them, and takes them out (access.md, The pool)."""

from typing import Any

from app.fhir.element_access import codes, text
from app.fhir.json_text import dump
from app.fhir.moments import write_instant
from app.interactions.links import local_key, read_content
from app.interactions.shelter import settle_shelter
from app.interactions.unit import Unit
from app.interactions.versions import record_provenance, replace_version
from app.referral.pool import GENERAL, is_open, is_unassigned, take_pool_part
from app.store.parts import hold_pool, put_into_pool, refresh_pool, take_from_pool
from app.store.rows import Stored

Resource = dict[str, Any]


async def settle_pool(unit: Unit, row: Stored, task: Resource | None) -> bool:
    """Shows a Task in the pool as it is now, or no more; whether somebody sees it there who did not before.

    ``task`` is None where it was deleted.
    """
    part = await find_part(unit, row, task) if task and is_unassigned(task) else None
    if part is None:
        if row.reduced is not None:
            await take_from_pool(unit.connection, row.id)
        return False
    await hold_pool(unit.connection, changing=False)
    shown = await put_into_pool(unit.connection, row.id, dump(part), GENERAL)
    return not set(shown) <= set(row.reduced_for if row.reduced is not None else ())


async def find_part(unit: Unit, row: Stored, task: Resource) -> Resource | None:
    """What the pool shows of a Task; None where it is not for the pool."""
    focus = local_key((task.get("focus") or {}).get("reference"), unit.hub.base_url)
    who = local_key((task.get("for") or {}).get("reference"), unit.hub.base_url)
    rows = await unit.session.find_rows(each for each in (focus, who) if each)
    own = {
        key: read_content(each) for key, each in rows.items() if not each.deleted and each.owner_org == row.owner_org
    }
    service_request = own.get(focus) if focus and focus[0] == "ServiceRequest" else None
    if row.assigned_org or service_request is None or not is_open(task, service_request, own.get(who) if who else None):
        return None
    stamp = write_instant(row.last_updated)
    content = {**task, "id": row.id}
    return take_pool_part(content, service_request, own.get(who) if who else None, row.version, stamp)


async def settle_request(unit: Unit, row: Stored) -> list[tuple[Stored, Resource]]:
    """After a ServiceRequest was changed: its Tasks in the pool follow.

    One that comes to show to somebody new gets a version of its own, for no poll may miss it: those are answered.
    """
    renewed = []
    for each in await unit.session.find_members("Task", row.referral or ""):
        task = read_content(each)
        focus = local_key((task.get("focus") or {}).get("reference"), unit.hub.base_url)
        if focus == row.key and is_unassigned(task) and await settle_pool(unit, each, task):
            new = await replace_version(unit, each, task, task)
            await record_provenance(unit, new, "UPDATE", "What it asks for has changed, and with it who may take it")
            await settle_pool(unit, new, task)
            renewed.append((new, task))
    return renewed


async def settle_entry(unit: Unit, stored: Stored, before: Resource | None, after: Resource | None) -> None:
    """After a directory entry was written: what it shows to others, and what the pool shows to its organisation."""
    if stored.type == "HealthcareService" and list_offers(before) != list_offers(after):
        await hold_pool(unit.connection, changing=True)
        await refresh_pool(unit.connection, GENERAL)
    await settle_shelter(unit, stored, before, after)


def list_offers(service: Resource | None) -> tuple[str, set[tuple[str, str]]] | None:
    """Whose service it is, and its categories; None for one that is not offered."""
    if service is None or service.get("active") is False:
        return None
    provider = service.get("providedBy")
    return text(provider, "reference") if isinstance(provider, dict) else "", codes(service, "category") | codes(
        service, "type"
    )
