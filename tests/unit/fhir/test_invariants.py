"""The table of invariants: complete, and each one refuses what it should."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.fhir.invariants import ELSEWHERE, INVARIANTS, find_invariant
from app.fhir.moments import is_after
from app.fhir.registry import TYPES, load_definition
from app.fhir.second_opinion import SHELLS
from app.fhir.validation import validate
from tests.unit.fhir.samples import Resource

STRUCTURES = load_definition("structures")
CASES: list[Resource] = json.loads(Path(__file__).with_name("invariant_cases.json").read_text("utf-8"))
"""For each key a valid resource, one that breaks it, and where."""

FIRST: Resource = {"fullUrl": "urn:a", "resource": {"resourceType": "Patient"}}

PROFILES = (
    *(f"sdf-{name}" for name in (1, 2, 3, 4, 5, 6, 8, "8a", "8b", 9, 10, 11, 14, 15, "15a", *range(16, 24))),
    *(f"eld-{name}" for name in (*range(1, 9), *range(11, 20), 22)),
)

NOT_IMPLEMENTED: dict[str, str] = {
    "ctm-1": "asks what a member resolves to, and holds where that cannot be said",
    **dict.fromkeys(PROFILES, "a StructureDefinition is only kept until profiles are checked, by a later issue"),
}
"""Invariants of kept types without a function, each with the reason."""


def list_reachable() -> set[str]:
    """The types that a kept type or a shell can hold."""
    reached: set[str] = set()
    waiting = [*TYPES, *SHELLS]
    while waiting:
        name = waiting.pop()
        if name in STRUCTURES and name not in reached:
            reached.add(name)
            waiting += [facts["type"] for facts in STRUCTURES[name]["elements"].values()]
    return reached


def list_stated() -> list[tuple[str, str]]:
    """(key, element) of every invariant stated on what can be reached."""
    stated = []
    for name in sorted(list_reachable()):
        stated += [(key, name) for key in STRUCTURES[name].get("invariants", ())]
        for element, facts in STRUCTURES[name]["elements"].items():
            stated += [(key, f"{name}.{element}") for key in facts.get("invariants", ())]
    return stated


@pytest.mark.parametrize(("key", "element"), list_stated())
def test_every_stated_invariant_is_checked(key: str, element: str) -> None:
    assert find_invariant(key, element) or key in ELSEWHERE or key in NOT_IMPLEMENTED


def test_nothing_is_checked_that_is_not_stated() -> None:
    stated = {key for key, _ in list_stated()}
    assert {each.key for each in INVARIANTS.values()} <= stated


def bundle(kind: str, *entries: Resource, **elements: Any) -> Resource:
    """A Bundle."""
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries), **elements}


@pytest.mark.parametrize("case", CASES, ids=[f"{number}-{case['key']}" for number, case in enumerate(CASES)])
def test_invariant(case: Resource) -> None:
    assert validate(case["good"]) == []
    broken = [issue for issue in validate(case["bad"]) if issue.diagnostics.startswith(f"{case['key']}: ")]
    expected = [("error", "invariant", (case["place"],))]
    assert [(issue.severity, issue.code, issue.expression) for issue in broken] == expected


@pytest.mark.parametrize("key", ["bdl-9", "bdl-10"])
def test_document(key: str) -> None:
    composition = {"fullUrl": "urn:c", "resource": {"resourceType": "Composition"}}
    identifier = {"system": "urn:x", "value": "1"}
    good = bundle("document", composition, identifier=identifier, timestamp="2024-01-01T00:00:00Z")
    assert validate(good) == []
    assert key in str(validate(bundle("document", composition)))


@pytest.mark.parametrize(("key", "kind"), [("bdl-11", "document"), ("bdl-12", "message")])
def test_first_resource(key: str, kind: str) -> None:
    assert key in str(validate(bundle(kind, FIRST)))
    header = {"fullUrl": "urn:m", "resource": {"resourceType": "MessageHeader"}}
    assert validate(bundle("message", header)) == []


def test_every_invariant_has_a_case() -> None:
    tested = {case["key"] for case in CASES} | {"bdl-9", "bdl-10", "bdl-11", "bdl-12"}
    assert {each.key for each in INVARIANTS.values()} == tested


@pytest.mark.parametrize(
    ("first", "second", "after"),
    [
        ("2024", "2023", True),
        ("2024", "2024-01", False),
        ("2024-02", "2024-01-31", True),
        ("2024-01-01T00:00:00Z", "2024-01-01T01:00:00+02:00", True),
        ("2024-01-01T00:00:00+02:00", "2024-01-01T00:00:00Z", False),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", False),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59.9Z", True),
        ("2024-01-01T00:00:00.10Z", "2024-01-01T00:00:00.1Z", False),
        ("2024-01-01T00:00:00.1234567891Z", "2024-01-01T00:00:00.123456789Z", True),
        ("2024-01-01T00:00:00Z", "2024-01-01", False),
        ("0001-01-01T00:00:00+14:00", "0001", False),
        ("9999-12-31T23:00:00-14:00", "9999", False),
        ("2024-13-45T99:99:99Z", "2023", True),
        ("x", "2024", False),
        ("", "", False),
    ],
)
def test_is_after(first: str, second: str, after: bool) -> None:
    assert is_after(first, second) is after
