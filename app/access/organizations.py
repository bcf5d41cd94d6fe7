"""Resolves a reference in owner or requester to the organisation that it stands for (access.md)."""

from typing import Any

from app.core.database import Connection
from app.fhir.json_text import STORED_LIMITS, parse
from app.fhir.references import parse_reference
from app.store.directory import find_organization_by_identifier
from app.store.rows import Key, Stored

CLIMB = {
    "PractitionerRole": "organization",
    "HealthcareService": "providedBy",
    "CareTeam": "managingOrganization",
}
"""The element of each directory type that names its organisation; Patient and RelatedPerson are no organisations."""


async def resolve_organization(
    connection: Connection, element: dict[str, Any] | None, loaded: dict[Key, Stored], base_url: str
) -> str | None:
    """The organisation's id; None where the reference stands for no organisation that we know.

    ``loaded`` holds the rows that the resource refers to, whoever may see them.
    """
    if not element:
        return None
    literal = element.get("reference")
    if not isinstance(literal, str):
        return await resolve_identifier(connection, element)
    target = parse_reference(literal, base_url)
    stored = loaded.get((target.type, target.id)) if target and target.local else None
    if stored is None or stored.deleted:
        return None
    if stored.type == "Organization":
        return stored.id
    return organization_named_by(stored, base_url)


def organization_named_by(stored: Stored, base_url: str) -> str | None:
    """The organisation that a directory entry says it belongs to."""
    field = CLIMB.get(stored.type)
    if field is None:
        return None
    named = parse(stored.content.encode(), STORED_LIMITS).get(field)
    first = named[0] if isinstance(named, list) and named else named
    literal = first.get("reference") if isinstance(first, dict) else None
    target = parse_reference(literal, base_url) if isinstance(literal, str) else None
    return target.id if target and target.local and target.type == "Organization" else None


async def resolve_identifier(connection: Connection, element: dict[str, Any]) -> str | None:
    """The one organisation of the directory that carries this identifier."""
    identifier = element.get("identifier")
    if not isinstance(identifier, dict) or not isinstance(identifier.get("value"), str):
        return None
    return await find_organization_by_identifier(connection, str(identifier.get("system", "")), identifier["value"])
