"""Which part of a resource an answer holds."""

from typing import Any

import pytest

from app.core.errors import HandoffError, Invalid, Unsupported
from app.fhir.json_text import dump, parse
from app.fhir.registry import TYPES
from app.fhir.shapes import SHAPES
from app.fhir.subset import SUBSETTED, Subset, parse_elements, read_subset, select_elements, subset_text

TEXT = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
QUESTIONNAIRE: dict[str, Any] = {
    "resourceType": "Questionnaire",
    "id": "q",
    "meta": {"versionId": "1", "tag": [{"system": "urn:x", "code": "kept"}]},
    "text": TEXT,
    "extension": [{"url": "urn:x", "valueString": "x"}],
    "modifierExtension": [{"url": "urn:x", "valueString": "x"}],
    "title": "T",
    "_title": {"id": "t"},
    "status": "active",
    "description": "D",
    "item": [{"linkId": "1", "type": "string", "text": "x"}],
}


def keys(mode: Any, elements: str = "") -> set[str]:
    subset = parse_elements("Questionnaire", elements) if elements else Subset(mode)
    return set(select_elements(QUESTIONNAIRE, subset)) - {"resourceType", "id", "meta", "modifierExtension"}


def test_which_elements_are_kept() -> None:
    """R4 search, Summary and Elements: the mandatory ones always."""
    assert keys("true") == {"title", "_title", "status"}
    assert keys("text") == {"text", "status"}
    assert keys("data") == {"extension", "title", "_title", "status", "description", "item"}
    assert keys("elements", "description") == {"description", "status"}
    assert keys("elements", "title,item") == {"title", "_title", "item", "status"}


def test_a_backbone_is_summarised_in_turn_and_a_datatype_is_whole() -> None:
    quantity = {"value": 1, "unit": "mg", "extension": [{"url": "urn:x", "valueString": "x"}]}
    part = {"id": "c", "code": {"text": "y"}, "valueQuantity": quantity}
    component = {**part, "dataAbsentReason": {"text": "z"}}
    observation = {"resourceType": "Observation", "status": "final", "code": {}, "note": [], "component": [component]}
    told = select_elements(observation, Subset("true"))
    assert told["component"] == [part]
    assert "note" not in told


def test_a_choice_is_named_with_or_without_its_type() -> None:
    observation = {"resourceType": "Observation", "status": "final", "code": {}, "valueString": "x", "issued": "y"}
    for name in ("value", "valueString"):
        assert "valueString" in select_elements(observation, parse_elements("Observation", name))
        assert "issued" not in select_elements(observation, parse_elements("Observation", name))


def test_the_tag() -> None:
    told = select_elements(QUESTIONNAIRE, Subset("data"))
    assert told["meta"] == {"versionId": "1", "tag": [{"system": "urn:x", "code": "kept"}, SUBSETTED]}
    assert select_elements(told, Subset("data"))["meta"] == told["meta"]
    assert "tag" in QUESTIONNAIRE["meta"]
    assert len(QUESTIONNAIRE["meta"]["tag"]) == 1


def test_digits_and_order_stay() -> None:
    text = '{"resourceType":"Observation","valueQuantity":{"value":1.10},"status":"final","note":[]}'
    told = subset_text(text, parse_elements("Observation", "value"))
    assert told.startswith('{"resourceType":"Observation","valueQuantity":{"value":1.10},"status":"final","meta":')
    assert subset_text(text, None) is text


@pytest.mark.parametrize("name", TYPES)
def test_every_type_has_a_summary_with_its_mandatory_elements(name: str) -> None:
    resource: dict[str, Any] = {"resourceType": name, **{key: "x" for key in SHAPES[name].elements if key != "meta"}}
    resource = {key: {} if key in SHAPES[name].elements and "." in SHAPES[name].elements[key].type else value
                for key, value in resource.items()}  # fmt: skip
    told = select_elements(resource, Subset("true"))
    for _, choices in SHAPES[name].required:
        assert told.keys() & choices
    assert "text" not in told
    assert parse(dump(told).encode())["meta"]["tag"] == [SUBSETTED]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ([("_summary", "count")], Invalid),
        ([("_summary", "maybe")], Invalid),
        ([("_summary", "true"), ("_elements", "title")], Invalid),
        ([("_elements", "colour")], Unsupported),
        ([("_elements", "")], Unsupported),
        ([("_since", "2020")], Unsupported),
    ],
)
def test_what_a_read_refuses(query: list[tuple[str, str]], error: type[HandoffError]) -> None:
    with pytest.raises(error):
        read_subset("Questionnaire", query)


def test_what_a_read_takes() -> None:
    assert read_subset("Questionnaire", [("_format", "json"), ("_summary", "false")]) is None
    assert read_subset("Questionnaire", [("_summary", "text")]) == Subset("text")
