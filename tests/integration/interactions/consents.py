"""Consents and labels for the tests of what they let through."""

from typing import Any

from tests.api import Caller, Resource
from tests.integration.interactions.samples import patient, reference, service_request, task

LABEL = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LEVEL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
VIOLENCE: Resource = {"security": [{"system": LABEL, "code": "SDV"}, {"system": LEVEL, "code": "R"}]}
PURPOSE = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"


def consent(
    who: str, *organizations: str, kind: str = "permit", scope: str = "patient-privacy", **rule: Any
) -> Resource:
    """An active Consent with one rule about these organisations, or about everyone."""
    actors = [
        {"role": {"coding": [{"code": "IRCP"}]}, "reference": {"reference": f"Organization/{each}"}}
        for each in organizations
    ]
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"system": SCOPE, "code": scope}]},
        "category": [{"coding": [{"system": LABEL, "code": "IDSCL"}]}],
        "patient": {"reference": who},
        "dateTime": "2026-11-01",
        "policyRule": {"text": "The hospital's form"},
        "provision": {"type": kind, **({"actor": actors} if actors else {}), **rule},
    }


async def change(caller: Caller, about: str, **elements: Any) -> None:
    """An update of some elements that must be taken."""
    found = await caller.read(about)
    meta = {**found["meta"], **elements.pop("meta", {})}
    answer = await caller.update({**found, **elements, "meta": meta})
    assert answer.status_code == 200, answer.text


async def prepare(hospital: Caller, **meta: Any) -> tuple[str, str, str, Resource]:
    """A patient, a labelled Condition, a ServiceRequest with it as its reason, and a Task still to be sent."""
    who = reference(await hospital.create(patient()))
    subject = {"reference": who}
    made = await hospital.create({"resourceType": "Condition", "subject": subject, "meta": meta or VIOLENCE})
    condition = reference(made)
    asked = reference(await hospital.create(service_request(who, reasonReference=[{"reference": condition}])))
    return who, condition, asked, task(who, asked)
