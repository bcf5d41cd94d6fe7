"""What the demonstration plays: a referral of ours, or the instances of a directory such as the guide's examples."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.core.errors import Invalid
from app.fhir.references import find_references, parse_reference
from app.fhir.registry import TYPES

Resource = dict[str, Any]
Key = tuple[str, str]

TEMPORARY_CODES = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
OUTCOME_ELEMENTS = ("output", "statusReason", "businessStatus", "executionPeriod", "lastModified")


@dataclass(frozen=True)
class Scenario:
    """A referral ready to be posted.

    ``directory`` is put in place by the operator first. ``entries`` are posted in one transaction, referring to each
    other by ``Type/id``; the last three are ServiceRequest, Task and CarePlan. ``hospital`` and ``partner`` are
    ``Organization/ID`` and a name.
    """

    title: str
    hospital: tuple[str, str]
    partner: tuple[str, str]
    entries: list[Resource]
    directory: list[Resource] = field(default_factory=list)


def build_plan(patient: str, service_request: str, title: str) -> Resource:
    """The CarePlan that the referral is an activity of."""
    return {
        "resourceType": "CarePlan",
        "id": "demo-plan",
        "status": "active",
        "intent": "plan",
        "title": title,
        "subject": {"reference": patient},
        "activity": [{"reference": {"reference": service_request}}],
    }


def our_scenario() -> Scenario:
    """Meals for a family of the demonstration network."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    patient = {"reference": "Patient/gia-bao", "display": "Nguyễn Gia Bảo"}
    hospital = {"reference": "Organization/song-huong-hospital", "display": "Bệnh viện Nhi Sông Hương"}
    partner = {"reference": "Organization/bep-am", "display": "Bếp Ấm"}
    service_request: Resource = {
        "resourceType": "ServiceRequest",
        "id": "demo-request",
        "status": "active",
        "intent": "order",
        "priority": "urgent",
        "category": [
            {"coding": [{"system": TEMPORARY_CODES, "code": "food-insecurity", "display": "Food Insecurity"}]}
        ],
        "code": {"text": "Two hot meals a day for the child and his mother"},
        "subject": patient,
        "authoredOn": now,
        "requester": {"reference": "PractitionerRole/le-thi-huong-social-worker", "display": "Lê Thị Hương"},
        "performer": [partner],
    }
    task: Resource = {
        "resourceType": "Task",
        "id": "demo-task",
        "status": "requested",
        "intent": "order",
        "priority": "urgent",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": "ServiceRequest/demo-request"},
        "for": patient,
        "authoredOn": now,
        "requester": hospital,
        "owner": partner,
    }
    plan = build_plan("Patient/gia-bao", "ServiceRequest/demo-request", "Food while he is in treatment")
    return Scenario(
        "meals for Nguyễn Gia Bảo",
        (hospital["reference"], hospital["display"]),
        (partner["reference"], partner["display"]),
        [service_request, task, plan],
    )


def read_scenarios(directory: Path) -> tuple[list[Scenario], list[str]]:
    """The referrals that a directory of FHIR JSON holds, and a line for each Task that cannot be played."""
    known: dict[Key, Resource] = {}
    for path in sorted(directory.glob("*.json")):
        resource = json.loads(path.read_text("utf-8"))
        if isinstance(resource, dict) and resource.get("resourceType") in TYPES and "id" in resource:
            known[resource["resourceType"], resource["id"]] = resource
    scenarios, left_out = [], []
    for key, task in sorted(known.items()):
        if key[0] != "Task":
            continue
        try:
            scenarios.append(read_scenario(task, known))
        except Invalid as error:
            left_out.append(f"Task/{key[1]}: {error.diagnostics}")
    return scenarios, left_out


def read_scenario(task: Resource, known: dict[Key, Resource]) -> Scenario:
    """The referral of one Task, as if it had just been asked for. Raises Invalid with what is missing."""
    focus = known.get(key_of(task.get("focus")) or ("", ""))
    if focus is None or focus["resourceType"] != "ServiceRequest":
        raise Invalid("its ServiceRequest is not in the directory")
    hospital = find_organization(task.get("requester"), known)
    partner = find_organization(task.get("owner"), known)
    service_request = {**focus, "status": "active"}
    asked = {name: value for name, value in task.items() if name not in OUTCOME_ELEMENTS} | {"status": "requested"}
    clinical = [each for each in collect(service_request, asked, known) if not TYPES[each["resourceType"]].directory]
    directory = [each for each in known.values() if TYPES[each["resourceType"]].directory]
    patient = str(service_request["subject"]["reference"])
    plan = build_plan(patient, f"ServiceRequest/{focus['id']}", "The guide has no CarePlan: this one is ours")
    return Scenario(
        f"{name_request(service_request)} for {known[patient_key(patient)]['name'][0].get('family', 'the patient')}",
        (f"Organization/{hospital['id']}", hospital["name"]),
        (f"Organization/{partner['id']}", partner["name"]),
        [*clinical, service_request, asked, plan],
        directory,
    )


def patient_key(reference: str) -> Key:
    kind, _, patient = reference.partition("/")
    return kind, patient


def name_request(service_request: Resource) -> str:
    """What is asked for, in words."""
    code = service_request.get("code", {})
    return str(code.get("text") or code.get("coding", [{}])[0].get("display", "help"))


def key_of(element: Any) -> Key | None:
    literal = element.get("reference") if isinstance(element, dict) else None
    found = parse_reference(literal, None) if isinstance(literal, str) else None
    return (found.type, found.id) if found else None


def find_organization(element: Any, known: dict[Key, Resource]) -> Resource:
    """The organisation that a requester or owner stands for. Raises Invalid."""
    found = known.get(key_of(element) or ("", ""))
    if found and found["resourceType"] == "PractitionerRole":
        found = known.get(key_of(found.get("organization")) or ("", ""))
    if found is None or found["resourceType"] != "Organization":
        raise Invalid("its requester or owner is no organisation of the directory")
    return found


def collect(service_request: Resource, task: Resource, known: dict[Key, Resource]) -> Iterator[Resource]:
    """What the two refer to, and what that refers to, other requests and Tasks left out."""
    seen: set[Key] = set()
    frontier = [service_request, task]
    while frontier:
        for found in find_references(frontier.pop()):
            key = key_of(found.element)
            if key and key in known and key not in seen and key[0] not in ("Task", "ServiceRequest"):
                seen.add(key)
                frontier.append(known[key])
                yield known[key]
