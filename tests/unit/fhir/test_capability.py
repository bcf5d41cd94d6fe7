"""The CapabilityStatement: valid, and the same as the registry."""

from typing import Any

import pytest

from app.fhir.capability import OAUTH_URIS, capability_statement
from app.fhir.registry import TYPES
from app.fhir.validation import validate

BASE = "https://refer.example.org/fhir"


@pytest.fixture(scope="module")
def statement() -> dict[str, Any]:
    return capability_statement(BASE, "0.1.0")


def test_it_is_valid(statement: dict[str, Any]) -> None:
    assert validate(statement) == []


def test_it_says_what_it_is(statement: dict[str, Any]) -> None:
    assert (statement["kind"], statement["fhirVersion"], statement["format"]) == ("instance", "4.0.1", ["json"])
    assert statement["software"] == {"name": "Warm Handoff", "version": "0.1.0"}
    assert statement["implementation"]["url"] == BASE


def test_date_stays(statement: dict[str, Any]) -> None:
    assert capability_statement(BASE, "0.1.0") == statement
    assert capability_statement(BASE, "9.9.9")["date"] == statement["date"]


def test_every_type_has_its_interactions_and_searches(statement: dict[str, Any]) -> None:
    described = {each["type"]: each for each in statement["rest"][0]["resource"]}
    assert described.keys() == TYPES.keys()
    for name, kept in TYPES.items():
        line = described[name]
        assert {each["code"] for each in line["interaction"]} == kept.interactions
        common = ["_id", "_lastUpdated", *([] if kept.rendered else ["_tag", "_security", "_profile"])]
        assert [each["name"] for each in line["searchParam"]] == [*common, *(p.code for p in kept.search)]
        assert line.get("searchInclude", []) == [f"{name}:{code}" for code in kept.includes]
        versioning = "versioned-update" if kept.versioned_update else "versioned"
        assert line["versioning"] == ("no-version" if kept.rendered else versioning)
        deletes = "not-supported" if kept.rendered else "single"
        assert (line["updateCreate"], line["conditionalDelete"]) == (False, deletes)


def test_system_interactions(statement: dict[str, Any]) -> None:
    codes = {each["code"] for each in statement["rest"][0]["interaction"]}
    assert codes == {"transaction", "batch", "history-system"}


@pytest.mark.parametrize(
    ("base", "token"),
    [
        (BASE, "https://refer.example.org/oauth/token"),
        ("http://localhost:8000/fhir/", "http://localhost:8000/oauth/token"),
        ("https://example.org/a/fhir", "https://example.org/a/oauth/token"),
    ],
)
def test_token_address(base: str, token: str) -> None:
    security = capability_statement(base, "0.1.0")["rest"][0]["security"]
    assert security["extension"] == [{"url": OAUTH_URIS, "extension": [{"url": "token", "valueUri": token}]}]
    assert security["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
