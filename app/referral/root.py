"""Where a resource of the referral hangs: the references that lead to its root (delivery.md, Outbox)."""

from collections.abc import Iterator
from typing import Any

TOWARDS_ROOT = {
    "Task": ("focus", "basedOn", "partOf"),
    "ServiceRequest": ("basedOn",),
    "CarePlan": ("activity", "basedOn"),
}


def root_references(resource: dict[str, Any]) -> list[str]:
    """The literals to follow, the best first."""
    return [
        literal
        for name in TOWARDS_ROOT.get(str(resource.get("resourceType")), ())
        for literal in literals_at(resource.get(name))
    ]


def literals_at(value: Any) -> Iterator[str]:
    """The literals of a Reference, of each of a list, or of each activity."""
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            continue
        literal = each.get("reference")
        if isinstance(literal, dict):
            literal = literal.get("reference")
        if isinstance(literal, str):
            yield literal
