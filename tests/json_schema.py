"""Checks a value against a schema of the OpenAPI document: as much of JSON Schema 2020-12 as the document uses."""

import json
import re
from collections.abc import Iterator
from typing import Any

from app.core.errors import Issue
from app.fhir.json_text import parse
from app.fhir.validation import validate

Json = dict[str, Any]

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}
NOTES = frozenset(
    {"description", "title", "default", "format", "externalDocs", "contentMediaType", "contentEncoding", "example"}
)


def resolve(document: Json, pointer: str) -> Any:
    """What a $ref names. Raises KeyError for nothing."""
    found: Any = document
    for step in pointer.removeprefix("#/").split("/"):
        found = found[step.replace("~1", "/").replace("~0", "~")]
    return found


def find_errors(resource: Json) -> list[Issue]:
    """What the server would refuse of a resource as it would be sent."""
    return [each for each in validate(parse(json.dumps(resource).encode())) if each.severity == "error"]


def find_faults(document: Json, schema: Json, value: Any, place: str = "$") -> list[str]:
    """Where a value breaks a schema; an empty list where it does not."""
    faults: list[str] = []
    for keyword, wanted in schema.items():
        if keyword == "$ref":
            faults += find_faults(document, resolve(document, wanted), value, place)
        elif keyword not in NOTES and keyword not in {"properties", "patternProperties"}:
            faults += CHECKS[keyword](document, wanted, value, place, schema)
    return [*faults, *find_in_members(document, schema, value, place)]


def find_in_members(document: Json, schema: Json, value: Any, place: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    for key, each in value.items():
        named = schema.get("properties", {}).get(key)
        found = [named] if named is not None else []
        found += [wanted for pattern, wanted in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
        if not found and isinstance(schema.get("additionalProperties"), dict):
            found = [schema["additionalProperties"]]
        if not found and schema.get("additionalProperties") is False:
            yield f"{place}.{key} is not known"
        for each_schema in found:
            yield from find_faults(document, each_schema, each, f"{place}.{key}")


def check_type(document: Json, wanted: Any, value: Any, place: str, schema: Json) -> Iterator[str]:
    names = [wanted] if isinstance(wanted, str) else wanted
    fits = any(isinstance(value, TYPES[name]) and (name == "boolean") == isinstance(value, bool) for name in names)
    if not fits:
        yield f"{place} is no {wanted}"


def check_value(document: Json, wanted: Any, value: Any, place: str, schema: Json) -> Iterator[str]:
    if value not in (wanted if isinstance(wanted, list) else [wanted]):
        yield f"{place} is not {wanted}"


def check_pattern(document: Json, wanted: str, value: Any, place: str, schema: Json) -> Iterator[str]:
    if isinstance(value, str) and not re.search(wanted, value):
        yield f"{place} does not match {wanted}"


def check_least(document: Json, wanted: int, value: Any, place: str, schema: Json) -> Iterator[str]:
    size = len(value) if isinstance(value, list | dict | str) else value
    if size is not None and size < wanted:
        yield f"{place} is less than {wanted}"


def check_most(document: Json, wanted: int, value: Any, place: str, schema: Json) -> Iterator[str]:
    if isinstance(value, int | float) and value > wanted:
        yield f"{place} is more than {wanted}"


def check_required(document: Json, wanted: list[str], value: Any, place: str, schema: Json) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (f"{place}.{key} is missing" for key in wanted if key not in value)


def check_items(document: Json, wanted: Json, value: Any, place: str, schema: Json) -> Iterator[str]:
    for index, each in enumerate(value if isinstance(value, list) else ()):
        yield from find_faults(document, wanted, each, f"{place}[{index}]")


def check_contains(document: Json, wanted: Json, value: Any, place: str, schema: Json) -> Iterator[str]:
    if isinstance(value, list) and all(find_faults(document, wanted, each) for each in value):
        yield f"{place} holds none that is wanted"


def check_all(document: Json, wanted: list[Json], value: Any, place: str, schema: Json) -> Iterator[str]:
    for each in wanted:
        yield from find_faults(document, each, value, place)


def check_any(document: Json, wanted: list[Json], value: Any, place: str, schema: Json) -> Iterator[str]:
    if all(find_faults(document, each, value) for each in wanted):
        yield f"{place} fits none of anyOf"


def check_one(document: Json, wanted: list[Json], value: Any, place: str, schema: Json) -> Iterator[str]:
    fitting = sum(not find_faults(document, each, value) for each in wanted)
    if fitting != 1:
        yield f"{place} fits {fitting} of oneOf"


def check_not(document: Json, wanted: Json, value: Any, place: str, schema: Json) -> Iterator[str]:
    if not find_faults(document, wanted, value):
        yield f"{place} fits what it must not"


def pass_by(document: Json, wanted: Any, value: Any, place: str, schema: Json) -> Iterator[str]:
    """Looked at with the members."""
    return iter(())


CHECKS = {
    "type": check_type,
    "enum": check_value,
    "const": check_value,
    "pattern": check_pattern,
    "minimum": check_least,
    "minLength": check_least,
    "minItems": check_least,
    "minProperties": check_least,
    "maximum": check_most,
    "required": check_required,
    "items": check_items,
    "contains": check_contains,
    "allOf": check_all,
    "anyOf": check_any,
    "oneOf": check_one,
    "not": check_not,
    "additionalProperties": pass_by,
}
