"""Who may see a new resource, before any referral shares it (access.md, What a caller sees)."""

from typing import Any

from app.core.caller import EVERYONE
from app.fhir.registry import TYPES
from app.referral.shelter import is_sheltering


def first_audience(resource: dict[str, Any]) -> tuple[str, ...]:
    """Everyone for a directory entry that shelters nobody; nobody but the owner organisation for anything else."""
    directory = TYPES[resource["resourceType"]].directory
    return (EVERYONE,) if directory and not is_sheltering(resource) else ()
