"""Examples of every kept type and of the Bundles around them, for the OpenAPI document; all invented."""

from functools import cache
from typing import Any

from app.fhir.registry import RESOURCE_NAMES, TYPES, load_definition
from app.fhir.shapes import SHAPES, Element, Shape

Json = dict[str, Any]

STAMP = "2026-01-05T02:00:00.000Z"
EXAMPLE_ID = "example"
_DEEPEST = 8
_VALUES: Json = {
    "boolean": True,
    "decimal": 1,
    "integer": 1,
    "positiveInt": 1,
    "unsignedInt": 1,
    "base64Binary": "V2FybQ==",
    "uri": "urn:example:warm-handoff",
    "url": "https://ehr.example.org",
    "canonical": "urn:example:warm-handoff",
    "oid": "urn:oid:1.2.3",
    "uuid": "urn:uuid:6f9f2c1e-0000-4000-8000-000000000001",
    "date": "2026-01-05",
    "dateTime": "2026-01-05",
    "instant": STAMP,
    "time": "09:00:00",
}


@cache
def _load_lines() -> dict[str, Json]:
    lines: dict[str, Json] = load_definition("documentation")
    return lines


def tell_meaning(name: str) -> str:
    """One line on what a type is for."""
    line = _load_lines().get(name)
    return str(line["meaning"]) if line else f"The resource type {name} of FHIR R4."


def new_example(name: str) -> Json:
    """A resource as a client would send it: the one written by hand, else the least that the type requires."""
    line = _load_lines().get(name)
    return dict(line["example"]) if line else _fill(SHAPES[name], 0)


def stored_example(name: str) -> Json:
    """The same as the server would answer it."""
    new = new_example(name)
    head = {"resourceType": name, "id": EXAMPLE_ID, "meta": {"versionId": "1", "lastUpdated": STAMP}}
    return {**head, **{key: value for key, value in new.items() if key not in head}}


def _fill(shape: Shape, depth: int) -> Json:
    filled: Json = {"resourceType": shape.name} if shape.name in RESOURCE_NAMES else {}
    for name, _ in shape.required:
        element = next(each for each in shape.elements.values() if each.name == name)
        value = _fill_element(element, depth)
        filled[element.key] = [value] if element.many else value
    if not filled:
        told = next(each for each in shape.elements.values() if each.type == "string" and each.key != "id")
        filled[told.key] = ["Example"] if told.many else "Example"
    return filled


def _fill_element(element: Element, depth: int) -> Any:
    if element.binding is not None:
        system, code = min(element.binding.concepts)
        coding = {"system": system, "code": code}
        return {"CodeableConcept": {"coding": [coding]}, "Coding": coding}.get(element.type, code)
    if element.kind == "primitive":
        return _VALUES.get(element.type, EXAMPLE_ID)
    if element.kind == "complex" and depth < _DEEPEST:
        return _fill(SHAPES[element.type], depth + 1)
    return {"resourceType": "Basic", "code": {"text": "Example"}}


def searchset_example(name: str, base: str) -> Json:
    """What a search of a type is answered with."""
    entry = {"fullUrl": f"{base}/{name}/{EXAMPLE_ID}", "resource": stored_example(name), "search": {"mode": "match"}}
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "link": [{"relation": "self", "url": f"{base}/{name}?_count=20"}],
        "entry": [entry],
    }


def history_example(name: str, base: str) -> Json:
    """What a history is answered with."""
    entry = {
        "fullUrl": f"{base}/{name}/{EXAMPLE_ID}",
        "resource": stored_example(name),
        "request": {"method": "POST", "url": name},
        "response": {"status": "201 Created", "etag": 'W/"1"', "lastModified": STAMP},
    }
    link = {"relation": "self", "url": f"{base}/{name}/_history"}
    return {"resourceType": "Bundle", "type": "history", "link": [link], "entry": [entry]}


def transaction_example() -> Json:
    """A referral in one transaction: Patient, ServiceRequest and Task, referring to each other by URN."""
    urns = {
        name: f"urn:uuid:6f9f2c1e-0000-4000-8000-00000000000{place}"
        for place, name in enumerate(("Patient", "ServiceRequest", "Task"), 1)
    }
    patient = {"reference": urns["Patient"]}
    bodies = {
        "Patient": new_example("Patient"),
        "ServiceRequest": {**new_example("ServiceRequest"), "subject": patient},
        "Task": {**new_example("Task"), "for": patient, "focus": {"reference": urns["ServiceRequest"]}},
    }
    entries = [
        {"fullUrl": urns[name], "resource": body, "request": {"method": "POST", "url": name}}
        for name, body in bodies.items()
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def batch_example() -> Json:
    """Two questions in one batch."""
    urls = ("Task?status=requested&_count=20", f"Patient/{EXAMPLE_ID}")
    entries = [{"request": {"method": "GET", "url": url}} for url in urls]
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


def transaction_answer_example() -> Json:
    """What the transaction is answered with."""
    entries = [
        {
            "response": {
                "status": "201 Created",
                "location": f"{name}/{EXAMPLE_ID}/_history/1",
                "etag": 'W/"1"',
                "lastModified": STAMP,
            }
        }
        for name in ("Patient", "ServiceRequest", "Task")
    ]
    return {"resourceType": "Bundle", "type": "transaction-response", "entry": entries}


def outcome_example(code: str, diagnostics: str, expression: str | None = None) -> Json:
    """An error as it is answered."""
    issue: Json = {"severity": "error", "code": code, "diagnostics": diagnostics}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def search_form_example(name: str) -> dict[str, str]:
    """A search of a type by a posted form."""
    for each in TYPES[name].search:
        if each.kind == "token" and each.code == "status":
            return {"status": str(new_example(name).get("status", "active")), "_count": "20"}
    return {"_count": "20"}
