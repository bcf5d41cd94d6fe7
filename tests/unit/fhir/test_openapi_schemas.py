"""The schemas of the OpenAPI document say of a body what the server says of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from app.fhir.grammar import GRAMMARS
from app.fhir.openapi_examples import new_example
from app.fhir.openapi_primitives import PRIMITIVES
from app.fhir.openapi_schemas import build_schemas
from app.fhir.registry import load_definition
from app.fhir.shapes import SHAPES
from tests.json_schema import CHECKS, NOTES, find_errors, find_faults, resolve

Json = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Json:
    """As much of the document as its schemas refer to."""
    return {"components": {"schemas": build_schemas()}}


def test_schemas_use_what_the_checker_knows(document: Json) -> None:
    """The checker of the tests would pass over any other keyword in silence."""
    known = {*CHECKS, *NOTES, "$ref", "properties", "patternProperties"}
    for name, schema in document["components"]["schemas"].items():
        for each in walk_schemas(schema):
            assert each.keys() <= known, name


def walk_schemas(schema: Json) -> Iterator[Json]:
    yield schema
    for keyword, value in schema.items():
        if keyword in ("properties", "patternProperties"):
            for each in value.values():
                yield from walk_schemas(each)
        elif keyword in ("allOf", "anyOf", "oneOf"):
            for each in value:
                yield from walk_schemas(each)
        elif keyword in ("items", "not", "contains", "additionalProperties") and isinstance(value, dict):
            yield from walk_schemas(value)


def test_every_enum_is_its_value_set(document: Json) -> None:
    schemas = document["components"]["schemas"]
    value_sets = load_definition("value_sets")
    found = 0
    for name, schema in schemas.items():
        for key, facts in (SHAPES[name].elements if name in SHAPES else {}).items():
            if facts.binding is None or facts.kind != "primitive":
                continue
            shown = schema["properties"][key]
            shown = shown["items"] if facts.many else shown
            shown = next((each for each in shown.get("anyOf", ()) if "$ref" in each), shown)
            listed = value_sets[facts.binding.url]
            assert set(resolve(document, shown["$ref"])["enum"]) == {
                code for codes in listed.values() for code in codes
            }
            found += 1
    assert found > 30


PRIMITIVE_CASES: dict[str, list[Any]] = {
    "date": ["2026", "2026-01", "2026-01-05", "0000", "2026-13", "2026-1-5", "", "2026-01-05T00:00:00Z"],
    "dateTime": ["2026", "2026-01-05T09:00:00+07:00", "2026-01-05T09:00", "2026-01-05T09:00:60Z", "2026-01T09:00:00Z"],
    "instant": ["2026-01-05T09:00:00.123Z", "2026-01-05", "2026-01-05T09:00:00", "2026-01-05T24:00:00Z"],
    "time": ["09:00:00", "9:00:00", "09:00", "23:59:59.5"],
    "id": ["a", "a" * 64, "a" * 65, "", "a_b"],
    "code": ["a", "a b", " a", "a  b", "a ", ""],
    "uri": ["urn:x", "a b", ""],
    "oid": ["urn:oid:1.2.3", "1.2.3", "urn:oid:3.1"],
    "uuid": ["urn:uuid:6f9f2c1e-0000-4000-8000-000000000001", "urn:uuid:6F9F2C1E-0000-4000-8000-000000000001"],
    "string": ["a", "Nguyễn", "", "\x00", "a\nb", " "],
    "integer": [0, -1, 2**31, 2**31 - 1, True, "1"],
    "positiveInt": [0, 1, -1],
    "unsignedInt": [0, 1, -1],
    "boolean": [True, "true", 1],
    "decimal": [1, "1", True],
}


@pytest.mark.parametrize("name", PRIMITIVE_CASES)
def test_primitives_are_as_the_server_reads_them(name: str, document: Json) -> None:
    for value in PRIMITIVE_CASES[name]:
        taken = GRAMMARS[name](value) is None
        assert (find_faults(document, PRIMITIVES[name], value) == []) == taken, value


def test_every_primitive_has_a_schema() -> None:
    assert {*GRAMMARS, "xhtml"} == PRIMITIVES.keys()


TASK = new_example("Task")
WRONG: list[Json] = [
    {**TASK, "status": "done"},
    {**TASK, "fhir_comments": ["x"]},
    {**TASK, "_owner": {"id": "a"}},
    {**TASK, "note": []},
    {**TASK, "authoredOn": "yesterday"},
    {**TASK, "input": [{"type": {"text": "a"}}]},
    {**TASK, "input": [{"type": {"text": "a"}, "valueString": "a", "valueBoolean": True}]},
    {**TASK, "extension": [{"url": "urn:x"}]},
    {**TASK, "extension": [{"url": "urn:x", "valueString": "a", "extension": [{"url": "urn:y", "valueString": "b"}]}]},
    {key: value for key, value in TASK.items() if key != "intent"},
]
RIGHT: list[Json] = [
    TASK,
    {**TASK, "_status": {"id": "s"}},
    {
        **{key: value for key, value in TASK.items() if key != "status"},
        "_status": {"extension": [{"url": "urn:x", "valueCode": "unknown"}]},
    },
    {**TASK, "input": [{"type": {"text": "a"}, "_valueString": {"extension": [{"url": "urn:x", "valueCode": "b"}]}}]},
    {**TASK, "contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "a"}}], "focus": {"reference": "#b"}},
]


def test_schemas_are_true(document: Json) -> None:
    schema = {"$ref": "#/components/schemas/Task"}
    for body in WRONG:
        assert find_faults(document, schema, body), body
        assert find_errors(body), body
    for body in RIGHT:
        assert find_faults(document, schema, body) == []
        assert find_errors(body) == []


def test_a_required_concept_is_of_its_value_set(document: Json) -> None:
    schema = {"$ref": "#/components/schemas/Condition"}
    condition = new_example("Condition")
    assert find_faults(document, schema, condition) == []
    elsewhere = {"coding": [{"system": "urn:x", "code": "active"}]}
    assert find_faults(document, schema, {**condition, "clinicalStatus": elsewhere})
    untold = {"extension": [{"url": "urn:x", "valueCode": "unknown"}]}
    assert find_faults(document, schema, {**condition, "clinicalStatus": untold}) == []
