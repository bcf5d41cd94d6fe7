"""Small resources and Bundles for the tests of the interactions, and what an error must look like."""

from typing import Any

import httpx

from tests.api import Caller, Resource

CODE = {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]}
SYSTEM = "http://hospital.example/mrn"


def patient(value: str | None = None, **more: Any) -> Resource:
    """A Patient, with an identifier if a value is given."""
    found = {"resourceType": "Patient", "name": [{"family": "Nguyễn", "given": ["An"]}], **more}
    return {**found, "identifier": [{"system": SYSTEM, "value": value}]} if value else found


def service_request(subject: str, **more: Any) -> Resource:
    return {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": subject},
        "code": {"text": "Meals"},
        **more,
    }


def task(subject: str, focus: str, **more: Any) -> Resource:
    """A Task from the hospital to the ngo."""
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": CODE,
        "focus": {"reference": focus},
        "for": {"reference": subject},
        "requester": {"reference": "Organization/hospital"},
        "owner": {"reference": "Organization/ngo"},
        **more,
    }


def entry(method: str, url: str, resource: Any = None, full_url: str | None = None, **request: str) -> Resource:
    """One entry of a batch or transaction."""
    made: Resource = {"fullUrl": full_url} if full_url else {}
    if resource is not None:
        made["resource"] = resource
    return {**made, "request": {"method": method, "url": url, **request}}


def bundle(kind: str, *entries: Any) -> Resource:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def refused(answer: httpx.Response, status: int, code: str | None = None) -> Resource:
    """The first issue of an error, which must be an OperationOutcome with this status."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/fhir+json"
    outcome = answer.json()
    assert outcome["resourceType"] == "OperationOutcome"
    for issue in outcome["issue"]:
        assert issue["severity"] in ("fatal", "error", "warning", "information")
        assert issue["diagnostics"]
    issue = outcome["issue"][0]
    assert issue["severity"] == "error"
    if code:
        assert issue["code"] == code
    found: Resource = issue
    return found


async def run_bundle(caller: Caller, kind: str, *entries: Any, **headers: str) -> list[Resource]:
    """The entries of the answer to a Bundle that must be taken."""
    answer = await caller.send("POST", "", bundle(kind, *entries), **headers)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["type"] == f"{kind}-response"
    found: list[Resource] = body["entry"]
    assert len(found) == len(entries)
    return found


async def refer(hospital: Caller, **more: Any) -> tuple[str, str, str]:
    """A referral from the hospital to the ngo: the references of Patient, ServiceRequest and Task."""
    who = reference(await hospital.create(patient()))
    asked = reference(await hospital.create(service_request(who)))
    return who, asked, reference(await hospital.create(task(who, asked, **more)))


async def move(caller: Caller, about: str, status: str, **more: Any) -> httpx.Response:
    """A Task read and put back with another status."""
    found = await caller.read(about)
    return await caller.update({**found, "status": status, **more})
