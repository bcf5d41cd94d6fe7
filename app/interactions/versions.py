"""Writes one version of one resource as given: no rule is asked here, and the loop's own changes come this way too."""

from dataclasses import dataclass
from typing import Any

from app.access.audience import first_audience
from app.core.errors import NotFound
from app.core.ids import new_id
from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.moments import write_instant
from app.interactions.unit import Unit
from app.referral.clocks import move_clock, read_hours, set_clock
from app.referral.provenance import provenance_of_change
from app.search.extract import extractor, has_same_rows
from app.store.content import cut_content
from app.store.rows import NO_CLOCK, Draft, Due, Stored


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a resource stands: its referral, and whom its requester and owner resolve to."""

    referral: str | None = None
    requester_org: str | None = None
    assigned_org: str | None = None


NOWHERE = Placement()


def parse_stored(stored: Stored) -> dict[str, Any]:
    """The content of a stored version, decimals kept as text."""
    if stored.deleted:
        raise NotFound(f"{stored.reference} is deleted")
    return parse(stored.content.encode(), STORED_LIMITS)


async def insert_version(
    unit: Unit,
    resource: dict[str, Any],
    resource_id: str,
    owner_org: str,
    placement: Placement = NOWHERE,
    shared_with: tuple[str, ...] | None = None,
) -> Stored:
    """The first version; without ``shared_with`` the audience is that of its type."""
    return await unit.session.insert(
        Draft(
            type=resource["resourceType"],
            id=resource_id,
            pieces=cut_content(resource, resource_id),
            index=extractor(resource["resourceType"], unit.hub.base_url)(resource),
            owner_org=owner_org,
            shared_with=first_audience(resource) if shared_with is None else shared_with,
            referral=placement.referral,
            requester_org=placement.requester_org,
            assigned_org=placement.assigned_org,
            due=find_due(unit, None, resource),
        ),
    )


def find_due(unit: Unit, before: dict[str, Any] | None, after: dict[str, Any]) -> Due:
    """What the version ``after`` does to a Task's clock."""
    if after["resourceType"] != "Task":
        return NO_CLOCK
    hours, zone = read_hours(unit.hub.settings.overdue_hours), unit.hub.settings.zone
    if before is not None:
        return move_clock(before, after, hours, zone)
    clock = set_clock(after, hours, zone)
    return clock.at, clock.after, None


async def replace_version(
    unit: Unit,
    old: Stored,
    before: dict[str, Any] | None,
    resource: dict[str, Any],
    placement: Placement | None = None,
) -> Stored:
    """The version after ``old``, whose content was ``before``; owner and audience stay.

    LostRace comes where ``old`` is not current any more.
    """
    place = placement or Placement(old.referral, old.requester_org, old.assigned_org)
    draft = Draft(
        type=old.type,
        id=old.id,
        pieces=cut_content(resource, old.id),
        index=extractor(old.type, unit.hub.base_url)(resource),
        owner_org=old.owner_org,
        referral=place.referral,
        requester_org=place.requester_org,
        assigned_org=place.assigned_org,
        due=find_due(unit, before, resource),
    )
    unchanged = before is not None and has_same_rows(old.type, before, resource)
    return await unit.session.update(draft, old, children_changed=not unchanged)


async def record_provenance(unit: Unit, stored: Stored, activity: str, reason: str, acting: str | None = None) -> None:
    """A Provenance for a change that the server made by itself (architecture.md, audit), or that an organisation did.

    ``acting`` is ``Organization/x`` where that one did it for the unit's.
    """
    provenance = provenance_of_change(
        targets=[f"{stored.reference}/_history/{stored.version}"],
        recorded=write_instant(stored.last_updated),
        activity_code=activity,
        agent_organization=f"Organization/{unit.caller.organization}",
        reason=reason,
        acting=acting,
    )
    await insert_version(unit, provenance, new_id(), stored.owner_org)
