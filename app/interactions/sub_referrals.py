"""Sub-referrals: who may pass a referral on, to whom, and what of it (access.md; docs/how-to/pass-on.md)."""

from collections.abc import Iterator
from typing import Any

from app.access.organizations import resolve_organization
from app.core.errors import BusinessRule, Issue
from app.interactions.consents import Weigher
from app.interactions.links import Links, local_key, read_content, referred_keys
from app.interactions.loans import Loan, find_loan, read_task
from app.interactions.sharing import is_asked, see_as
from app.interactions.unit import Unit
from app.referral.comparison import same
from app.referral.root import literals_at
from app.referral.sub_referral import PASSED_ON, check_request_change, check_warning, is_filler, refuse
from app.store.audience import sees_whole
from app.store.rows import Key, Stored

Resource = dict[str, Any]

NO_REQUEST = (
    "A partner's ServiceRequest passes a referral on: intent filler-order, the same subject, and basedOn the focus of "
    "a Task that your organisation has accepted"
)
NO_TASK = (
    "A partner's Task passes a referral on: it is part of (partOf) the one Task that your organisation has accepted, "
    "and its focus is your ServiceRequest, a filler-order that is basedOn the focus of that Task"
)


def point(unit: Unit, resource: Resource, name: str) -> Key | None:
    """(type, id) of what an element of a resource names here."""
    return next((local_key(each, unit.hub.base_url) for each in literals_at(resource.get(name))), None)


async def place_request(unit: Unit, links: Links, request: Resource) -> str | None:
    """The referral that a new ServiceRequest passes on; None for one that is a referral of its own.

    Raises BusinessRule for a partner's that passes none on, and where a warning gets lost on the way.
    """
    if unit.caller.role == "admin":  # what is imported was passed on elsewhere
        return None
    source = await find_source(unit, links, request)
    if source is None:
        if unit.caller.role == "provider":
            raise BusinessRule(NO_REQUEST, ("ServiceRequest.basedOn",))
        return None
    original, _ = source
    conclude(list(check_warning(request, read_content(original))))
    return original.referral


async def find_source(unit: Unit, links: Links, request: Resource) -> tuple[Stored, Stored] | None:
    """(the ServiceRequest that this one passes on, the Task by which the caller has accepted it)."""
    if not is_filler(request):
        return None
    for literal in literals_at(request.get("basedOn")):
        original = links.visible_at(literal)
        if original is None or original.type != "ServiceRequest":
            continue
        for row in await unit.session.find_members("Task", original.referral or ""):
            task = read_content(row)
            given = row.assigned_org == unit.caller.organization != row.owner_org and sees_whole(unit.scope, row)
            if given and task.get("status") in PASSED_ON and point(unit, task, "focus") == original.key:
                who = point(unit, request, "subject")
                return (original, row) if who and who == point(unit, read_content(original), "subject") else None
    return None


async def place_task(unit: Unit, links: Links, task: Resource, key: Key, assigned: str | None) -> str | None:
    """The referral that a Task passes on; None for one that passes none on.

    Raises BusinessRule for a partner's that passes none on, and where it may not be passed on so, or not to this owner.
    """
    if unit.caller.role == "admin":
        return None
    mine = unit.caller.organization
    loan = await find_loan(unit, task, mine)
    if loan is None or not sees_whole(unit.scope, loan.parent) or (assigned == mine and unit.caller.role != "provider"):
        if unit.caller.role == "provider" or await is_passed_on(unit, links, task):
            raise BusinessRule(NO_TASK, ("Task.partOf",))
        return None
    conclude([*check_parent(unit, links, task, loan), *check_owner(loan, mine, assigned)])
    if assigned and is_asked(task):
        weigher = Weigher(unit, {**task, "id": key[1]}, mine, assigned, loan=loan)
        if not await is_allowed(weigher, loan):
            raise BusinessRule(
                f"Organization/{loan.requester} has not allowed that this referral is passed on to "
                f"Organization/{assigned}: it names it neither as a performer of its ServiceRequest nor in a Consent",
                ("Task.owner",),
            )
    return loan.parent.referral


async def is_passed_on(unit: Unit, links: Links, task: Resource) -> bool:
    """Whether the focus of a Task was made to pass a referral on: whoever is to act on it, needs the leave for it."""
    focus = links.visible_at((task.get("focus") or {}).get("reference"))
    return focus is not None and await is_sub_request(unit, focus, read_content(focus))


