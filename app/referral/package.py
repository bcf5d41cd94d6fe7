"""What a referral shares: the references of a Task and its ServiceRequest (access.md, What a caller sees)."""

from collections.abc import Iterator
from typing import Any

from app.fhir.references import parse_reference
from app.referral.root import literals_at

Resource = dict[str, Any]

TASK_SHARES = ("focus", "for", "basedOn")
REQUEST_SHARES = ("subject", "supportingInfo", "reasonReference", "insurance", "basedOn")
PERTAINS_TO_GOAL = "http://hl7.org/fhir/StructureDefinition/resource-pertainsToGoal"


def package_references(task: Resource, service_request: Resource | None) -> list[str]:
    """The literals that the Task shares, in order, without repetition."""
    return list(dict.fromkeys(walk_package(task, service_request)))


def walk_package(task: Resource, service_request: Resource | None) -> Iterator[str]:
    """What the Task names, then what its ServiceRequest does."""
    for name in TASK_SHARES:
        yield from literals_at(task.get(name))
    for each in task.get("input", ()):
        yield from literals_at(each.get("valueReference"))
    if service_request is None:
        return
    for name in REQUEST_SHARES:
        yield from literals_at(service_request.get(name))
    for extension in service_request.get("extension", ()):
        if extension.get("url") == PERTAINS_TO_GOAL:
            yield from literals_at(extension.get("valueReference"))


def onward_references(resource: Resource) -> list[str]:
    """What comes along with a shared resource: a document's Binary, a Consent's document, and nothing else.

    An attachment's url can name anything: were other types followed, a document could carry a whole record along.
    """
    match resource.get("resourceType"):
        case "DocumentReference":
            urls = [each.get("attachment", {}).get("url") for each in resource.get("content", ())]
            return [url for url in urls if names_type(url, "Binary")]
        case "Consent":
            literals = literals_at(resource.get("sourceReference"))
            return [literal for literal in literals if names_type(literal, "DocumentReference")]
    return []


def names_type(literal: Any, name: str) -> bool:
    """Whether a literal reference names a resource of this type, here or elsewhere."""
    target = parse_reference(literal, None) if isinstance(literal, str) else None
    return target is not None and target.type == name
