"""The part of a resource that others see who do not see it whole (access.md, What a caller sees)."""

from typing import Any

from app.fhir.registry import TYPES
from app.fhir.subset import SUBSETTED

Resource = dict[str, Any]


def take_part(resource: Resource, version: int, last_updated: str) -> Resource:
    """The elements of the type's view, tagged SUBSETTED; what they point to within the resource stays behind."""
    view = TYPES[resource["resourceType"]].view
    kept = {name: point_outside(value) for name, value in resource.items() if name.removeprefix("_") in view}
    return {
        "resourceType": resource["resourceType"],
        "id": resource["id"],
        "meta": {"versionId": str(version), "lastUpdated": last_updated, "tag": [SUBSETTED]},
        **{name: value for name, value in kept.items() if value is not None and value != []},
    }


def point_outside(value: Any) -> Any:
    """An element without its references to contained resources, which are no part of the view; None for nothing."""
    if isinstance(value, list):
        return [each for each in map(point_outside, value) if each is not None]
    inside = isinstance(value, dict) and str(value.get("reference", "")).startswith("#")
    return None if inside else value
