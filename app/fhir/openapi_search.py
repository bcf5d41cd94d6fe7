"""Search parameters with their FHIR meaning, for the OpenAPI document (R4 search)."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from app.fhir.registry import RESOURCE_NAMES, TYPES, ResourceType, SearchParameter, list_returning

Json = dict[str, Any]

KIND_MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "token": "A code or identifier: code, system|code, |code or system|.",
        "reference": "A reference: id, Type/id, or the whole address.",
        "string": "Text that an element begins with, whatever the case and the accents.",
        "date": "A date of any precision, with eq, ne, gt, ge, lt, le, sa, eb or ap before it: ge2026-01.",
        "uri": "A URI, the same to the letter.",
        "number": "A number, with a prefix such as gt before it.",
        "quantity": "number|system|code, with a prefix such as gt before it.",
        "composite": "Values joined by $.",
    }
)
"""Each kind of search parameter (R4 search, 3.1.1.4)."""

RESULT_MEANINGS: Mapping[str, tuple[Json, str]] = MappingProxyType(
    {
        "_id": ({"type": "string"}, "token: the resource's id, several with commas between."),
        "_lastUpdated": ({"type": "string"}, "date: when the version was written, with a prefix such as gt before it."),
        "_tag": ({"type": "string"}, "token: meta.tag."),
        "_profile": ({"type": "string"}, "uri: meta.profile."),
        "_security": ({"type": "string"}, "token: meta.security."),
        "_count": (
            {"type": "integer", "minimum": 0},
            "How many matches on a page; a larger one is lowered; 0 only counts.",
        ),
        "_sort": (
            {"type": "string"},
            "What to order by: up to five of _id, _lastUpdated and the type's parameters that are not composite, with "
            "commas between; - before one descends. Of several values the first in that direction counts; what has "
            "none comes last; equals follow by id. Without _sort the order is by id, or by the text found in a search "
            "for the beginning of one text.",
        ),
        "_total": ({"enum": ["none", "estimate", "accurate"]}, "Whether Bundle.total is counted."),
        "_summary": ({"enum": ["true", "text", "data", "count", "false"]}, "Which part of each resource to answer."),
        "_elements": ({"type": "string"}, "The elements to answer, with commas between; mandatory ones come too."),
        "_cursor": ({"type": "string"}, "Where a page begins: taken from a next link, never made up."),
        "_since": ({"type": "string"}, "Only versions written at this instant or later."),
    }
)
"""The parameters that every type has, those among them that the server takes (R4 search, 3.1.1.3)."""

REPEATED = frozenset({"_id", "_lastUpdated", "_tag", "_profile", "_security"})


def build_search_schemas() -> dict[str, Json]:
    """The schema of each kind of search parameter: a list, since a parameter that is given again means AND."""
    kinds = {each.kind for kept in TYPES.values() for each in kept.search}
    return {
        f"search.{kind}": {
            "type": "array",
            "items": {"type": "string"},
            "description": f"{KIND_MEANINGS[kind]} Commas mean OR; the parameter given again means AND.",
        }
        for kind in sorted(kinds)
    }


def parameter_name(kept: ResourceType, code: str) -> str:
    """The name of a parameter among the document's components."""
    return f"{kept.name}.{code}"


def build_search_parameters(kept: ResourceType, offered: Collection[str]) -> dict[str, Json]:
    """The parameters of a search of one type, by code; ``offered`` are the common ones that the server takes."""
    built: dict[str, Json] = {}
    for each in kept.search:
        schema = {"$ref": f"#/components/schemas/search.{each.kind}"}
        built[each.code] = {"name": each.code, "in": "query", "description": _describe(each), "schema": schema}
    includes = [f"{kept.name}:{code}" for code in kept.includes]
    if includes and "_include" in offered:
        built["_include"] = _list_values(
            "_include",
            "Also answers what the matches refer to: Type:code, Type:code:TargetType, Type:* or *.",
            includes,
        )
    returning = list_returning(kept)
    if returning and "_revinclude" in offered:
        built["_revinclude"] = _list_values(
            "_revinclude", "Also answers what refers to the matches: Type:code or Type:*.", returning
        )
    return built


def build_common_parameters(offered: Collection[str]) -> dict[str, Json]:
    """The parameters of every search, by name."""
    built = {}
    for name, (schema, meaning) in RESULT_MEANINGS.items():
        if name in offered:
            shape = {"type": "array", "items": schema} if name in REPEATED else schema
            built[name] = {"name": name, "in": "query", "description": meaning, "schema": shape}
    return built


def _describe(parameter: SearchParameter) -> str:
    told = f"{parameter.kind}: `{parameter.expression}`"
    if parameter.kind != "reference":
        return told
    if len(parameter.targets) == len(RESOURCE_NAMES):
        return f"{told}, to any type"
    return f"{told}, to {', '.join(parameter.targets)}" if parameter.targets else told


def _list_values(name: str, meaning: str, values: list[str]) -> Json:
    schema = {"type": "array", "items": {"enum": values}}
    return {"name": name, "in": "query", "description": meaning, "schema": schema}
