"""Task/x/$claim: an organisation takes a Task out of the pool, and of many that try one gets it (access.md)."""

from dataclasses import replace

from app.access.interaction_rules import authorize
from app.core.caller import Caller, Scope
from app.core.errors import BusinessRule, Conflict, NotFound
from app.interactions.hub import Hub
from app.interactions.links import Links, referred_keys
from app.interactions.loop import settle_change
from app.interactions.pool import find_part
from app.interactions.unit import Unit, run_unit
from app.interactions.versions import Placement, parse_stored, record_provenance, replace_version
from app.interactions.writing import check_version
from app.referral.transitions import TERMINAL
from app.store.audience import sees_whole
from app.store.rows import Stored


async def claim_task(hub: Hub, caller: Caller, task_id: str, if_match: int | None) -> Stored:
    """The whole Task, now the caller's; it may ask again.

    Raises NotFound for what never showed to it, Conflict where another was quicker or the Task is not to be taken any
    more, PreconditionFailed for another version, BusinessRule where the patient's Consents forbid it.
    """
    authorize(caller, "update", "Task")

    async def work(unit: Unit) -> Stored:
        await unit.lock_referrals([("Task", task_id)])
        row = (await unit.session.find_rows([("Task", task_id)])).get(("Task", task_id))
        # What it showed once may be told of still: whoever saw it and comes too late must know why.
        if row is None or not (sees_whole(unit.scope, row) or set(row.reduced_for) & set(unit.scope.organizations)):
            raise NotFound(f"Task/{task_id} is not known")
        if is_mine(unit, row):
            return row
        if row.reduced is None or not set(row.reduced_for) & set(unit.scope.organizations):
            raise Conflict(f"Task/{task_id} is not in the pool (any more)")
        check_version(row, if_match)
        return await assign(unit, row)

    return await run_unit(hub, caller, work)


def is_mine(unit: Unit, row: Stored) -> bool:
    """Whether the caller has it already and it goes on: an answer was lost, and this is the same claim once more."""
    mine = row.assigned_org == unit.caller.organization and not row.deleted
    return mine and parse_stored(row).get("status") not in TERMINAL


async def assign(unit: Unit, row: Stored) -> Stored:
    """Gives the Task to the caller, on behalf of the organisation whose Task it is: what that may share, it gets."""
    before = parse_stored(row)
    if await find_part(unit, row, before) is None:
        raise Conflict(f"{row.reference} is not in the pool any more")
    owner = unit.caller.organization
    after = {**before, "owner": {"reference": f"Organization/{owner}"}}
    acting = replace(unit, scope=Scope((row.owner_org,)), issues=[])
    new = await replace_version(unit, row, before, after, Placement(row.referral, row.requester_org, owner))
    links = Links(acting)
    await links.load(referred_keys(after, unit.hub.base_url))
    try:
        await settle_change(acting, links, row, before, new, after)
    except BusinessRule as error:
        # Which Consents there are is the requester's to know.
        raise BusinessRule(f"{row.reference} cannot be given to your organisation", ("Task.owner",)) from error
    await record_provenance(unit, new, "UPDATE", f"Claimed from the pool by Organization/{owner}")
    unit.subject = found = (await unit.session.find_rows([row.key]))[row.key]
    return found
