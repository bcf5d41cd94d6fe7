"""Parts of a resource for an answer: ``_summary`` and ``_elements`` (R4 search, Managing Returned Resources)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from app.core.errors import Invalid, Unsupported
from app.fhir.json_text import STORED_LIMITS, dump, parse
from app.fhir.registry import load_definition
from app.fhir.shapes import SHAPES

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
"""The tag of a resource that is not told whole; a client must not put it back (R4 resource, meta.tag)."""

ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})
"""Without these a part would be named, or understood, amiss."""

SUMMARIES = ("true", "text", "data", "count", "false")

_SUMMARY: dict[str, list[str]] = load_definition("summary")


@dataclass(frozen=True, slots=True)
class Subset:
    """``mode`` true, text and data are those of ``_summary``; elements are FHIRPath names, ``value`` for choices."""

    mode: Literal["true", "text", "data", "elements"]
    elements: frozenset[str] = frozenset()


def parse_summary(value: str) -> Subset | Literal["count"] | None:
    """The subset of ``_summary``, ``count`` for none of any resource, None for all. Raises Invalid."""
    match value:
        case "true" | "text" | "data":
            return Subset(value)
        case "count":
            return "count"
        case "false":
            return None
    raise Invalid(f"_summary is one of {', '.join(SUMMARIES)}", ("_summary",))


def parse_elements(resource_type: str, value: str) -> Subset:
    """The subset of ``_elements``, names at the top of the type. Raises Unsupported for others."""
    known = SHAPES[resource_type].elements
    by_name = {element.name for element in known.values()}
    names = set()
    for each in value.split(","):
        if each not in known and each not in by_name:
            raise Unsupported(f"{resource_type} has no element {each!r} at its top", ("_elements",))
        names.add(known[each].name if each in known else each)
    return Subset("elements", frozenset(names))


def read_subset(resource_type: str, query: Iterable[tuple[str, str]]) -> Subset | None:
    """The subset that a read asks for. Raises Invalid and Unsupported for what a read does not take."""
    told: dict[str, str] = {}
    for name, value in query:
        if name in ("_format", "_pretty"):
            continue
        if name not in ("_summary", "_elements"):
            raise Unsupported(f"{name!r} is not offered here", (name,))
        if told:
            raise Invalid("A read takes one _summary or one _elements", (name,))
        told[name] = value
    if "_elements" in told:
        return parse_elements(resource_type, told["_elements"])
    found = parse_summary(told.get("_summary", "false"))
    if found == "count":
        raise Invalid("_summary=count is for searches: a read has nothing to count", ("_summary",))
    return found


def subset_text(content: str, subset: Subset | None) -> str:
    """The part of a stored text; all of it, unparsed, without a subset."""
    if subset is None:
        return content
    return dump(select_elements(parse(content.encode(), STORED_LIMITS), subset))


def select_elements(resource: dict[str, Any], subset: Subset) -> dict[str, Any]:
    """The part of a resource, with the tag SUBSETTED. Mandatory elements are always kept."""
    name = resource["resourceType"]
    if subset.mode == "data":
        part = {key: value for key, value in resource.items() if key != "text"}
    elif subset.mode == "true":
        part = _summarize(name, resource)
    else:
        kept = subset.elements if subset.mode == "elements" else frozenset({"text"})
        part = _keep(name, resource, kept | _mandatory(name))
    return {**part, "meta": _tag(part.get("meta", {}))}


def is_subsetted(resource: dict[str, Any]) -> bool:
    """Whether the tag says that this is a part alone."""
    tags = resource.get("meta", {}).get("tag", ())
    return any(each.get("code") == "SUBSETTED" and each.get("system") == SUBSETTED["system"] for each in tags)


def _tag(meta: dict[str, Any]) -> dict[str, Any]:
    return meta if is_subsetted({"meta": meta}) else {**meta, "tag": [*meta.get("tag", ()), SUBSETTED]}


@cache
def _mandatory(name: str) -> frozenset[str]:
    return frozenset(element for element, _ in SHAPES[name].required)


def _keep(name: str, node: dict[str, Any], kept: Iterable[str]) -> dict[str, Any]:
    known = SHAPES[name].elements
    return {
        key: value
        for key, value in node.items()
        if key in ALWAYS or ((element := known.get(key.removeprefix("_"))) and element.name in kept)
    }


def _summarize(name: str, node: dict[str, Any]) -> dict[str, Any]:
    """What the definitions flag, in backbones too; a datatype stays whole."""
    part = _keep(name, node, _SUMMARY[name])
    for key, value in part.items():
        element = SHAPES[name].elements.get(key)
        if element and element.type in _SUMMARY:
            part[key] = (
                [_summarize(element.type, each) for each in value]
                if isinstance(value, list)
                else _summarize(element.type, value)
            )
    return part
