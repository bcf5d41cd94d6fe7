"""Small valid resources that tests break in one place."""

from copy import deepcopy
from typing import Any

Resource = dict[str, Any]
XHTML = "http://www.w3.org/1999/xhtml"

_TASK: Resource = {
    "resourceType": "Task",
    "id": "t1",
    "meta": {"profile": ["http://example.org/profile|1.0"]},
    "text": {"status": "generated", "div": f'<div xmlns="{XHTML}"><p>Food for a family</p></div>'},
    "status": "requested",
    "_status": {"id": "s1"},
    "intent": "order",
    "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
    "focus": {"reference": "ServiceRequest/s1"},
    "for": {"reference": "Patient/p1"},
    "authoredOn": "2024-02-29T10:00:00+01:00",
    "lastModified": "2024-02-29T09:30:00Z",
    "requester": {"reference": "Organization/o1"},
    "input": [
        {"type": {"text": "note"}, "valueString": "by bus"},
        {"type": {"text": "when"}, "valueTiming": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}}},
    ],
}


def task(**changes: Any) -> Resource:
    """A Task with some elements replaced; those given as ``...`` are left out."""
    return change(_TASK, **changes)


def change(resource: Resource, **changes: Any) -> Resource:
    """A copy of a resource with some elements replaced; those given as ``...`` are left out."""
    merged = {**deepcopy(resource), **changes}
    return {key: value for key, value in merged.items() if value is not ...}


def observation(**changes: Any) -> Resource:
    """An Observation."""
    base = {"resourceType": "Observation", "status": "final", "code": {"text": "food security"}}
    return change(base, **changes)


def patient(**changes: Any) -> Resource:
    """A Patient."""
    return change({"resourceType": "Patient"}, **changes)


def nest(levels: int) -> Resource:
    """An extension within an extension within an extension."""
    extension: Resource = {"url": "http://example.org/x", "valueString": "end"}
    for _ in range(levels):
        extension = {"url": "http://example.org/x", "extension": [extension]}
    return extension
