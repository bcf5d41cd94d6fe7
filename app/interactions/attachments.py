"""Whom a Binary's packages let read it: as its security context, else as the documents that name it (R4 binary)."""

from typing import Any

from app.core.errors import BusinessRule
from app.fhir.labels import is_labelled
from app.fhir.registry import TYPES
from app.interactions.consents import find_weigher
from app.interactions.links import Links, local_key, read_content, referred_keys
from app.interactions.sharing import order_shares, reopen_package, shares
from app.interactions.unit import Unit
from app.referral.package import onward_references
from app.store.binaries import find_dependants, find_documents, find_shares
from app.store.grounds import add_grounds
from app.store.packages import close_package
from app.store.rows import Key, Stored

Resource = dict[str, Any]


async def find_context(unit: Unit, binary: Resource, owner_org: str) -> Key | None:
    """The resource that ``securityContext`` names; None where there is none.

    Raises BusinessRule for one that the Binary's organisation does not own, or that everybody reads.
    """
    if "securityContext" not in binary:
        return None
    key = local_key(binary["securityContext"].get("reference"), unit.hub.base_url)
    found = (await unit.session.find_rows([key])).get(key) if key else None
    if found is None or found.deleted or found.owner_org != owner_org or TYPES[found.type].directory:
        raise BusinessRule(
            "The security context is a resource here that your organisation owns, and no entry of the directory",
            ("Binary.securityContext",),
        )
    return key


async def find_namers(unit: Unit, stored: Stored, binary: Resource) -> list[Key]:
    """The resources whose packages a Binary is in: its context alone, or every document that names it."""
    context = local_key((binary.get("securityContext") or {}).get("reference"), unit.hub.base_url)
    if context:
        return [context]
    plain = (stored.reference, f"{unit.hub.base_url}/{stored.reference}")
    versioned = (f"{each}/_history/{version}" for each in plain for version in range(1, stored.version + 1))
    return await find_documents(unit.connection, [*plain, *versioned], stored.owner_org)


async def align_binary(unit: Unit, stored: Stored) -> None:
    """Brings a Binary into the packages of what names it, and out of those of what does not any more."""
    binary = read_content(stored)
    namers = await find_namers(unit, stored, binary)
    # Whoever opens or closes one of these packages holds its referral's lock: what is read after is settled.
    touched = await find_shares(unit.connection, [*namers, stored.key])
    await unit.lock_referrals(("Task", task_id) for task_id, _ in touched)
    wanted = await find_shares(unit.connection, namers)
    current = await find_shares(unit.connection, [stored.key])
    labelled = is_labelled(binary)
    for share in await order_shares(unit, wanted | current):
        if share in wanted and (not labelled or await rest_on_consents(unit, share, stored, binary)):
            if share not in current:
                await unit.session.open_package(*share, {stored.key: stored.version})
        elif share in current:
            await leave_package(unit, stored, *share)


async def rest_on_consents(unit: Unit, share: tuple[str, str], stored: Stored, binary: dict[str, Any]) -> bool:
    """Whether the Consents let a labelled Binary into a package, which then rests on them."""
    weigher = await find_weigher(unit, *share)
    if weigher is None or not weigher.offers(stored) or not await weigher.admits(binary, stored.owner_org):
        return False
    await add_grounds(unit.connection, *share, weigher.find_grounds())
    return True


async def leave_package(unit: Unit, stored: Stored, task_id: str, organization: str) -> None:
    """Takes a Binary out of a package, unless the referral itself names it."""
    links = Links(unit)
    await links.load([("Task", task_id)])
    task = links.loaded.get(("Task", task_id))
    content = read_content(task) if task and not task.deleted else None
    if task and content and organization == task.assigned_org and shares(content, organization):
        await links.load(referred_keys(content, unit.hub.base_url))
        await reopen_package(unit, links, task)
    else:
        await close_package(unit.connection, task_id, organization, [stored.key])


async def follow_resource(unit: Unit, before: Resource | None, after: Resource | None, new: Stored) -> None:
    """After a resource changed what it names, or who sees it: the Binaries that hang on it follow."""
    literals = [*onward_references(before or {}), *onward_references(after or {})]
    named = {key for literal in literals if (key := local_key(literal, unit.hub.base_url)) and key[0] == "Binary"}
    hanging = await find_dependants(unit.connection, [new.key], new.owner_org)
    rows = await unit.session.find_rows(named | {("Binary", each) for each in hanging})
    for _, stored in sorted(rows.items()):
        if not stored.deleted and stored.owner_org == new.owner_org:
            await align_binary(unit, stored)