async def is_sub_request(unit: Unit, row: Stored, request: Resource) -> bool:
    """Whether a ServiceRequest in this state was made to pass a referral on."""
    if row.type != "ServiceRequest" or not is_filler(request):
        return False
    keys = [key for each in literals_at(request.get("basedOn")) if (key := local_key(each, unit.hub.base_url))]
    rows = await unit.session.find_rows(keys)
    return any(each.owner_org != row.owner_org and each.referral == row.referral for each in rows.values())


def check_parent(unit: Unit, links: Links, task: Resource, loan: Loan) -> Iterator[Issue]:
    """What a Task passes on is one accepted Task's, as it was given, and not through too many hands."""
    parent, levels = read_task(loan.parent), unit.hub.settings.sub_referral_levels
    if len(task.get("partOf", ())) != 1 or parent.get("status") not in PASSED_ON:
        yield refuse(NO_TASK, "Task.partOf")
    if len(loan.chain) > levels:
        yield refuse(f"A referral is passed on {levels} times at most", "Task.partOf")
    who = point(unit, task, "for")
    if who is None or who != point(unit, parent, "for"):
        yield refuse("A referral is passed on for the patient that it is about", "Task.for")
    focus = links.visible_at((task.get("focus") or {}).get("reference"))
    request = read_content(focus) if focus and focus.owner_org == unit.caller.organization else {}
    based_on = {local_key(each, unit.hub.base_url) for each in literals_at(request.get("basedOn"))}
    original = point(unit, parent, "focus")
    if not (focus and focus.referral == loan.parent.referral and is_filler(request) and original in based_on):
        yield refuse(NO_TASK, "Task.focus")


def check_owner(loan: Loan, mine: str, assigned: str | None) -> Iterator[Issue]:
    """It goes to an organisation that it has not come from."""
    if assigned is None or assigned == mine:
        yield refuse("A referral is passed on to another organisation, which owns the Task", "Task.owner")
    elif assigned in {each.owner_org for each in loan.chain}:
        yield refuse(f"The referral came from Organization/{assigned}", "Task.owner")


async def is_allowed(weigher: Weigher, loan: Loan) -> bool:
    """Whether the first requester lets a referral go on to the recipient: as a performer of its request, or a Consent
    that it keeps says so by name; none may forbid it.
    """
    verdict = await weigher.weigh(weigher.task, loan.requester)
    if verdict.decision == "deny":
        return False
    named = verdict.decision == "permit" and verdict.named
    return named or weigher.recipient in await find_performers(weigher.unit, loan.root)


async def find_performers(unit: Unit, root: Stored) -> set[str]:
    """The organisations that the first requester names as performers of its own ServiceRequest."""
    key = point(unit, read_task(root), "focus")
    row = (await unit.session.find_rows([key])).get(key) if key else None
    if row is None or row.type != "ServiceRequest" or row.deleted or row.owner_org != root.owner_org:
        return set()
    request, links = read_content(row), see_as(Links(unit), root.owner_org)
    await links.load(referred_keys(request, unit.hub.base_url))
    loaded, found = links.all_visible(), set()
    for each in request.get("performer", ()):
        if organization := await resolve_organization(unit.connection, each, loaded, unit.hub.base_url):
            found.add(organization)
    return found


async def check_update(unit: Unit, current: Stored, before: Resource, after: Resource) -> None:
    """Raises BusinessRule where an update would pass on something else than what was passed on.

    A draft Task may still change: it is placed anew.
    """
    if current.type == "ServiceRequest" and await is_sub_request(unit, current, before):
        rows = await unit.session.find_rows(
            key for each in literals_at(before["basedOn"]) if (key := local_key(each, unit.hub.base_url))
        )
        originals = [read_content(each) for each in rows.values() if each.type == "ServiceRequest" and not each.deleted]
        warnings = [issue for each in originals for issue in check_warning(after, each)]
        conclude([*check_request_change(before, after), *warnings])
    if (
        current.type == "Task"
        and before.get("status") != "draft"
        and not same(before.get("partOf"), after.get("partOf"))
    ):
        loans = [await find_loan(unit, each, current.owner_org) for each in (before, after)]
        if any(loans):
            conclude([refuse("partOf does not change once the Task is asked for", "Task.partOf")])


def conclude(issues: list[Issue]) -> None:
    """Raises BusinessRule where there are any."""
    if issues:
        raise BusinessRule("Not allowed by the rules of sub-referrals", issues=tuple(issues))
