"""On whose behalf a coordinator writes: what belongs to a member of its network is written as that member's."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from app.access.interaction_rules import acts_as
from app.access.organizations import resolve_organization
from app.audit.access import note_acting_for
from app.core.errors import BusinessRule
from app.fhir.element_access import objects
from app.interactions.links import Links
from app.interactions.unit import Unit
from app.interactions.versions import record_provenance
from app.referral.consent import name_patient
from app.store.audience import sees_whole
from app.store.rows import Key, Stored

Resource = dict[str, Any]

NAMED: Mapping[str, tuple[str, ...]] = {
    "Task": ("requester",),
    "ServiceRequest": ("requester",),
    "CarePlan": ("author",),
    "Patient": ("managingOrganization",),
    "Consent": ("organization",),
    "Encounter": ("serviceProvider",),
    "CareTeam": ("managingOrganization",),
    "Group": ("managingEntity",),
    "Device": ("owner",),
    "DocumentReference": ("custodian", "author"),
    "Observation": ("performer",),
    "Procedure": ("performer.actor",),
    "Communication": ("sender",),
    "QuestionnaireResponse": ("author",),
    "SupplyDelivery": ("supplier",),
    "HealthcareService": ("providedBy",),
    "PractitionerRole": ("organization",),
    "Location": ("managingOrganization",),
    "Organization": ("partOf",),
}
"""The elements of each type that say whose it is."""


async def find_owner(unit: Unit, links: Links, resource: Resource, key: Key) -> str:
    """The organisation that a new resource belongs to: the caller's, save that a coordinator acts for its members.

    Then it is the first that the resource names, else that of the patient whom it is about, as far as the caller acts
    for that one. An Organization that an admin makes owns itself.
    """
    if key[0] == "Organization" and unit.caller.role == "admin":
        return key[1]
    own, *members = acts_as(unit.caller, key[0])
    if not members:
        return own
    base = unit.hub.base_url
    for path in NAMED.get(key[0], ()):
        for element in walk(resource, path):
            named = await resolve_organization(unit.connection, element, links.all_visible(), base)
            if named == own or named in members:
                return named
    patient = links.visible_at(name_patient(resource))
    return patient.owner_org if patient and patient.owner_org in members else own


def walk(resource: Resource, path: str) -> list[Resource]:
    """The elements at a path of names, each of which may repeat."""
    found = [resource]
    for name in path.split("."):
        found = [each for element in found for each in objects(element, name)]
    return found


def find_actor(unit: Unit, current: Stored) -> str:
    """As whom the caller changes a resource: its own organisation, or the member whose it is or who has the Task."""
    mine = acts_as(unit.caller, current.type)
    parties = (current.owner_org, current.requester_org, current.assigned_org)
    return next((each for each in parties if each in mine), unit.caller.organization)


def act_as(unit: Unit, links: Links, organization: str) -> tuple[Unit, Links]:
    """The unit and the links with the eyes of the organisation for which is written."""
    acting = unit.act_for(organization)
    return (unit, links) if acting is unit else (acting, Links(acting, links.loaded))


@contextmanager
def telling_no_more(unit: Unit, acting: Unit) -> Iterator[None]:
    """Which labels and Consents of a member stand against it, a coordinator is not told: that they do is enough."""
    try:
        yield
    except BusinessRule as error:
        if acting is unit:
            raise
        where = dict.fromkeys(path for issue in error.all_issues() for path in issue.expression)
        raise BusinessRule(error.diagnostics, tuple(where)) from error


async def conclude(unit: Unit, acting: Unit, written: Stored, activity: str) -> None:
    """Notes who did it for whom. Raises BusinessRule where the coordinator may not see what it has written.

    That is so of what is labelled, and of a shelter: these its own organisation writes.
    """
    if acting is unit:
        return
    row = (await unit.session.find_rows([written.key]))[written.key]
    if not row.deleted and not sees_whole(unit.scope, row):
        raise BusinessRule(
            "What is labelled, or shelters somebody, is written by its own organisation and not on its behalf",
            (f"{row.type}.meta.security",),
        )
    note_acting_for(acting.caller.organization)
    if row.type != "Provenance":
        reason = f"On behalf of a member of the network: {activity.lower()}"
        await record_provenance(acting, written, activity, reason, f"Organization/{unit.caller.organization}")
