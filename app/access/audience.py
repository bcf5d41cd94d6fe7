"""Who may see a new resource, before any referral shares it (access.md, What a caller sees)."""

from typing import Any

from app.core.caller import EVERYONE
from app.fhir.registry import TYPES
from app.referral.labels import is_labelled


def first_audience(resource: dict[str, Any]) -> tuple[str, ...]:
    """Everyone for an unlabelled directory entry; nobody but the owner organisation for anything else.

    A labelled directory entry, such as a shelter's, is hidden whole until its reduced view is built.
    """
    directory = TYPES[resource["resourceType"]].directory
    return (EVERYONE,) if directory and not is_labelled(resource) else ()
