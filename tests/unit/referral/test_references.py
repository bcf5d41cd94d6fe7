"""What a referral shares, where it hangs, and who did what the server did."""

from typing import Any

import pytest

from app.fhir.validation import validate
from app.referral.package import PERTAINS_TO_GOAL, onward_references, package_references
from app.referral.provenance import provenance_of_change
from app.referral.root import root_references
from tests.unit.referral.samples import care_plan, service_request, task, untouched


def ref(literal: str) -> dict[str, Any]:
    return {"reference": literal}


def test_the_package() -> None:
    shared = task(
        basedOn=[ref("ServiceRequest/s0")],
        partOf=[ref("Task/t0")],
        encounter=ref("Encounter/e"),
        input=[
            {"type": {"text": "x"}, "valueReference": ref("QuestionnaireResponse/q")},
            {"type": {"text": "x"}, "valueString": "Patient/p2"},
        ],
        output=[{"type": {"text": "x"}, "valueReference": ref("Procedure/r")}],
    )
    request = service_request(
        supportingInfo=[ref("Consent/c"), {"identifier": {"value": "1"}}],
        reasonReference=[ref("Condition/d")],
        insurance=[ref("Coverage/v")],
        basedOn=[ref("ServiceRequest/s0")],
        encounter=ref("Encounter/e"),
        extension=[
            {"url": PERTAINS_TO_GOAL, "valueReference": ref("Goal/g")},
            {"url": "http://example.org", "valueReference": ref("Goal/h")},
        ],
    )
    from_task = ["ServiceRequest/s1", "Patient/p1", "ServiceRequest/s0", "QuestionnaireResponse/q"]
    assert untouched(package_references, shared, None) == from_task
    assert untouched(package_references, shared, request) == [
        *from_task,
        "Consent/c",
        "Condition/d",
        "Coverage/v",
        "Goal/g",
    ]
    assert package_references({"resourceType": "Task"}, {"resourceType": "ServiceRequest"}) == []


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            {
                "resourceType": "DocumentReference",
                "content": [
                    {"attachment": {"url": "Binary/b"}},
                    {"attachment": {"url": "https://hub.example/fhir/Binary/c"}},
                    {"attachment": {"url": "Patient/p2"}},
                    {"attachment": {"url": "https://files.example/leaflet.pdf"}},
                    {"attachment": {"title": "x"}},
                    {},
                ],
                "subject": ref("Patient/p2"),
            },
            ["Binary/b", "https://hub.example/fhir/Binary/c"],
        ),
        ({"resourceType": "Consent", "sourceReference": ref("DocumentReference/d")}, ["DocumentReference/d"]),
        ({"resourceType": "Consent", "sourceReference": ref("Consent/other"), "patient": ref("Patient/p2")}, []),
        ({"resourceType": "Consent", "sourceAttachment": {"url": "Binary/b"}}, []),
        ({"resourceType": "Condition", "subject": ref("Patient/p2")}, []),
        ({}, []),
    ],
)
def test_what_comes_along(resource: dict[str, Any], expected: list[str]) -> None:
    assert untouched(onward_references, resource) == expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            task(partOf=[ref("Task/t0")], basedOn=[ref("CarePlan/c")]),
            ["ServiceRequest/s1", "CarePlan/c", "Task/t0"],
        ),
        (
            service_request(basedOn=[ref("ServiceRequest/s0")], replaces=[ref("ServiceRequest/x")]),
            ["ServiceRequest/s0"],
        ),
        (service_request(), []),
        (
            care_plan("ServiceRequest/s1", "Task/t1", basedOn=[ref("CarePlan/c0")], partOf=[ref("CarePlan/x")]),
            ["ServiceRequest/s1", "Task/t1", "CarePlan/c0"],
        ),
        (care_plan(activity=[{"detail": {"status": "scheduled"}}, {"reference": {"display": "x"}}]), []),
        ({"resourceType": "Patient", "generalPractitioner": [ref("Organization/o")]}, []),
        ({"resourceType": "Procedure", "basedOn": [ref("ServiceRequest/s1")]}, []),
        ({}, []),
    ],
)
def test_towards_the_root(resource: dict[str, Any], expected: list[str]) -> None:
    assert untouched(root_references, resource) == expected


@pytest.mark.parametrize("activity", ["CREATE", "UPDATE"])
def test_provenance(activity: str) -> None:
    found = provenance_of_change(
        targets=["ServiceRequest/s1/_history/2"],
        recorded="2026-11-24T02:00:00.000Z",
        activity_code=activity,
        agent_organization="Organization/ngo",
        reason="Its Tasks have ended: completed",
    )
    assert validate(found) == []
    assert found["target"] == [ref("ServiceRequest/s1/_history/2")]
    assert found["activity"]["coding"][0]["code"] == activity
    [agent] = found["agent"]
    assert agent["type"]["coding"][0]["code"] == "assembler"
    assert agent["onBehalfOf"] == ref("Organization/ngo")
    assert found["reason"] == [{"text": "Its Tasks have ended: completed"}]
