"""Tells everything that is wrong with a resource: structure, codes, invariants, narrative."""

from typing import Any

from app.core.errors import Issue
from app.fhir.findings import Findings
from app.fhir.references import NAMES
from app.fhir.registry import TYPES
from app.fhir.second_opinion import SHELLS, ask_models
from app.fhir.structure_walk import StructureWalk

SERVED = frozenset((*TYPES, *SHELLS))


def validate(resource: dict[str, Any], *, root: str | None = None) -> list[Issue]:
    """Every issue of a resource that ``json_text.parse`` read; an empty list if it is valid FHIR R4.

    ``root`` stands for the resource type at the start of every expression, such as
    ``Bundle.entry[3].resource``. Contained resources are validated too; those in the entries of a Bundle or
    in Parameters only have to be resources of R4, as each is validated on its own. The tables of R4 decide;
    what passes them and holds something that they do not describe is put to fhir.resources
    (docs/decisions/0011-second-opinion.md).
    """
    findings = Findings()
    name = _read_type(resource, root, findings)
    if name is not None:
        place = root or name
        walk = StructureWalk(resource, findings)
        walk.walk_resource(resource, place)
        if walk.undescribed and not findings.count:
            ask_models(resource, place, findings)
    return findings.finish()


def _read_type(resource: Any, root: str | None, findings: Findings) -> str | None:
    place = root or ""
    if not isinstance(resource, dict):
        findings.add("structure", place, "A resource is a JSON object")
        return None
    name = resource.get("resourceType")
    if not isinstance(name, str):
        findings.add("structure", place, "A resource has a resourceType, which is a string")
        return None
    if name not in NAMES:
        findings.add("structure", place, "resourceType names no resource type of FHIR R4")
        return None
    if name not in SERVED:
        findings.add("not-supported", place, f"{name} is not a resource type of this server")
        return None
    return name
