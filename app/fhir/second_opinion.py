"""Asks fhir.resources, which knows R4B, about a resource that holds something beyond the R4 tables."""

from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from app.fhir.findings import Findings
from app.fhir.shapes import SHAPES, SIBLING, Element, Shape

SHELLS = ("Bundle", "CapabilityStatement", "OperationOutcome", "Parameters")
"""Resource types that are sent and answered, but not kept."""

_HOLDERS = {"Bundle": ("entry", ()), "Parameters": ("parameter", ("part",))}
_REASONS = {
    "extra_forbidden": "There is no such element",
    "missing": "A required element is missing",
    "model_field_validation.missing": "A required element is missing",
}
_DECIDED = frozenset({*_REASONS, "value_error"})
"""Kinds of error that the tables decide: unknown and missing elements, and (value_error) choices."""


@cache
def _find_model(name: str) -> type[BaseModel] | None:
    # Only where it is wanted: the models of all our types cost a process most of a second and 20 MB.
    from fhir.resources.R4B import get_fhir_model_class

    try:
        model: type[BaseModel] = get_fhir_model_class(name)
    except (LookupError, ValueError):  # a type that R4B has dropped
        return None
    return model


def ask_models(resource: dict[str, Any], place: str, findings: Findings) -> None:
    """Adds what fhir.resources refuses, save where the tables of R4 say that it is mistaken."""
    model = _find_model(resource["resourceType"])
    if model is None:
        return
    try:
        model.model_validate(_trim(resource))
    except ValidationError as error:
        shape = SHAPES[resource["resourceType"]]
        for each in error.errors(include_url=False, include_context=False, include_input=False):
            found = _locate(resource, shape, each["loc"], place)
            if not _is_allowed_by_r4(each["type"], found):
                reason = _REASONS.get(each["type"], "Refused by the FHIR models")
                findings.add("structure", found[0], reason)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError):
        # The models fail on some legal R4 too, such as a required list of extensions without values; what is
        # wholly described by the tables has passed them. Contained resources without tables may hold anything.
        if any(each["resourceType"] not in SHAPES for each in resource.get("contained", ())):
            findings.add("structure", place, "The FHIR models cannot read what is contained here")


def _trim(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource without those inside it that are checked on their own, or that R4B has no model of."""
    trimmed = resource
    if "contained" in resource:
        known = [each for each in resource["contained"] if _find_model(each["resourceType"])]
        trimmed = {key: value for key, value in resource.items() if key != "contained"}
        if known:
            trimmed["contained"] = [_trim(each) for each in known]
    if resource["resourceType"] in _HOLDERS:
        key, nested = _HOLDERS[resource["resourceType"]]
        if key in resource:
            trimmed = {**trimmed, key: [_trim_holder(each, nested) for each in resource[key]]}
    return trimmed


def _trim_holder(node: dict[str, Any], nested: tuple[str, ...]) -> dict[str, Any]:
    trimmed = {key: value for key, value in node.items() if key != "resource"}
    for key in nested:
        if key in node:
            trimmed[key] = [_trim_holder(each, nested) for each in node[key]]
    return trimmed


Located = tuple[str, Element | None, bool]
"""A FHIRPath, the element there, and whether the tables describe the object that it is in."""


def _locate(resource: dict[str, Any], shape: Shape, loc: tuple[int | str, ...], place: str) -> Located:
    node: Any = resource
    known: Shape | None = shape
    holder: Shape | None = shape
    element: Element | None = None
    for step in loc:
        if step == "root":  # the models' own name for a whole object
            continue
        if isinstance(step, int):
            place = f"{place}[{step}]"
            node = node[step] if isinstance(node, list) and step < len(node) else None
        else:
            holder = known
            element = _find_element(known, step)
            place = f"{place}.{element.name if element else step}"
            node = node.get(step) if isinstance(node, dict) else None
        if element is not None and isinstance(node, dict):
            known = _find_shape(element, node)
    return place, element, holder is not None


def _find_shape(element: Element, node: dict[str, Any]) -> Shape | None:
    if element.kind == "primitive":
        return SIBLING
    name = node.get("resourceType") if element.kind == "resource" else element.type
    return SHAPES.get(name) if isinstance(name, str) else None


def _find_element(shape: Shape | None, step: str) -> Element | None:
    if shape is None:
        return None
    return shape.elements.get(step) or shape.siblings.get(step)


def _is_allowed_by_r4(kind: str, found: Located) -> bool:
    """Whether the walk, which found nothing wrong, has decided this already by the tables of R4."""
    _, element, described = found
    if not described:
        return False
    if kind in _DECIDED:
        return True
    return element is not None and element.kind == "primitive"
