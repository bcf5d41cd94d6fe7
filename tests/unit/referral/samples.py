"""Resources of a referral, and a guard that a rule changes none of what it is given."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeVar

from app.core.errors import Issue

Resource = dict[str, Any]
Result = TypeVar("Result")

LABEL = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}]}


def task(status: str = "requested", **more: Any) -> Resource:
    return {
        "resourceType": "Task",
        "id": "t1",
        "status": status,
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": "ServiceRequest/s1"},
        "for": {"reference": "Patient/p1"},
        "authoredOn": "2026-11-24T02:00:00Z",
        "requester": {"reference": "Organization/hospital"},
        "owner": {"reference": "Organization/ngo"},
        **more,
    }


def unassigned(status: str = "requested", **more: Any) -> Resource:
    return {name: value for name, value in task(status, **more).items() if name != "owner"}


def patient_task(status: str = "ready", **more: Any) -> Resource:
    return task(status, owner={"reference": "Patient/p1"}, **more)


def service_request(status: str = "active", **more: Any) -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "id": "s1",
        "status": status,
        "intent": "order",
        "subject": {"reference": "Patient/p1"},
        "requester": {"reference": "Organization/hospital"},
        "performer": [{"reference": "Organization/ngo"}],
        **more,
    }


def care_plan(*named: str, **more: Any) -> Resource:
    return {
        "resourceType": "CarePlan",
        "id": "c1",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/p1"},
        "activity": [{"reference": {"reference": each}} for each in named],
        **more,
    }


def output(literal: str) -> Resource:
    return {"type": {"text": "Resulting activity"}, "valueReference": {"reference": literal}}


def untouched(rule: Callable[..., Result], *given: Any, **named: Any) -> Result:
    """The answer of a rule, after a look whether what it was given is as before."""
    copies = deepcopy((given, named))
    answer = rule(*given, **named)
    assert (given, named) == copies
    return answer


def errors(issues: list[Issue]) -> list[str]:
    """The expressions of the errors; each is a broken rule of the referral."""
    found = [issue for issue in issues if issue.severity == "error"]
    assert {issue.code for issue in found} <= {"business-rule"}
    return [expression for issue in found for expression in issue.expression]


def warnings(issues: list[Issue]) -> list[str]:
    return [expression for issue in issues if issue.severity == "warning" for expression in issue.expression]
