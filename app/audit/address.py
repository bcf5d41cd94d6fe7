"""Reads from method and address what a request or an entry of a Bundle asks for, and nothing that could name a person.

What an address may hold by mistake (a name for an id, a type that there is not) is left out or hashed.
"""

from dataclasses import dataclass

from app.fhir.references import ID
from app.fhir.registry import TYPES

UNKNOWN = "unknown"
"""The interaction of an address that is none of ours."""

INTERACTIONS = {
    ("POST", ""): "transaction",
    ("GET", "_history"): "history-system",
    ("GET", "Type"): "search-type",
    ("POST", "Type/_search"): "search-type",
    ("POST", "Type"): "create",
    ("PUT", "Type"): "update",
    ("DELETE", "Type"): "delete",
    ("GET", "Type/_history"): "history-type",
    ("GET", "Type/id"): "read",
    ("PUT", "Type/id"): "update",
    ("PATCH", "Type/id"): "patch",
    ("PATCH", "Type"): "patch",
    ("DELETE", "Type/id"): "delete",
    ("GET", "Type/id/_history"): "history-instance",
    ("GET", "Type/id/_history/id"): "vread",
}
"""Codes of http://hl7.org/fhir/restful-interaction by method and shape of the address (R4 http)."""

READS = frozenset(
    {"read", "vread", "search-type", "search-system", "history-instance", "history-type", "history-system"}
)
"""What changes nothing."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for: ``id`` and ``version`` as the address has them, where it has them."""

    interaction: str = UNKNOWN
    type: str | None = None
    id: str | None = None
    version: int | None = None


def read_target(method: str, path: str) -> Target:
    """What a method does at a path below the FHIR base, such as ``Patient/1``."""
    steps = path.strip("/").split("/")
    operation = steps[-1].startswith("$")
    if operation:
        steps = steps[:-1] or [""]
    shape = "/".join(shape_of(n, step) for n, step in enumerate(steps))
    found = "operation" if operation else INTERACTIONS.get((method, shape), UNKNOWN)
    name = steps[0] if steps[0] in TYPES else None
    resource_id = steps[1] if shape.startswith("Type/id") and ID.fullmatch(steps[1]) else None
    version = steps[3] if found == "vread" else ""
    number = int(version) if version.isascii() and version.isdigit() and len(version) <= 18 else None
    return Target(found, name, resource_id, number)


def shape_of(place: int, step: str) -> str:
    """What a step of an address is, whether or not there is such a type or resource."""
    if step in ("", "_history", "_search"):
        return step
    return "id" if place else "Type"
